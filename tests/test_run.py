"""The consumers of one worker: started, stopped and failing together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from consumers import run as worker
from consumers.bundles import find_bundle
from consumers.embedded import embedded_broker, embedded_redis
from consumers.kafka.topics import needed_topics
from consumers.options import settings_from
from models.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

STUBBORN = """
import time
from types import SimpleNamespace
import consumers.run as worker
from consumers.options import settings_from

manifest = SimpleNamespace(name="b", version="1")
bundle = SimpleNamespace(bundle_id="b", providers={}, graphs={}, remarks=(), manifest=manifest)
worker.open_encoders = lambda *_, **__: bundle
worker.require = lambda *_, **__: None
def stubborn(_settings, _bundle, stop, _health):
    print("running", flush=True)
    stop.wait()
    print("stopping", flush=True)
    time.sleep(200)
worker.CONSUMERS = {"encode": stubborn}
worker.run(settings_from(None, ["http.port=0", "shutdown_seconds=200"]), ("encode",))
"""


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], bool]:
    """Run consumers that are plain functions, without a bundle and servers."""
    manifest = SimpleNamespace(name="none", version="0")
    bundle = SimpleNamespace(bundle_id="none-0", providers={}, graphs={}, remarks=(), manifest=manifest)
    monkeypatch.setattr(worker, "open_encoders", lambda *_, **__: bundle)
    monkeypatch.setattr(worker, "require", lambda *_, **__: None)

    def run(consumers: dict[str, Any]) -> bool:
        monkeypatch.setattr(worker, "CONSUMERS", consumers)
        settings = settings_from(None, ["http.port=0", "http.host=127.0.0.1", "shutdown_seconds=0.3"])
        return worker.run(settings, tuple(consumers))

    return run


def until_stopped(_settings: Any, _bundle: Any, stop: threading.Event, _health: Any) -> None:
    stop.wait(60)


def interrupted_by(number: signal.Signals) -> Callable[..., None]:
    """A consumer whose process gets a signal while it is at work."""

    def consumer(*given: Any) -> None:
        os.kill(os.getpid(), number)
        until_stopped(*given)

    return consumer


def test_a_signal_that_reaches_another_thread_stops_the_worker(faked: Callable[[dict[str, Any]], bool]) -> None:
    def consumer(*given: Any) -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        assert given[2].wait(30.0)

    assert faked({"encode": consumer})


def test_a_consumer_that_fails_stops_the_others_and_is_told(faked: Any, capfd: pytest.CaptureFixture[str]) -> None:
    def failing(*_: Any) -> None:
        raise RuntimeError("it broke")

    assert not faked({"encode": failing, "route": until_stopped})
    events = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    (failed,) = [event for event in events if event["event"] == "consumer failed"]
    assert failed["consumer"] == "encode"
    assert "it broke" in failed["exception"]
    assert events[-1]["failed"] == ["encode"]


def test_a_consumer_that_ends_unasked_has_failed(faked: Any) -> None:
    assert not faked({"encode": lambda *_: None, "route": until_stopped})


def test_a_consumer_still_busy_after_the_deadline_makes_the_run_fail(faked: Any) -> None:
    released, ended = threading.Event(), threading.Event()

    def stubborn(*_: Any) -> None:
        released.wait(60)
        ended.set()

    assert not faked({"encode": stubborn, "route": interrupted_by(signal.SIGTERM)})
    assert not ended.is_set()
    released.set()
    assert ended.wait(60)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_stops_gracefully_and_handlers_are_put_back(faked: Any, number: signal.Signals) -> None:
    before = signal.getsignal(number)
    assert faked({"encode": until_stopped, "route": interrupted_by(number)})
    assert signal.getsignal(number) == before


def test_a_second_interrupt_ends_the_process_at_once() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"running\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == b"stopping\n"
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == -signal.SIGINT


@pytest.fixture
def real_worker(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """`shoal run` with the default bundle, an embedded broker and Redis."""
    with embedded_broker() as broker, embedded_redis() as url:
        assignments = [
            f"kafka.bootstrap_servers={broker.address}",
            "kafka.delivery=at-least-once",
            f"kafka.topic_identity={broker.identity}",
            f"redis.url={url}",
            "http.port=0",
            "http.host=127.0.0.1",
        ]
        bundle = read_manifest(find_bundle("compact")).bundle_id
        broker.create(*(topic.name for topic in needed_topics(settings_from(None, assignments), bundle)))
        options = [option for assignment in assignments for option in ("--set", assignment)]
        log = tmp_path / "log"
        with log.open("wb") as output:
            process = subprocess.Popen([sys.executable, "-m", "consumers.cli", "run", *options], stderr=output)
            yield process, log
            process.kill()
            process.wait()


def events_of(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]


def test_a_worker_becomes_ready_serves_its_metrics_and_ends_well(
    real_worker: tuple[subprocess.Popen[bytes], Path],
) -> None:
    process, log = real_worker
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        port = next((event["port"] for event in events_of(log) if event["event"] == "serving"), 1)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
                told = answer.read().decode().splitlines()
                break
        except OSError:
            time.sleep(0.1)
    assert told[:3] == ["ready", "encode: 4 partitions", "assign: cells owned: 0"]
    assert told[3] == "route: 4 partitions"
    assert {line.split(":")[0] for line in told[4:]} == {"encoder text", "encoder image", "encoder audio"}
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        assert b'shoal_bundle_info{id="compact-' in answer.read()
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert events_of(log)[-1]["event"] == "stopped"


def test_products_have_the_threads_that_the_settings_give(faked: Callable[[dict[str, Any]], bool]) -> None:
    found: list[int] = []

    def look(_settings: Any, _bundle: Any, stop: threading.Event, _health: Any) -> None:
        found.extend(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas")
        stop.set()

    with threadpool_limits(2, "blas"):
        assert faked({"assign": look})
    assert found
    assert set(found) == {1}
