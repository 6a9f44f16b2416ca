"""The whole job beside its encoders: posts a second at saturation, latency below it, memory.

The encoders have one core to themselves; Kafka, Redis, decoding, assigning, the platform that publishes and reads,
all share another. The limit is the encoders' best rate on that core, on the same decoded inputs, with nothing else
running.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import psutil

from consumers.bundles import find_bundle
from consumers.demo.encoder_rate import decoded_post, fresh
from consumers.demo.feed import post_of
from consumers.kafka.topics import create_topics, needed_topics
from consumers.settings import Encode, Http, Kafka, Log, Redis, Settings
from consumers.steps.embed import embed
from models.bundle import open_bundle
from models.synthetic.posts import StreamPlan, generate_stream
from tests.benchmarks.platform import Platform, worker
from tests.servers import kafka_broker, redis_server

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from consumers.encoding.work import PostInWork
    from models.bundle import Bundle

ENCODER_CORE, OTHER_CORE = 0, 1
BATCH_SIZES = (16, 32, 64, 128)
RAW_SECONDS = 6.0
SAMPLE = 512
SHARES = (0.5, 0.7)


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


def _peak_memory(process: subprocess.Popen[bytes]) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    peak = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return int(peak[0]) * 1024 if peak else int(psutil.Process(process.pid).memory_info().rss)
