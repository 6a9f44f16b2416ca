"""The two ends of a benchmark: a platform that publishes posts and reads decisions, and the workers between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from confluent_kafka import Consumer, Producer

from consumers.contracts.decision import Decision

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from consumers.settings import Settings

EDGE = 0.1
"""Share of the posts at either end that is left out: the pipeline fills and drains there."""

PATIENCE_SECONDS = 300.0


class Platform:
    """Publishes posts and reads decisions as they become visible."""

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.topics.posts
        servers = settings.kafka.bootstrap_servers
        self._producer = Producer({"bootstrap.servers": servers, "linger.ms": 2, "message.max.bytes": 2**25})
        self._reader = Consumer(
            {
                "bootstrap.servers": servers,
                "group.id": str(uuid.uuid4()),
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
            }
        )
        self._reader.subscribe([settings.topics.decisions])

    def publish(self, posts: list[bytes], rate: float | None) -> None:
        """Write the posts, at a steady rate if one is given."""
        start = time.monotonic()
        for number, value in enumerate(posts):
            if rate is not None:
                time.sleep(max(0.0, start + number / rate - time.monotonic()))
            self._producer.produce(self._topic, value, str(number))
            self._producer.poll(0)
            if rate is None and number % 100 == 99:
                self._producer.flush(60)
        if self._producer.flush(60):
            raise SystemExit("posts were not acknowledged")

    def wait_for(self, count: int) -> None:
        """Wait for the next `count` decisions."""
        list(self._decisions(count))

    def rate_of(self, count: int) -> float:
        """Posts a second between the decisions that stand at a tenth and at nine tenths of `count`."""
        times = np.array([seen for seen, _ in self._decisions(count)])
        first, last = int(count * EDGE), int(count * (1 - EDGE)) - 1
        return float((last - first) / (times[last] - times[first]))

    def seen(self, wait: float) -> list[tuple[float, Decision]]:
        """The decisions that can be read now, waiting so many seconds for a first one."""
        return [
            (time.time(), msgspec.json.decode(message.value() or b"", type=Decision))
            for message in self._reader.consume(100, wait)
            if message.error() is None
        ]

    def times_until(self, timestamp: int) -> list[float]:
        """When decisions were seen, until one about a post of `timestamp` or later (milliseconds since 1970)."""
        times: list[float] = []
        for seen, decision in self._decisions():
            times.append(seen)
            if decision.source.timestamp >= timestamp:
                break
        return times

    def latency_at(self, posts: list[bytes], rate: float, seconds: float) -> dict[str, float]:
        """From a post's timestamp until its decision can be read, at a steady rate; without the first two seconds."""
        count = max(1, min(len(posts), int(rate * seconds)))
        publisher = threading.Thread(target=self.publish, args=(posts[:count], rate), daemon=True)
        publisher.start()
        waits = np.array([1000 * seen - decision.source.timestamp for seen, decision in self._decisions(count)])
        publisher.join()
        p50, p95, p99 = np.percentile(waits[min(count // 2, int(2 * rate)) :], [50, 95, 99])
        return {"p50": float(p50), "p95": float(p95), "p99": float(p99)}

    def close(self) -> None:
        """Leave."""
        self._reader.close()

    def _decisions(self, count: int | None = None) -> Iterator[tuple[float, Decision]]:
        """The next `count` decisions, or all of them, each with the time (seconds since 1970) it was seen."""
        deadline, found = time.monotonic() + PATIENCE_SECONDS, 0
        while found != count:
            message = self._reader.poll(0.5)
            if message is not None and message.error() is None:
                found += 1
                yield time.time(), msgspec.json.decode(message.value() or b"", type=Decision)
            if time.monotonic() > deadline:
                raise SystemExit(f"{found} of {count or 'all'} posts decided after {PATIENCE_SECONDS:.0f} s")


@contextmanager
def worker(settings: Settings, log: Path, *only: str) -> Iterator[subprocess.Popen[bytes]]:
    """`shoal run` as a child process with these settings; all consumers, or only some."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SHOAL_")}
    for section, values in settings.model_dump(mode="json", exclude_defaults=True).items():
        given = values if isinstance(values, str) else msgspec.json.encode(values).decode()
        environment[f"SHOAL_{section.upper()}"] = given
    with log.open("w") as file:
        command = [sys.executable, "-m", "consumers.cli", "run", *(["--only", ",".join(only)] if only else [])]
        process = subprocess.Popen(command, env=environment, stderr=file)
        try:
            yield process
            if process.poll() not in {None, 0, -signal.SIGKILL}:
                raise SystemExit(f"shoal run ended by itself:\n{log.read_text()[-2000:]}")
        finally:
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGTERM)
            process.wait(60)
