"""What a scenario works with: a platform of its own, workers, a stream, and the checker at the end."""

from __future__ import annotations

import signal
import subprocess
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from confluent_kafka import ConsumerGroupState, ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.cimpl import NewTopic

from consumers.kafka.lookup import read_topic
from consumers.kafka.topic_watch import TopicWatch
from consumers.names import cell_log_topic, encode_group
from consumers.settings import Assign, Encode, Kafka, Redis, Verdicts
from models.bundle import Bundle, open_bundle
from tests.faults import trace
from tests.faults.checker import Violation, violations
from tests.faults.feeder import Feeder
from tests.faults.found import Found, Logged, committed_offsets, read_everything
from tests.faults.processes import Forked
from tests.faults.stream import Stream
from tests.faults.watch import DecisionWatch, Sampler
from tests.integration.platform import Platform, Running, Worker, eventually, make_topics, platform_settings
from tests.servers import Broker, own_broker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from consumers.recovery.verify import Difference
    from consumers.settings import Settings
    from tests.faults.stream import StreamPost
    from tests.faults.trace import Note

SESSION_SECONDS = 3.0
RESUME_SECONDS = SESSION_SECONDS + 25.0
"""Within this time after a fault is over there must be progress in every cell."""

FINISH_SECONDS = 90.0
"""For everything that has been published to be decided, once nothing is in the way."""

LATE_SECONDS = 5.0
"""For the rest once something has not come in time: it is lost anyway."""

DEATH_SECONDS = 120.0
TOPIC_SECONDS = 30.0
"""For a deleted topic to be gone, so that another can have its name."""

FEW_BYTES = 100
USUAL_BYTES = 1_048_588
"""What brokers take in one batch unless a topic says otherwise."""

MOST_MEMORY_MB = 700.0
"""Of a worker on the stream of the scenarios; most of it is libraries."""

CLIENT = {
    "session.timeout.ms": int(1000 * SESSION_SECONDS),
    "heartbeat.interval.ms": 500,
    "max.poll.interval.ms": 60_000,
    "topic.metadata.refresh.interval.ms": 2_000,
    "reconnect.backoff.max.ms": 1_000,
    "fetch.wait.max.ms": 100,
}


class NotReached(AssertionError):  # noqa: N818  # nothing is wrong with Shoal
    """The fault did not happen as the scenario meant it to: nothing has been proven."""


@dataclass(frozen=True)
class Servers:
    """What scenarios share: a broker, a Redis, a bundle."""

    kafka: str
    redis: str
    bundle: Path


@dataclass
class Outcome:
    """What became of a scenario.

    Attributes:
        resumed: seconds from the end of the fault to progress: the first decision in the last cell, or the first
            verdict routed; None where nothing stood still.
        violations: empty when every promise was kept.
    """

    violations: list[Violation]
    resumed: float | None
    memory_mb: float
    posts: int
    notes: list[str] = field(default_factory=list)


class Context:
    """One run of a scenario. Everything that is started here ends with it.

    Attributes:
        seed: of the stream, and of whatever the scenario draws.
        mutant: the guard that all workers lack.
        patience: the stated times may pass so many times; more than once where it is not they that are to be shown.
        rate: of the stream, in posts a second.
        replayed: posts are read a second time on purpose.
        most_memory_mb: of one worker.
        gone: posts are deleted on purpose, some before they were read.
        former: what was published to a posts topic that has been deleted since, by (topic id, partition, offset).
        differences: between snapshots and what they should be.
        stopped: cell -> the position at which it was stopped on purpose, for good.
        cut: cell -> the part of its log that was deleted on purpose.
    """

    def __init__(
        self, servers: Servers, folder: Path, seed: int, mutant: str | None = None, patience: float = 1.0
    ) -> None:
        self.servers = servers
        self.folder = folder
        self.seed = seed
        self.mutant = mutant
        self.patience = patience
        self.workers: list[Worker] = []
        self.late: list[str] = []
        self.former: dict[tuple[str, int, int], StreamPost] = {}
        self.differences: list[Difference] = []
        self.stopped: dict[int, int] = {}
        self.cut: dict[int, list[Logged]] = {}
        self.replayed = False
        self.gone = False
        self.most_memory_mb = MOST_MEMORY_MB
        self.rate = 80.0
        self.resumed: float | None = None
        self.closing = ExitStack()
        self.trace_file = folder / "trace"
        self._sections: dict[str, Any] = {}
        self._fault_over: float | None = None
        self._due = "assign"
        self._may_fail: set[int] = set()
        self._asked: set[int] = set()

    # settings; before anything else is used

    def configure(self, **sections: Any) -> None:
        """Put sections of the settings in the place of the scenarios' own: kafka, redis, assign, ..."""
        assert "platform" not in self.__dict__, "configure first"
        self._sections |= sections

    def own_broker(self) -> Broker:
        """A broker for this scenario alone, that may be killed and started again."""
        broker = self.closing.enter_context(own_broker())
        self.configure(kafka=self.kafka(bootstrap_servers=broker.address))
        return broker

    def kafka(self, **fields: Any) -> Kafka:
        """The settings of Kafka with these fields changed."""
        given = {"bootstrap_servers": self.servers.kafka, "properties": CLIENT, "request_timeout_seconds": 15.0}
        return Kafka(**(given | fields))

    @cached_property
    def platform(self) -> Platform:
        """The platform, with its topics."""
        sections: dict[str, Any] = {
            "kafka": self.kafka(),
            "redis": Redis(url=self.servers.redis, timeout_seconds=2.0),
            "assign": Assign(cells=2, batch_wait_ms=5.0, batch_records=32, members=512),
            "encode": Encode(
                batch_posts=16, batch_wait_ms=10.0, decode_threads=1, intra_op_threads=1, provider="cpu"
            ),
            "verdicts": Verdicts(chunk_posts=8),
        } | self._sections
        kafka, redis = sections.pop("kafka"), sections.pop("redis")
        platform = Platform(platform_settings(self.servers.bundle, kafka, redis, **sections))
        make_topics(platform)
        return platform

    @property
    def settings(self) -> Settings:
        """Of the platform."""
        return self.platform.settings

    @cached_property
    def bundle(self) -> Bundle:
        """The bundle, opened."""
        return open_bundle(self.servers.bundle, provider="cpu", intra_op_threads=1)

    @cached_property
    def watch(self) -> DecisionWatch:
        """Decisions as they come."""
        watch = DecisionWatch(self.settings)
        self.closing.callback(watch.close)
        return watch

    @cached_property
    def sampler(self) -> Sampler:
        """Committed offsets and memory."""
        sampler = Sampler(self.settings, self.bundle.bundle_id)
        self.closing.callback(sampler.close)
        return sampler

    # workers

    def start(
        self,
        *names: str,
        points: str = "",
        clock: float = 0.0,
        ready: bool = True,
        full_disk: bool = False,
        traced: bool = True,
        launch: Callable[[list[str], dict[str, str], Path], Running] = Forked,
    ) -> Worker:
        """Start a worker with these consumers (all of them without names).

        Args:
            points: what it does at crash points; see crash_points.install.
            clock: seconds by which its clock is wrong.
            ready: wait until it can work.
            full_disk: what it logs cannot be written.
            traced: it notes its claims and writes.
            launch: starts the process.
        """
        variables = {"SHOAL_TEST_POINTS": points}
        variables |= {"SHOAL_TEST_TRACE": str(self.trace_file)} if traced else {}
        variables |= {"SHOAL_TEST_CLOCK": str(clock)} if clock else {}
        variables |= {"SHOAL_TEST_MUTANT": self.mutant} if self.mutant else {}
        log = Path("/dev/full") if full_disk else self.folder / f"worker-{len(self.workers)}.log"
        worker = Worker(self.settings, log, *names, launch=launch, **variables)
        self.workers.append(worker)
        self.closing.callback(worker.process.kill)
        self.sampler.pids.add(worker.process.pid)
        if ready:
            worker.wait_ready()
        return worker

    def await_refusal(self, worker: Worker, *said: str, seconds: float = DEATH_SECONDS) -> None:
        """Wait until a worker has ended by itself, with an error that says one of these."""
        self._may_fail.add(worker.process.pid)
        try:
            code = worker.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.late.append(f"a worker went on where it must stop: {_end_of(worker)}")
            return
        if code != 1 or not any(one in worker.log.read_text() for one in said):
            self.late.append(f"a worker ended with {code} and does not say {' or '.join(said)}: {_end_of(worker)}")

    def await_death(self, worker: Worker, seconds: float = DEATH_SECONDS) -> None:
        """Wait until a worker has died of its crash point."""
        try:
            code = worker.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise NotReached(f"no process died: {_end_of(worker)}") from None
        if code not in {-signal.SIGKILL, -signal.SIGSEGV}:
            raise NotReached(f"the process ended with {code}: {_end_of(worker)}")

    def await_partitions(self, worker: Worker, consumer: str, seconds: float = DEATH_SECONDS) -> None:
        """Wait until a worker has been given partitions to read, or has died: who joins after it leaves it some."""

        def given() -> bool:
            told = [event for event in worker.events("rebalance") if event["consumer"] == consumer]
            return any(event["partitions"] for event in told) or worker.process.poll() is not None

        eventually(given, bool, seconds)

    def await_members(self, group: str, count: int, seconds: float = DEATH_SECONDS) -> None:
        """Wait until a group has so many members, and all of them know its generation."""

        def settled() -> bool:
            [described] = self.admin.describe_consumer_groups([group]).values()
            found = described.result(15)
            return found.state == ConsumerGroupState.STABLE and len(found.members) == count

        eventually(settled, bool, seconds)

    def await_point(self, point: str, seconds: float = DEATH_SECONDS) -> None:
        """Wait until a worker does something at a crash point."""
        self.await_notes(lambda note: note.event == point, seconds)

    def freeze(self, worker: Worker) -> None:
        """Stop a worker where it is; `wake` lets it go on."""
        worker.process.send_signal(signal.SIGSTOP)

    def wake(self, worker: Worker) -> None:
        """Let a frozen worker go on."""
        worker.process.send_signal(signal.SIGCONT)

    def restart_if_dead(self, worker: Worker) -> None:
        """What a supervisor does: a worker may have given up, with an error that says why."""
        self._may_fail.add(worker.process.pid)
        if worker.process.poll() is not None:
            self.start(*worker.names, ready=False)

    # Kafka

    @cached_property
    def admin(self) -> AdminClient:
        """For what an operator does to topics and groups."""
        return AdminClient({"bootstrap.servers": self.settings.kafka.bootstrap_servers, "log_level": 0})

    @contextmanager
    def refusing(self, topic: str) -> Iterator[None]:
        """While the block lasts the broker takes nothing into this topic that is larger than a few bytes."""
        self._limit_records(topic, FEW_BYTES)
        yield
        self._limit_records(topic, USUAL_BYTES)

    def _limit_records(self, topic: str, size_bytes: int) -> None:
        entry = ConfigEntry("max.message.bytes", str(size_bytes), incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
        for future in self.admin.incremental_alter_configs([resource]).values():
            future.result(15)

    def delete_topic(self, topic: str) -> None:
        """Delete a topic with all that is in it."""
        for future in self.admin.delete_topics([topic]).values():
            future.result(15)

    def make_topic(self, topic: str, partitions: int) -> None:
        """Make a topic; one of this name may still be on its way out."""
        deadline = time.monotonic() + TOPIC_SECONDS
        while True:
            [made] = self.admin.create_topics([NewTopic(topic, partitions, 1)]).values()
            try:
                made.result(15)
            except KafkaException:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return

    def read_posts_from(self, offsets: dict[int, int]) -> None:
        """Let encode go on from these offsets of the posts topic; no encoder may run."""
        self.read_from(encode_group(self.settings, self.bundle.bundle_id), self.settings.topics.posts, offsets)

    def read_from(self, group: str, topic: str, offsets: dict[int, int]) -> None:
        """Let a group go on from these offsets of a topic, by partition; it may have no members."""
        places = [TopicPartition(topic, partition, offset) for partition, offset in offsets.items()]
        for moved in self.admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, places)]).values():
            moved.result(15)

    def posts_id(self) -> str:
        """The id that the posts topic has now."""
        return TopicWatch(self.settings, self.settings.topics.posts).topic_id

    def make_posts_again(self, partitions: int, pause: float) -> None:
        """Delete the posts topic, and make another of its name: what was published belongs to the former one."""
        former, topic = self.posts_id(), self.settings.topics.posts
        self.delete_topic(topic)
        time.sleep(pause)
        self.make_topic(topic, partitions)
        self.former |= {(former, *place): post for place, post in self.feeder.published.items()}
        self.feeder.published.clear()
        self.sampler.forget("encode")

    # the stream

    @cached_property
    def stream(self) -> Stream:
        """What is published."""
        return Stream(self.seed, 240)

    @cached_property
    def feeder(self) -> Feeder:
        """Publishes the stream from its first use on."""
        return Feeder(self.settings, self.stream, self.watch, rate=self.rate)

    def fault_over(self, *, of: str = "assign") -> None:
        """From now on nothing is in the way: progress is due in every cell, or of another consumer's offsets."""
        self._fault_over = time.monotonic()
        self._due = of

    def finish(self) -> None:
        """Wait until everything is decided and at rest, then ask the workers that are left to end."""
        self._await_progress()
        self.feeder.finish(LATE_SECONDS if self.late else self.patience * FINISH_SECONDS)
        self.late += self.feeder.failed
        self.await_decided()
        self.await_rest()
        self.stop_all()

    def await_rest(self) -> None:
        """Wait until everything that stands in a log is folded, and every verdict routed."""
        self._await("all logs folded and verdicts routed", self._at_rest)

    def ask_to_end(self, worker: Worker) -> None:
        """Send SIGTERM, and only once: a second one would end it at once."""
        if worker.process.pid not in self._asked and worker.process.poll() is None:
            self._asked.add(worker.process.pid)
            worker.process.send_signal(signal.SIGTERM)

    def stop_all(self) -> None:
        """End the workers that live; each must end well."""
        for worker in self.workers:
            self.ask_to_end(worker)
        for worker in self.workers:
            try:
                code = worker.process.wait(DEATH_SECONDS)
            except subprocess.TimeoutExpired:
                self.late.append(f"a worker did not end when asked: {_end_of(worker)}")
                worker.process.kill()
                continue
            if code not in {0, -signal.SIGKILL, -signal.SIGSEGV} and worker.process.pid not in self._may_fail:
                self.late.append(f"a worker ended with {code}: {_end_of(worker)}")

    def check(self) -> Outcome:
        """Read everything, and judge it."""
        self.sampler.close()
        posts_id = self.posts_id()
        found = Found(
            settings=self.settings,
            manifest=self.bundle.manifest,
            quantizer=self.bundle.quantizer(self.settings.assign.cells),
            exact=self.settings.kafka.delivery == "transactions",
            replayed=self.replayed,
            published=self.former | {(posts_id, *place): post for place, post in self.feeder.published.items()},
            went_back=self.sampler.went_back,
            late=self.late,
            trace=trace.read(self.trace_file),
            memory_mb=self.sampler.highest_mb,
            most_memory_mb=self.most_memory_mb,
            stopped=self.stopped,
        )
        read_everything(found, self.platform, self.bundle)
        for cell, before in self.cut.items():
            found.logs[cell] = before + found.logs[cell]
        found.differences += self.differences
        found.posts |= set(found.published if self.gone else self.former)
        return Outcome(violations(found), self.resumed, self.sampler.highest_mb, len(found.posts))

    def _await_progress(self) -> None:
        if self._fault_over is None:
            return
        over = self._fault_over
        seconds = self.patience * RESUME_SECONDS
        while (moment := self._progress(over)) is None and time.monotonic() < over + seconds:
            time.sleep(0.05)
        if moment is None:
            self.late.append(f"no progress within {seconds:.0f} s after the fault")
        else:
            self.resumed = moment - over

    def _progress(self, over: float) -> float | None:
        """When everything had gone on after a moment."""
        if self._due != "assign":
            return next((moment for moment in self.sampler.moved[self._due] if moment > over), None)
        firsts = [self.watch.first_after(cell, over) for cell in range(self.settings.assign.cells)]
        moments = [first for first in firsts if first is not None]
        return max(moments) if len(moments) == len(firsts) else None

    def _await(self, what: str, done: Any, told: Any = lambda: "") -> None:
        patience = LATE_SECONDS if self.late else self.patience * FINISH_SECONDS
        deadline = time.monotonic() + patience
        while not done():
            if time.monotonic() > deadline:
                self.late.append(f"not within {patience:.0f} s: {what} {told()}")
                return
            time.sleep(0.2)

    def await_decided(self) -> None:
        """Wait until everything published so far is decided."""
        self._await("every post decided", lambda: self._undecided() == 0, lambda: f"{self._undecided()} are not")

    def await_read_again(self) -> None:
        """Wait until the encoders have read all of the posts topic a second time."""
        ends: dict[int, int] = {}
        for partition, offset in self.feeder.published:
            ends[partition] = max(ends.get(partition, 0), offset + 1)
        self._await(
            "all posts read again",
            lambda: committed_offsets(self.settings, self.bundle.bundle_id)["encode"] == ends,
        )

    def undecided(self, post_ids: tuple[str, ...]) -> bool:
        """Whether some of these posts have no decision yet; a post that is not known by its id counts as well."""
        decided = self._decided()
        wanted = {place for place, post in dict(self.feeder.published).items() if post.post_id in post_ids}
        return len(wanted) < len(post_ids) or bool(wanted - decided)

    def forgive(self, worker: Worker) -> None:
        """The worker may have ended with any exit code."""
        self._may_fail.add(worker.process.pid)

    def forget_undecided(self, low: dict[int, int]) -> None:
        """Expect no decision about undecided posts below these offsets: they are gone."""
        decided = self._decided()
        for place in list(self.feeder.published):
            if place not in decided and place[1] < low[place[0]]:
                del self.feeder.published[place]

    def await_notes(self, wanted: Callable[[Note], bool], seconds: float = DEATH_SECONDS) -> None:
        """Wait until a worker has noted something."""
        deadline = time.monotonic() + seconds
        while not any(wanted(note) for note in trace.read(self.trace_file)):
            if time.monotonic() > deadline:
                raise NotReached(f"it did not come to that: {_end_of(self.workers[-1])}")
            time.sleep(0.02)

    def _decided(self) -> set[tuple[int, int]]:
        """Partition and offset of the posts decided, as far as the posts topic is the present one."""
        former = {topic_id for topic_id, _, _ in self.former}
        return {
            (partition, offset) for topic_id, partition, offset in self.watch.sources.copy() if topic_id not in former
        }

    def _undecided(self) -> int:
        return len(self.feeder.published.keys() - self._decided())

    def _at_rest(self) -> bool:
        found = committed_offsets(self.settings, self.bundle.bundle_id)
        return self.ends() == {name: found[name] for name in ("assign", "route")} == self.ends()

    def ends(self) -> dict[str, dict[int, int]]:
        """The offset after the last record of every partition of the cell log and of the verdicts."""
        log = cell_log_topic(self.settings, self.bundle.bundle_id)
        ends: dict[str, dict[int, int]] = {}
        for name, topic in (("assign", log), ("route", self.settings.topics.verdicts)):
            found: dict[int, int] = {}
            for message in read_topic(self.settings, topic):
                found[message.partition() or 0] = (message.offset() or 0) + 1
            ends[name] = found
        return ends


def _end_of(worker: Worker) -> str:
    return worker.log.read_text()[-1500:] if worker.log.is_file() else "nobody can read its log"
