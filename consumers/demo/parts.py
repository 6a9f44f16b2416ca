"""The demo's parts around the stream: the embedded servers, and a worker started as its operator would start it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from consumers.bundles import find_bundle
from consumers.embedded import embedded_broker, embedded_redis, ending_with_us
from consumers.kafka.topics import needed_topics
from consumers.options import settings_from
from consumers.settings import PREFIX
from models.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.settings import Settings

POLICIES = (
    '[{"name": "scam", "severity": "high"},'
    ' {"name": "violent-extremism", "severity": "critical"},'
    ' {"name": "self-harm-promotion", "severity": "critical"},'
    ' {"name": "coordinated-conjunction", "severity": "high", "together": true}]'
)
FETCH_WAIT_MS = 10
"""The embedded broker keeps an empty fetch waiting to the end, also when records come in meanwhile."""

END_SECONDS = 10.0
ANSWER_SECONDS = 1.0


class DemoError(RuntimeError):
    """The demo could not go on; the message is one line."""


@dataclass(frozen=True, slots=True)
class Worker:
    """The running `shoal run`. `log` is the file its events go to."""

    process: subprocess.Popen[bytes]
    log: Path

    def last_words(self) -> str:
        """The last line it wrote."""
        return (self._lines() or ["it wrote nothing"])[-1]

    def ready(self) -> bool:
        """Whether all its consumers are ready, as it tells on its own port."""
        port = next((event["port"] for event in self._events() if event.get("event") == "serving"), None)
        if port is None:
            return False
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=ANSWER_SECONDS) as answer:
                return bool(answer.status == HTTPStatus.OK)
        except OSError:
            return False

    def _lines(self) -> list[str]:
        return self.log.read_text(errors="replace").strip().splitlines()

    def _events(self) -> Iterator[dict[str, Any]]:
        for line in self._lines():
            try:
                yield msgspec.json.decode(line, type=dict[str, Any])
            except msgspec.DecodeError:
                continue


@contextmanager
def demo_parts(bundle: str | None) -> Iterator[tuple[Settings, Worker]]:
    """Broker, Redis and a worker on free ports, with the settings that reach them; all end with the block.

    Raises:
        BundleError: there is no such bundle.
        EmbeddedError: a server did not start.
    """
    with embedded_broker() as broker, embedded_redis() as redis, tempfile.TemporaryDirectory() as folder:
        assignments = [
            f"kafka.bootstrap_servers={broker.address}",
            "kafka.delivery=at-least-once",
            f"kafka.topic_identity={broker.identity}",
            f"kafka.properties.fetch.wait.max.ms={FETCH_WAIT_MS}",
            f"redis.url={redis}",
            "http.port=0",
            "http.host=127.0.0.1",
            f"policies={POLICIES}",
        ]
        settings = settings_from(None, assignments, bundle)
        manifest = read_manifest(find_bundle(settings.bundle))
        broker.create(*(topic.name for topic in needed_topics(settings, manifest.bundle_id)))
        with _worker(assignments, settings.bundle, Path(folder) / "worker.log") as worker:
            yield settings, worker


@contextmanager
def _worker(assignments: list[str], bundle: str, log: Path) -> Iterator[Worker]:
    """`shoal run` in a process of its own, with nothing from the environment's settings but these."""
    command = [*ending_with_us(), sys.executable, "-m", "consumers.cli", "run", "--bundle", bundle]
    for assignment in assignments:
        command += ["--set", assignment]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  # our own command
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
        )
        try:
            yield Worker(process, log)
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
