"""What a post costs in processor time with one encode process and with two, beside one assign process."""

from __future__ import annotations

import os
import statistics
import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import psutil

from consumers.bundles import find_bundle
from consumers.demo.feed import post_of
from consumers.settings import Encode, Http, Kafka, Log, Redis, Settings
from consumers.topics import create_topics, needed_topics
from models.manifest import read_manifest
from models.synthetic.posts import StreamPlan, generate_stream
from tests.benchmarks.platform import Platform, worker
from tests.servers import kafka_broker, redis_server

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

PROCESSES = (1, 2)
WARM_UP = 200


@dataclass
class Figures:
    """Processor milliseconds of all workers for each post, by the number of encode processes, of each round."""

    posts: int = 0
    milliseconds: dict[int, list[float]] = field(default_factory=dict)
    rates: dict[int, list[float]] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """Two over one, of the medians."""
        one, two = (statistics.median(self.milliseconds[count]) for count in PROCESSES)
        return two / one

    def numbers(self) -> dict[str, Any]:
        """For build/bench.json."""
        return asdict(self) | {"two_over_one": self.ratio}

    def rows(self) -> Iterator[tuple[str, str]]:
        """For a table."""
        for count in PROCESSES:
            spent = ", ".join(f"{value:.2f}" for value in self.milliseconds[count])
            rates = ", ".join(f"{rate:.0f}" for rate in self.rates[count])
            yield f"{count} encode and 1 assign process", f"{spent} ms of processor time a post ({rates} posts/s)"
        yield "two over one", f"{self.ratio:.3f}"


def measure_encoders(posts: int, rounds: int) -> Figures:
    """Measure blocks of `posts` posts at saturation, so many with each number of processes; about two minutes."""
    figures = Figures(posts, {count: [] for count in PROCESSES}, {count: [] for count in PROCESSES})
    plan = StreamPlan(seed=73, posts=posts)
    stream = [msgspec.json.encode(post_of(made)) for made in generate_stream(plan)]
    for number in range(rounds):
        for count in PROCESSES if number % 2 == 0 else reversed(PROCESSES):
            spent, rate = measure_one(stream, count)
            figures.milliseconds[count].append(spent)
            figures.rates[count].append(rate)
    return figures


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


def _seconds(processes: list[subprocess.Popen[bytes]]) -> float:
    times = [psutil.Process(process.pid).cpu_times() for process in processes]
    return sum(spent.user + spent.system for spent in times)
