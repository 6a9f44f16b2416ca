"""What a post costs in processor time with one encode process and with two, beside one assign process.

Two processes on two cores share caches and memory, so the encoders themselves take longer then. How much that is, is
measured in the same run: the encoders alone, on the same decoded posts, in one process and in two at once.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import tempfile
import time
from contextlib import ExitStack
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
from models.manifest import read_manifest
from models.synthetic.posts import StreamPlan, generate_stream
from tests.benchmarks.platform import PATIENCE_SECONDS, Platform, worker
from tests.servers import kafka_broker, redis_server

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from multiprocessing.synchronize import Barrier

PROCESSES = (1, 2)
WARM_UP = 200
ALONE_POSTS = 256
ALONE_SECONDS = 8.0


@dataclass
class Figures:
    """Processor milliseconds of all workers for each post, by the number of encode processes, of each round."""

    posts: int = 0
    milliseconds: dict[int, list[float]] = field(default_factory=dict)
    rates: dict[int, list[float]] = field(default_factory=dict)
    alone: dict[int, list[float]] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """Two over one, of the medians."""
        return _two_over_one(self.milliseconds)

    @property
    def ratio_alone(self) -> float:
        """The same of the encoders alone: what the machine takes."""
        return _two_over_one(self.alone)

    def numbers(self) -> dict[str, Any]:
        """For build/bench.json."""
        return asdict(self) | {"two_over_one": self.ratio, "encoders_alone_two_over_one": self.ratio_alone}

    def rows(self) -> Iterator[tuple[str, str]]:
        """For a table."""
        for count in PROCESSES:
            spent = ", ".join(f"{value:.2f}" for value in self.milliseconds[count])
            rates = ", ".join(f"{rate:.0f}" for rate in self.rates[count])
            yield f"{count} encode and 1 assign process", f"{spent} ms of processor time a post ({rates} posts/s)"
        for count in PROCESSES:
            spent = ", ".join(f"{value:.2f}" for value in self.alone[count])
            yield f"the encoders alone, in {count} at once", f"{spent} ms of processor time a post"
        yield "two over one", f"{self.ratio:.3f}; of the encoders alone {self.ratio_alone:.3f}"


def measure_encoders(posts: int, rounds: int) -> Figures:
    """Measure blocks of `posts` posts at saturation, so many with each number of processes; about three minutes."""
    empty = [{count: list[float]() for count in PROCESSES} for _ in range(3)]
    figures = Figures(posts, *empty)
    plan = StreamPlan(seed=73, posts=posts)
    stream = [msgspec.json.encode(post_of(made)) for made in generate_stream(plan)]
    for number in range(rounds):
        for count in PROCESSES if number % 2 == 0 else reversed(PROCESSES):
            spent, rate = measure_one(stream, count)
            figures.milliseconds[count].append(spent)
            figures.rates[count].append(rate)
            figures.alone[count].append(measure_alone(stream[:ALONE_POSTS], count))
    return figures


def measure_alone(stream: list[bytes], count: int) -> float:
    """Processor milliseconds a post of the encoders alone, in so many processes at once, each on its core."""
    cores = sorted(os.sched_getaffinity(0))
    spawning = multiprocessing.get_context("spawn")
    together = spawning.Barrier(count)
    answers: multiprocessing.SimpleQueue[float] = spawning.SimpleQueue()
    processes = [
        spawning.Process(target=_embed_alone, args=(stream, cores[number % len(cores)], together, answers))
        for number in range(count)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE_SECONDS)
        if process.exitcode != 0:
            raise SystemExit("a process of the encoders alone failed")
    return statistics.mean(answers.get() for _ in processes)


def _embed_alone(
    stream: list[bytes], core: int, together: Barrier, answers: multiprocessing.SimpleQueue[float]
) -> None:
    """In a process of its own: embed the posts again and again, beginning together with the others."""
    os.sched_setaffinity(0, {core})
    settings = Settings(encode=Encode(intra_op_threads=1))
    bundle = open_bundle(find_bundle(settings.bundle), provider="cpu", intra_op_threads=1)
    decoded = [decoded_post(settings, bundle, value) for value in stream]
    size = settings.encode.batch_posts
    batches = [decoded[start : start + size] for start in range(0, len(decoded) - size + 1, size)]
    together.wait(PATIENCE_SECONDS)
    done, begun, spent = 0, time.monotonic(), time.process_time()
    while time.monotonic() - begun < ALONE_SECONDS:
        for batch in batches:
            embed([fresh(work) for work in batch], bundle)
            done += len(batch)
    answers.put(1000.0 * (time.process_time() - spent) / done)


def measure_one(stream: list[bytes], count: int) -> tuple[float, float]:
    """Processor milliseconds a post, and posts a second, of `count` encode processes and one assign process.

    Every encode process has a core of its own as far as there are so many; everything else shares the last one.
    """
    cores = sorted(os.sched_getaffinity(0))
    with (
        kafka_broker() as address,
        redis_server() as url,
        tempfile.TemporaryDirectory() as name,
        ExitStack() as stack,
    ):
        folder = Path(name)
        settings = Settings(
            kafka=Kafka(bootstrap_servers=address),
            redis=Redis(url=url),
            http=Http(port=None),
            log=Log(level="warning"),
        )
        create_topics(settings, needed_topics(settings, read_manifest(find_bundle(settings.bundle)).bundle_id))
        platform = Platform(settings)
        stack.callback(platform.close)
        processes = [stack.enter_context(worker(settings, folder / "assign.log", "assign", "route"))]
        for number in range(count):
            encode = Encode(embed_cpus=(cores[number % len(cores)],), intra_op_threads=1)
            given = settings.model_copy(update={"encode": encode})
            processes.append(stack.enter_context(worker(given, folder / f"encode-{number}.log", "encode")))
        platform.publish(stream[:WARM_UP], rate=None)
        platform.wait_for(WARM_UP)
        before = _seconds(processes)
        platform.publish(stream, rate=None)
        rate = platform.rate_of(len(stream))
        return 1000.0 * (_seconds(processes) - before) / len(stream), rate


def _two_over_one(by_count: dict[int, list[float]]) -> float:
    one, two = (statistics.median(by_count[count]) for count in PROCESSES)
    return two / one


def _seconds(processes: list[subprocess.Popen[bytes]]) -> float:
    times = [psutil.Process(process.pid).cpu_times() for process in processes]
    return sum(spent.user + spent.system for spent in times)
