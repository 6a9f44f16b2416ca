"""How long a cell stands still while it moves to another process, by the number of its clusters.

Two assign processes; one owns the cell, the other is a spare. Posts come into the cell's log at a steady rate. The
owner is asked to leave, or killed; what is measured is the longest pause between two decisions around that moment.
After a kill the group notices when the session times out, counted from the last heartbeat; that is told apart.
"""

from __future__ import annotations

import signal
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from confluent_kafka import Consumer, ConsumerGroupState, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from consumers.cells.fold import Fold
from consumers.cells.fold_settings import fold_settings
from consumers.contracts.cell_log import EraseRecord, PostRecord, encode
from consumers.contracts.source import Source
from consumers.kafka.topics import create_topics, needed_topics
from consumers.names import assign_group, cell_log_topic
from consumers.settings import Assign, Http, Kafka, Log, Redis, Settings
from consumers.state import codec
from consumers.state.codec import ClusterValue, MemberValue, StateChanges
from consumers.state.store import StateStore
from tests.benchmarks.platform import PATIENCE_SECONDS, Platform, worker
from tests.benchmarks.vector_bundle import unit_rows, write_vector_bundle
from tests.servers import kafka_broker, redis_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from models.manifest import Manifest

SESSION_SECONDS = 6.0
PROPERTIES: dict[str, str | int | float | bool] = {
    "session.timeout.ms": int(1000 * SESSION_SECONDS),
    "heartbeat.interval.ms": 500,
}
RATE = 50.0
WRITTEN_AT_ONCE = 2_000
FIRST_KEY = 10**9
"""Clusters are named by log offsets; these are beyond what the log of a benchmark reaches."""

EVENTS = {"asked to leave": signal.SIGTERM, "killed": signal.SIGKILL}


@dataclass
class Figures:
    """Seconds without a decision, by dimension, clusters and what happened to the owner."""

    session_seconds: float = SESSION_SECONDS
    pauses: dict[int, dict[int, dict[str, float]]] = field(default_factory=dict)

    def numbers(self) -> dict[str, Any]:
        """For build/bench.json."""
        return asdict(self)

    def rows(self) -> Iterator[tuple[str, str]]:
        """For a table."""
        for dimension, by_clusters in self.pauses.items():
            for clusters, pauses in by_clusters.items():
                left, killed = pauses["asked to leave"], pauses["killed"]
                beyond = killed - self.session_seconds
                told = f"owner leaves: {left:.2f} s; is killed: {beyond:.2f} s beyond the session timeout"
                yield f"{clusters} clusters of {dimension} numbers", told


def measure_moves(sizes: dict[int, tuple[int, ...]]) -> Figures:
    """Move cells of so many clusters, by dimension; about two minutes with the defaults."""
    figures = Figures()
    for dimension, counts in sizes.items():
        for clusters in counts:
            figures.pauses.setdefault(dimension, {})[clusters] = measure_move(dimension, clusters)
    return figures


def measure_move(dimension: int, clusters: int) -> dict[str, float]:
    """The pauses of one cell: its owner leaves, and after that its next owner is killed."""
    with (
        kafka_broker() as address,
        redis_server() as url,
        tempfile.TemporaryDirectory() as name,
        ExitStack() as stack,
    ):
        folder = Path(name)
        manifest = write_vector_bundle(folder / "bundle", dimension)
        settings = Settings(
            bundle=str(folder / "bundle"),
            kafka=Kafka(bootstrap_servers=address, properties=PROPERTIES),
            redis=Redis(url=url),
            assign=Assign(maximum_clusters=2 * clusters),
            http=Http(port=None),
            log=Log(level="warning"),
        )
        create_topics(settings, needed_topics(settings, manifest.bundle_id))
        fill(settings, manifest, clusters)
        platform = Platform(settings)
        stack.callback(platform.close)
        stack.enter_context(posts_at(settings, manifest, RATE))
        processes = [stack.enter_context(worker(named(settings, 0), folder / "0.log", "assign"))]
        platform.wait_for(1)
        pauses: dict[str, float] = {}
        for number, (event, sent) in enumerate(EVENTS.items(), 1):
            given = named(settings, number)
            processes.append(stack.enter_context(worker(given, folder / f"{number}.log", "assign")))
            owner = wait_for_members(settings, manifest, 2)
            before = platform.times_until(_now_ms() + 1000)
            processes[owner].send_signal(sent)
            processes[owner].wait(PATIENCE_SECONDS)
            times = [before[-1], *platform.times_until(_now_ms() + 500)]
            pauses[event] = float(np.diff(times).max())
        return pauses


def fill(settings: Settings, manifest: Manifest, clusters: int) -> None:
    """Give a cell so many clusters of one post each: in Redis, with a log and a committed offset that fit.

    The log holds one record that changes nothing for each write of the state.
    """
    store = StateStore(settings.redis, manifest.bundle_id, 1)
    store.claim(0, "benchmark")
    rng = np.random.default_rng(6)
    position: int | None = None
    for first in range(0, clusters, WRITTEN_AT_ONCE):
        changes = Fold(fold_settings(settings, manifest), manifest, 0, position=0).first_changes()
        vectors = unit_rows(rng, min(WRITTEN_AT_ONCE, clusters - first), manifest.fused_dimension)
        for key, vector in enumerate(vectors, FIRST_KEY + first):
            add_cluster(changes, key, vector)
        following = 0 if position is None else position + 1
        store.write(0, "benchmark", position, following, changes, b"")
        position = following
    store.close()
    reached = position or 0
    topic = cell_log_topic(settings, manifest.bundle_id)
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers})
    for _ in range(reached):
        producer.produce(topic, encode(EraseRecord(post_id="nobody", time=0)), partition=0)
    producer.flush(60)
    group = Consumer(
        {
            "bootstrap.servers": settings.kafka.bootstrap_servers,
            "group.id": assign_group(settings, manifest.bundle_id),
        }
    )
    group.commit(offsets=[TopicPartition(topic, 0, reached)], asynchronous=False)
    group.close()


def add_cluster(changes: StateChanges, key: int, vector: NDArray[np.float32]) -> None:
    """A cluster of one post, as the fold would write it."""
    now = _now_ms()
    member = MemberValue(
        f"post-{key}", Source("posts", "before", 0, key, now), now, now, vector.astype("<f2").tobytes()
    )
    changes.set("members", str(key), codec.encode(member))
    sums, half = codec.pack_sums(vector.astype("<f2").astype(np.float32), 1)
    cluster = ClusterValue(
        weight=1.0, squares=1.0, sums=sums, time=now, count=1, opened=now, seen=now, members=(key,), half=half
    )
    changes.set("clusters", str(key), codec.encode(cluster))


@contextmanager
def posts_at(settings: Settings, manifest: Manifest, rate: float) -> Iterator[None]:
    """Write encoded posts into the cell's log at a steady rate, from a thread."""
    done = threading.Event()
    topic = cell_log_topic(settings, manifest.bundle_id)
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers, "linger.ms": 0})

    def write() -> None:
        rng, number = np.random.default_rng(7), 0
        while not done.wait(1.0 / rate):
            source = Source("posts", "now", 0, number, _now_ms())
            vector = unit_rows(rng, 1, manifest.fused_dimension)[0].astype("<f2").tobytes()
            record = PostRecord(
                post_id=f"now-{number}", source=source, time=source.timestamp, parts={}, vector=vector
            )
            producer.produce(topic, encode(record), partition=0)
            producer.poll(0)
            number += 1

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        producer.flush(10)


def named(settings: Settings, number: int) -> Settings:
    """The settings of process `number`: the group tells its members by these names."""
    properties = PROPERTIES | {"client.id": str(number)}
    return settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"properties": properties})})


def wait_for_members(settings: Settings, manifest: Manifest, count: int) -> int:
    """Wait until the group of the cells' owners has so many members and is at rest; gives the one with the cell."""
    admin = AdminClient({"bootstrap.servers": settings.kafka.bootstrap_servers})
    group = assign_group(settings, manifest.bundle_id)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = admin.describe_consumer_groups([group])[group].result(10)
        owners = [int(member.client_id) for member in found.members if member.assignment.topic_partitions]
        if len(found.members) == count and owners and found.state == ConsumerGroupState.STABLE:
            return owners[0]
        if time.monotonic() > deadline:
            raise SystemExit(f"the group has {len(found.members)} members and is {found.state}")
        time.sleep(0.1)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
