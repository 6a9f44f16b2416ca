"""Assigning alone: posts a second on one core, and where the time goes.

    python -m tests.benchmarks.assign

A cell with so many clusters reads posts from a real Kafka, writes its state to a real Redis and its decisions to
Kafka, in transactions, as in production. The process that assigns has one core to itself; the servers have the other.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from confluent_kafka import Producer
from threadpoolctl import threadpool_limits

from consumers.assign import run_assign
from consumers.contracts import cell_log
from consumers.contracts.cell_log import PostRecord
from consumers.contracts.source import Source
from consumers.http import Health
from consumers.kafka.topics import create_topics, needed_topics
from consumers.metrics import POSTS, STEP
from consumers.names import cell_log_topic
from consumers.settings import Http, Kafka, Redis, Settings
from consumers.state.store import StateStore
from models import cluster_table
from models.candidates import Candidates
from models.cluster_table import ClusterTable
from models.manifest import Manifest, Modality, Provenance, Thresholds, VectorInput
from tests.servers import kafka_broker, redis_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from models.bundle import Bundle

ASSIGN_CORE, SERVERS_CORE = 0, 1
NAMES = ("text", "image", "audio")
COSINE = 0.9
"""Of a post to its cluster's direction."""

EDGES = (0.1, 0.5, 0.9)
"""Between the first two shares of the posts all is measured but the search; up to the last one the search: its clock
itself costs something."""

CALIBRATION = 2000
"""Calls that tell what a clock shows of nothing."""

PATIENCE_SECONDS = 300.0


@dataclass
class AssignFigures:
    """What was measured.

    Attributes:
        rate: posts/s.
        processor: microseconds of processor time a post, of all threads; this says more than the rate where the
            machine is busy otherwise too.
        search: microseconds of that in the search itself: the product with all clusters, and finding the nearest.
        shares: of the time that passed. With one core for both threads, what overlaps counts in each; `search` is
            processor time, which does not count what the other threads did meanwhile.
        redis_bytes: of an entry of each kind, all its overhead included.
    """

    clusters: int = 0
    size: int = 0
    posts: int = 0
    rate: float = 0.0
    processor: float = 0.0
    search: float = 0.0
    shares: dict[str, float] = field(default_factory=dict)
    redis_bytes: dict[str, float] = field(default_factory=dict)

    def numbers(self) -> dict[str, Any]:
        """For build/bench.json."""
        return asdict(self)

    def rows(self) -> Iterator[tuple[str, str]]:
        """For a table."""
        yield "assign alone", f"{self.rate:.0f} posts/s among {self.clusters} clusters, {self.size} dimensions"
        within = f"{self.search:.0f} of them in the search ({self.search / self.processor:.0%})"
        yield "its processor time", f"{self.processor:.0f} µs a post, {within}"
        told = ", ".join(f"{kind} {size:.0f}" for kind, size in self.redis_bytes.items())
        yield "bytes of an entry in Redis", told
        yield "its time", ", ".join(f"{name} {share:.0%}" for name, share in self.shares.items())


def measure_assign(clusters: int = 10_000, size: int = 768, posts: int = 20_000) -> AssignFigures:
    """Assign alone; about a minute."""
    if len(os.sched_getaffinity(0)) < 2:
        raise SystemExit("this benchmark pins the assigning process to a core of its own: it needs two cores")
    figures = AssignFigures(clusters, size, posts)
    manifest = manifest_of(size)
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {SERVERS_CORE})
    with threadpool_limits(1, "blas"), kafka_broker() as address, redis_server() as url:
        settings = Settings(kafka=Kafka(bootstrap_servers=address), redis=Redis(url=url), http=Http(port=None))
        create_topics(settings, needed_topics(settings, manifest.bundle_id))
        write_log(settings, manifest, stream(clusters, posts, size))
        os.sched_setaffinity(0, {ASSIGN_CORE})
        with assigning(settings, manifest):
            _wait_for(clusters)
            _measure(figures, clusters)
        store = StateStore(settings.redis, manifest.bundle_id, settings.assign.cells)
        sizes = store.sizes(0)
        figures.redis_bytes = {kind: sizes[kind][1] / sizes[kind][0] for kind in ("clusters", "members")}
        store.close()
    os.sched_setaffinity(0, before)
    return figures


def _measure(figures: AssignFigures, clusters: int) -> None:
    """Rate, processor time and shares of some posts, then the search of others."""
    first, middle, last = (clusters + int(figures.posts * edge) for edge in EDGES)
    at, done = _wait_for(first)
    spent, steps = time.process_time(), _step_seconds()
    until, all_done = _wait_for(middle)
    count, after = all_done - done, _step_seconds()
    figures.processor = 1e6 * (time.process_time() - spent) / count
    figures.rate = count / (until - at)
    figures.shares = {name: (after[name] - steps[name]) / (until - at) for name in after}
    with timed_search() as search:
        _, done = _wait_for(int(all_done) + 1)
        spent = search()
        _, all_done = _wait_for(last)
        figures.search = 1e6 * (search() - spent) / (all_done - done)
    figures.shares["search"] = figures.search * figures.rate / 1e6


def _wait_for(count: int) -> tuple[float, float]:
    """When at least so many posts had been decided, and how many those were."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (found := _decided()) < count:
        if time.monotonic() > deadline:
            raise SystemExit(f"{found:.0f} of {count} posts decided after {PATIENCE_SECONDS:.0f} s")
        time.sleep(0.02)
    return time.perf_counter(), found


def _decided() -> float:
    return float(POSTS.labels("clear")._value.get())


def _step_seconds() -> dict[str, float]:
    return {step: float(STEP.labels(step)._sum.get()) for step in ("fold", "state", "emit")}


def manifest_of(size: int) -> Manifest:
    """A bundle of three modalities that come as vectors."""
    part = size // len(NAMES)
    return Manifest(
        name="bench",
        version="1",
        dimension=part,
        modalities=tuple(
            Modality(name=name, kind="vector", mean=(0.0,) * part, vector=VectorInput(size=part)) for name in NAMES
        ),
        thresholds=Thresholds(join=0.7, cohesion=0.5, centroid=0.75, exemplar=0.75, modality=0.5, twin=0.9),
        half_life_seconds=86_400.0,
        files={},
        provenance=Provenance(command="", seed=0, created_at="", shoal="", data=()),
        licence="none",
    )


def stream(clusters: int, posts: int, size: int) -> NDArray[np.float16]:
    """One post for each direction, then `posts` near directions drawn evenly: (clusters + posts, size)."""
    rng = np.random.default_rng(0)
    centres = _unit(rng.standard_normal((clusters, size), dtype=np.float32))
    noise = _unit(rng.standard_normal((posts, size), dtype=np.float32))
    later = _unit(COSINE * centres[rng.integers(0, clusters, posts)] + np.sqrt(1 - COSINE**2) * noise)
    return np.concatenate([centres, later]).astype(np.float16)


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def write_log(settings: Settings, manifest: Manifest, vectors: NDArray[np.float16]) -> None:
    """The posts, as encode would have written them, ten a second."""
    topic, now = cell_log_topic(settings, manifest.bundle_id), time.time_ns() // 1_000_000
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers, "linger.ms": 20})
    for number, vector in enumerate(vectors):
        source = Source("posts", "posts-id", number % 8, number // 8, now + 100 * number)
        parts = dict.fromkeys(NAMES, "used")
        record = PostRecord(
            post_id=f"post-{number:08}", source=source, time=now + 100 * number, parts=parts, vector=vector.tobytes()
        )
        producer.produce(topic, cell_log.encode(record), partition=0)
        if number % 1000 == 999:
            producer.flush(60)
    if producer.flush(60):
        raise SystemExit("the cell log was not written")


@contextmanager
def assigning(settings: Settings, manifest: Manifest) -> Iterator[None]:
    """The consumer, running in a thread of this process."""
    stop = threading.Event()
    bundle = SimpleNamespace(bundle_id=manifest.bundle_id, manifest=manifest, quantizer=lambda _cells: None)
    arguments = (settings, cast("Bundle", bundle), stop, Health(("assign",)))
    thread = threading.Thread(target=run_assign, args=arguments, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)


@contextmanager
def timed_search() -> Iterator[Callable[[], float]]:
    """Gives a function that tells the seconds of processor time spent in finding clusters near posts so far."""
    spent, calls, empty = 0.0, 0, 0.0
    parts: list[tuple[Any, str]] = [(cluster_table, "find_candidates"), (cluster_table, "find_listed")]
    parts += [(ClusterTable, name) for name in ("_bounds", "_listed", "_worth", "_exact")]
    parts += [(Candidates, name) for name in ("near", "joined", "opened")]
    originals = [(owner, name, getattr(owner, name)) for owner, name in parts]

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal spent, calls
            calls += 1
            start = time.thread_time()
            try:
                return function(*arguments, **named)
            finally:
                spent += time.thread_time() - start

        return call

    nothing = timed(lambda: None)
    for _ in range(CALIBRATION):
        nothing()
    spent, calls, empty = 0.0, 0, spent / calls
    for owner, name, function in originals:
        setattr(owner, name, timed(function))
    try:
        yield lambda: spent - calls * empty
    finally:
        for owner, name, function in originals:
            setattr(owner, name, function)


if __name__ == "__main__":
    for name, told in measure_assign().rows():
        print(f"{name:30} {told}")
