"""What effectively once costs beside at least once, at saturation, on the same posts.

Two workers that differ in `kafka.delivery` alone stand beside each other, each with topics of its own. They take
turns: while one works on a block of posts, the other is stopped.
"""

from __future__ import annotations

import signal
import statistics
import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from consumers.bundles import find_bundle
from consumers.demo.feed import post_of
from consumers.kafka.topics import create_topics, needed_topics
from consumers.settings import Encode, Http, Kafka, Log, Redis, Settings, Topics
from models.manifest import read_manifest
from models.synthetic.posts import StreamPlan, generate_stream
from tests.benchmarks.platform import Platform, worker
from tests.benchmarks.vector_bundle import vector_posts, write_vector_bundle
from tests.servers import kafka_broker, redis_server

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

Mode = Literal["transactions", "at-least-once"]

MODES: tuple[Mode, Mode] = ("transactions", "at-least-once")
VECTOR_SIZE = 64
CAMPAIGNS = 200
PATIENT: dict[str, str | int | float | bool] = {"session.timeout.ms": 120_000}
"""A worker that is stopped while the other has its turn stays in its group."""

LONGER = 12
"""The vector bundle's blocks are so many times as long: nothing is encoded there."""


@dataclass
class Figures:
    """Posts a second of each block, by what was measured and mode."""

    posts: int = 0
    rates: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def ratio(self, name: str) -> float:
        """Effectively once over at least once, of the medians."""
        once, least = (statistics.median(self.rates[name][mode]) for mode in MODES)
        return once / least

    def numbers(self) -> dict[str, Any]:
        """For build/bench.json."""
        return asdict(self) | {"ratios": {name: self.ratio(name) for name in self.rates}}

    def rows(self) -> Iterator[tuple[str, str]]:
        """For a table."""
        for name, rates in self.rates.items():
            for mode in MODES:
                told = ", ".join(f"{rate:.0f}" for rate in rates[mode])
                yield f"{name}, {mode}", f"{told} posts/s"
            yield f"{name}, effectively once over at least once", f"{self.ratio(name):.3f}"


def measure_delivery(posts: int, rounds: int) -> Figures:
    """Measure blocks of `posts` posts, so many of each mode; about two and a half minutes alone."""
    figures = Figures(posts=posts)
    stream = [msgspec.json.encode(post_of(made)) for made in generate_stream(StreamPlan(seed=72, posts=posts))]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_vector_bundle(folder / "bundle", VECTOR_SIZE)
        vectors = vector_posts(posts * LONGER, VECTOR_SIZE, CAMPAIGNS)
        for title, bundle, block in (
            ("the main job", Settings().bundle, stream),
            ("nothing to encode", str(folder / "bundle"), vectors),
        ):
            figures.rates[title] = measure_modes(bundle, block, rounds, folder)
    return figures


def measure_modes(bundle: str, block: list[bytes], rounds: int, folder: Path) -> dict[str, list[float]]:
    """Posts a second of every block, by mode; the order of the two changes from round to round."""
    rates: dict[str, list[float]] = {mode: [] for mode in MODES}
    with kafka_broker() as address, redis_server() as url, ExitStack() as stack:
        platforms: dict[str, Platform] = {}
        processes: dict[str, subprocess.Popen[bytes]] = {}
        for mode in MODES:
            settings = settings_of(mode, bundle, address, url)
            create_topics(settings, needed_topics(settings, read_manifest(find_bundle(bundle)).bundle_id))
            platforms[mode] = Platform(settings)
            stack.callback(platforms[mode].close)
            processes[mode] = stack.enter_context(worker(settings, folder / f"{mode}.log"))
            platforms[mode].publish(block[:100], rate=None)
            platforms[mode].wait_for(100)
        for number in range(rounds):
            for mode in MODES if number % 2 == 0 else reversed(MODES):
                for process in processes.values():
                    process.send_signal(signal.SIGSTOP)
                platforms[mode].publish(block, rate=None)
                processes[mode].send_signal(signal.SIGCONT)
                rates[mode].append(platforms[mode].rate_of(len(block)))
    return rates


def settings_of(mode: Mode, bundle: str, address: str, url: str) -> Settings:
    """The defaults with this delivery, and names of its own."""
    names = {role: f"{mode}-{name}" for role, name in Topics().model_dump().items()}
    return Settings(
        bundle=bundle,
        kafka=Kafka(bootstrap_servers=address, delivery=mode, group=mode, properties=PATIENT),
        redis=Redis(url=url, prefix=mode),
        topics=Topics(**names),
        encode=Encode(intra_op_threads=1),
        http=Http(port=None),
        log=Log(level="warning"),
    )
