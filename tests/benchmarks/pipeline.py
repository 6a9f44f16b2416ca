"""The whole job beside its encoders: posts a second at saturation, latency below it, memory.

The encoders have one core to themselves; Kafka, Redis, decoding, assigning, the platform that publishes and reads,
all share another. The limit is the encoders' best rate on that core, on the same decoded inputs, with nothing else
running.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import psutil
from confluent_kafka import Consumer, Producer

from consumers.bundles import find_bundle
from consumers.contracts.decision import Decision
from consumers.demo.encoder_rate import decoded_post, fresh
from consumers.demo.feed import post_of
from consumers.settings import Encode, Http, Kafka, Log, Redis, Settings
from consumers.steps.embed import embed
from consumers.topics import create_topics, needed_topics
from models.bundle import open_bundle
from models.synthetic.posts import StreamPlan, generate_stream
from tests.servers import kafka_broker, redis_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.work import PostInWork
    from models.bundle import Bundle

ENCODER_CORE, OTHER_CORE = 0, 1
BATCH_SIZES = (16, 32, 64, 128)
RAW_SECONDS = 6.0
SAMPLE = 512
SHARES = (0.5, 0.7)
EDGE = 0.1
"""Share of the posts at either end that is left out: the pipeline fills and drains there."""

PATIENCE_SECONDS = 300.0


@dataclass
class Figures:
    """What was measured."""

    bundle: str = ""
    posts: int = 0
    megabytes_a_post: float = 0.0
    raw_by_batch: dict[int, float] = field(default_factory=dict)
    raw: float = 0.0
    pipeline: float = 0.0
    latency_ms: dict[str, dict[str, float]] = field(default_factory=dict)
    memory_mb: float = 0.0

    def numbers(self) -> dict[str, Any]:
        """For build/bench.json."""
        return asdict(self) | {"pipeline_over_raw": self.pipeline / self.raw}

    def rows(self) -> Iterator[tuple[str, str]]:
        """For a table."""
        yield "bundle", self.bundle
        yield "posts", f"{self.posts}, {self.megabytes_a_post * 1000:.0f} kB each on average"
        for size, rate in self.raw_by_batch.items():
            yield f"encoders alone, {size} posts a call", f"{rate:.1f} posts/s"
        yield "the whole job at saturation", f"{self.pipeline:.1f} posts/s"
        yield "over the encoders' best", f"{self.pipeline / self.raw:.3f}"
        for share, latency in self.latency_ms.items():
            told = ", ".join(f"{name} {value:.0f} ms" for name, value in latency.items())
            yield f"latency at {share} of that rate", told
        yield "memory of the worker, highest", f"{self.memory_mb:.0f} MB"


def measure_pipeline(count: int, seconds: float) -> Figures:
    """Measure everything; about four minutes with the defaults."""
    if len(os.sched_getaffinity(0)) < 2:
        raise SystemExit("this benchmark pins the encoders to a core of their own: it needs two cores")
    if count < SAMPLE:
        raise SystemExit(f"this benchmark needs at least {SAMPLE} posts")
    plan = StreamPlan(seed=71, posts=count)
    posts = [msgspec.json.encode(post_of(made)) for made in generate_stream(plan)]
    figures = Figures(posts=count, megabytes_a_post=sum(map(len, posts)) / count / 1e6)
    settings = Settings(encode=Encode(embed_cpus=(ENCODER_CORE,), decode_cpus=(OTHER_CORE,), intra_op_threads=1))
    bundle = open_bundle(find_bundle(settings.bundle), provider="cpu", intra_op_threads=1)
    figures.bundle = bundle.bundle_id
    sample = posts[:: max(1, count // SAMPLE)][:SAMPLE]
    decoded = [decoded_post(settings, bundle, value) for value in sample]
    before = rates_alone(decoded, bundle)
    os.sched_setaffinity(0, {OTHER_CORE})  # the servers and the worker inherit it
    with kafka_broker() as address, redis_server() as url, tempfile.TemporaryDirectory() as folder:
        settings = settings.model_copy(
            update={
                "kafka": Kafka(bootstrap_servers=address),
                "redis": Redis(url=url),
                "http": Http(port=None),
                "log": Log(level="warning"),
            }
        )
        create_topics(settings, needed_topics(settings, figures.bundle))
        platform = Platform(settings)
        platform.publish(posts, rate=None)
        with worker(settings, Path(folder) / "log") as process:
            figures.pipeline = platform.rate_of(count)
            for share in SHARES:
                rate = share * figures.pipeline
                figures.latency_ms[f"{share:.0%}"] = platform.latency_at(posts, rate, seconds)
            figures.memory_mb = _peak_memory(process) / 2**20
        platform.close()
    # the machine may have become faster or slower meanwhile
    after = rates_alone(decoded, bundle)
    figures.raw_by_batch = {size: max(before[size], after[size]) for size in BATCH_SIZES}
    figures.raw = max(figures.raw_by_batch.values())
    return figures


def rates_alone(decoded: list[PostInWork], bundle: Bundle) -> dict[int, float]:
    """Posts a second of the encoders alone on their core, by batch size; whole batches only."""
    os.sched_setaffinity(0, {ENCODER_CORE})
    rates = {}
    for size in BATCH_SIZES:
        done, start = 0, time.perf_counter()
        while time.perf_counter() - start < RAW_SECONDS:
            at = done % (len(decoded) // size * size)
            batch = [fresh(work) for work in decoded[at : at + size]]
            embed(batch, bundle)
            done += len(batch)
        rates[size] = done / (time.perf_counter() - start)
    return rates


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

    def rate_of(self, count: int) -> float:
        """Posts a second between the decisions that stand at a tenth and at nine tenths of `count`."""
        times = np.array([seen for seen, _ in self._decisions(count)])
        first, last = int(count * EDGE), int(count * (1 - EDGE)) - 1
        return float((last - first) / (times[last] - times[first]))

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

    def _decisions(self, count: int) -> list[tuple[float, Decision]]:
        """The next `count` decisions, each with the time (seconds since 1970) it was seen."""
        found: list[tuple[float, Decision]] = []
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(found) < count:
            message = self._reader.poll(0.5)
            if message is not None and message.error() is None:
                found.append((time.time(), msgspec.json.decode(message.value() or b"", type=Decision)))
            if time.monotonic() > deadline:
                raise SystemExit(f"{len(found)} of {count} posts decided after {PATIENCE_SECONDS:.0f} s")
        return found


@contextmanager
def worker(settings: Settings, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`shoal run` as a child process with these settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SHOAL_")}
    for section, values in settings.model_dump(mode="json", exclude_defaults=True).items():
        environment[f"SHOAL_{section.upper()}"] = msgspec.json.encode(values).decode()
    with log.open("w") as file:
        process = subprocess.Popen([sys.executable, "-m", "consumers.cli", "run"], env=environment, stderr=file)
        try:
            yield process
            if process.poll() is not None:
                raise SystemExit(f"shoal run ended by itself:\n{log.read_text()[-2000:]}")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _peak_memory(process: subprocess.Popen[bytes]) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    peak = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return int(peak[0]) * 1024 if peak else int(psutil.Process(process.pid).memory_info().rss)
