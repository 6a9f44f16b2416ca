"""The consumers of one worker: one thread each, started together, stopped together."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import structlog
from threadpoolctl import threadpool_limits

from consumers.alert import run_alert
from consumers.assign import run_assign
from consumers.bundles import find_bundle, open_encoders
from consumers.checks.worker import require
from consumers.encode import run_encode
from consumers.http import Health, serving
from consumers.log import configure_logs
from consumers.metrics import BUNDLE, EXECUTION_PROVIDER, GPU_REQUIRED
from consumers.route import run_route
from models.manifest import read_manifest
from models.providers import REQUIRED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType

    from consumers.settings import Settings
    from models.bundle import Bundle

    Consumer = Callable[[Settings, Bundle, threading.Event, Health], None]
    Work = Callable[[threading.Event, Health], None]

CONSUMERS: dict[str, Consumer] = {"encode": run_encode, "assign": run_assign, "route": run_route}
"""The consumers that need an open bundle."""

ALERT = "alert"

SIGNAL_SECONDS = 1.0
"""A signal may reach another thread (after SIGSTOP it does): its handler runs when the main thread wakes up."""

log = structlog.get_logger()


def names_of_all(settings: Settings) -> tuple[str, ...]:
    """The consumers that run when none is named: all of them, and alerting when it has channels."""
    return (*CONSUMERS, ALERT) if settings.alert.channels else tuple(CONSUMERS)


def run(settings: Settings, names: Sequence[str]) -> bool:
    """Run the consumers called `names` until SIGTERM or SIGINT; a second signal ends the process at once.

    Returns:
        Whether every consumer ended as asked: none failed, and none was still busy after `shutdown_seconds`.

    Raises:
        CheckError: something the consumers need is absent.
        BundleError: the bundle cannot be used.
        PortError: the port of metrics and health is taken.
    """
    configure_logs(settings.log)
    health = Health(tuple(names), silence_seconds=60.0 + settings.kafka.request_timeout_seconds)
    with (
        _stopped_by_signals() as stop,
        serving(settings.http, health) as port,
        # each library's own number is all cores, and its threads spin between the many small products of a worker
        threadpool_limits(settings.assign.search_threads, "blas"),
    ):
        log.info("serving", port=port)
        works: dict[str, Work] = {ALERT: partial(run_alert, settings)} if ALERT in names else {}
        folder, chosen = find_bundle(settings.bundle), [name for name in names if name in CONSUMERS]
        if chosen:
            bundle = open_encoders(settings, folder)
            GPU_REQUIRED.set(settings.encode.provider in REQUIRED)
            _publish(bundle)
            health.set_encoders(bundle.providers)
            works |= {name: partial(CONSUMERS[name], settings, bundle) for name in chosen}
            bundle_id = bundle.bundle_id
        else:
            bundle_id = read_manifest(folder).bundle_id
        require(settings, bundle_id, state=not {"assign", ALERT}.isdisjoint(names))
        return _run_threads(settings, works, stop, health)


def _publish(bundle: Bundle) -> None:
    BUNDLE.info({"id": bundle.bundle_id, "name": bundle.manifest.name, "version": bundle.manifest.version})
    for modality, provider in bundle.providers.items():
        EXECUTION_PROVIDER.labels(modality, provider).set(1)
    log.info("bundle", bundle=bundle.bundle_id, providers=bundle.providers, graphs=bundle.graphs)
    for remark in bundle.remarks:
        log.warning("encoders", remark=remark)


@contextmanager
def _stopped_by_signals() -> Iterator[threading.Event]:
    """An event that the first SIGTERM or SIGINT sets; the second one has its usual effect."""
    stop = threading.Event()

    def ask(number: int, _frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run_threads(settings: Settings, consumers: dict[str, Work], stop: threading.Event, health: Health) -> bool:
    failed: list[str] = []

    def work(name: str, consumer: Work) -> None:
        try:
            consumer(stop, health)
        except Exception:
            failed.append(name)
            log.exception("consumer failed", consumer=name)
        else:
            if not stop.is_set():
                failed.append(name)
                log.error("consumer ended unasked", consumer=name)
        finally:
            health.set_ready(name, ready=False)
            stop.set()

    threads = [threading.Thread(target=work, args=item, name=item[0], daemon=True) for item in consumers.items()]
    for thread in threads:
        thread.start()
    while not stop.wait(SIGNAL_SECONDS):
        pass
    log.info("stopping", consumers=list(consumers))
    deadline = time.monotonic() + settings.shutdown_seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    busy = [thread.name for thread in threads if thread.is_alive()]
    if busy:
        log.error("not stopped in time", consumers=busy, seconds=settings.shutdown_seconds)
    log.info("stopped", failed=failed)
    return not failed and not busy
