"""A topic, its consumer group of one member, and a transactional producer, in memory and under a test's control."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from consumers.encoding.work import PostInWork, SourceRecord
from consumers.kafka.lag import ReadTo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from consumers.kafka.delivery import Outgoing

TOPIC = "posts"
SIZE = 100


@dataclass(frozen=True)
class FakeMessage:
    number: int
    place: int

    def topic(self) -> str:
        return TOPIC

    def partition(self) -> int:
        return self.place

    def offset(self) -> int:
        return self.number

    def value(self) -> bytes:
        return b"x" * SIZE

    def key(self) -> None:
        return None

    def error(self) -> None:
        return None

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_700_000_000_000


@dataclass
class FakeLog:
    """Partitions of `count` records each; what is committed, and what was written, as (partition, offset).

    Attributes:
        marks: the metadata of each partition's committed offset.
        low: the offset at which the partitions begin.
    """

    partitions: int
    count: int
    committed: dict[int, int] = field(default_factory=dict)
    marks: dict[int, str] = field(default_factory=dict)
    low: int = 0
    written: list[tuple[int, int]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def done(self) -> bool:
        return all(self.committed.get(place, 0) == self.count for place in range(self.partitions))

    def all(self) -> list[tuple[int, int]]:
        return [(place, number) for place in range(self.partitions) for number in range(self.count)]

    def commit(self, places: Iterable[TopicPartition]) -> None:
        for place in places:
            self.committed[place.partition] = place.offset
            self.marks[place.partition] = place.metadata or ""


class FakeConsumer:
    """Gives the records of the partitions it is assigned; rebalances happen inside `poll`, as in librdkafka."""

    def __init__(self, log: FakeLog, callbacks: dict[str, Callable[..., None]]) -> None:
        self.log = log
        self.callbacks = callbacks
        self.failure: Exception | None = None
        self.taken: set[tuple[str, int]] = set()
        self.gained: set[tuple[str, int]] = set()
        self.read_to = ReadTo()
        self.member = "member-1"
        self.answers = True
        self.asked = 0
        self.closed = False
        self.paused: set[int] = set()
        self.positions: dict[int, int] = {}
        self.polls = 0
        self.events: list[tuple[str, list[int]]] = []
        self.halted = threading.Event()
        """While set, records do not come."""
        self.rebalance("on_assign", *range(log.partitions))

    def rebalance(self, kind: str, *places: int) -> None:
        """At the next poll: `on_assign`, `on_revoke` or `on_lost` these partitions."""
        self.events.append((kind, list(places)))

    def poll(self, timeout: float) -> FakeMessage | None:
        self.polls += 1
        while self.events:
            self._call(*self.events.pop(0))
        for place in sorted(self.positions, key=lambda place: self.positions[place]):
            number = self.positions[place]
            if place not in self.paused and number < self.log.count and not self.halted.is_set():
                self.positions[place] = number + 1
                return FakeMessage(number, place)
        time.sleep(min(timeout, 0.002))
        return None

    def consume(self, count: int, timeout: float) -> list[FakeMessage]:
        found: list[FakeMessage] = []
        while len(found) < count and (message := self.poll(timeout)) is not None:
            found.append(message)
        return found

    def _call(self, kind: str, places: list[int]) -> None:
        partitions = [TopicPartition(TOPIC, place) for place in places]
        if kind == "on_assign":
            self.gained |= {(TOPIC, place) for place in places}
        else:
            self.taken |= {(TOPIC, place) for place in places}
            self.gained -= {(TOPIC, place) for place in places}
        try:
            self.callbacks[kind](self, partitions)
        except Exception as error:  # noqa: BLE001
            self.failure = error

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        self.positions |= {place.partition: self.log.low for place in partitions}

    def incremental_unassign(self, partitions: list[TopicPartition]) -> None:
        for place in partitions:
            self.positions.pop(place.partition)
            self.paused.discard(place.partition)

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition(TOPIC, place) for place in self.positions]

    def pause(self, partitions: list[TopicPartition]) -> None:
        self.paused |= {place.partition for place in partitions}

    def resume(self, partitions: list[TopicPartition]) -> None:
        self.paused -= {place.partition for place in partitions}

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        self._ask(timeout)
        with self.log.lock:
            return [
                TopicPartition(
                    TOPIC,
                    p.partition,
                    self.log.committed.get(p.partition, -1001),
                    self.log.marks.get(p.partition, ""),
                )
                for p in partitions
            ]

    def commit_offsets(self, places: list[TopicPartition], timeout: float) -> None:
        self._ask(timeout)
        with self.log.lock:
            self.log.commit(places)

    def seek(self, place: TopicPartition) -> None:
        self.positions[place.partition] = max(0, place.offset)

    def get_watermark_offsets(
        self, place: TopicPartition, timeout: float = 0.0, *, cached: bool = False
    ) -> tuple[int, int]:
        assert place.topic == TOPIC
        if cached:
            return -1001, -1001
        self._ask(timeout)
        return self.log.low, self.log.count

    def skip(self, subject: str) -> str:
        return f"; skip {subject}"

    def list_topics(self, timeout: float) -> None:
        self._ask(timeout)

    def _ask(self, timeout: float) -> None:
        assert timeout > 0
        self.asked += 1
        if not self.answers:
            raise KafkaException(KafkaError(KafkaError._ALL_BROKERS_DOWN))

    def consumer_group_metadata(self) -> str:
        return self.member

    def memberid(self) -> str:
        return self.member

    def serve(self) -> None:
        pass

    def close(self) -> None:
        if self.positions:
            self._call("on_revoke", list(self.positions))
        self.closed = True


class FakeDelivery:
    """Writes and commits at once, unless `trouble` raises before it or `regret` after it. Counts its calls."""

    def __init__(self, log: FakeLog) -> None:
        self.log = log
        self.calls = 0
        self.closed = 0
        self.trouble: Callable[[int], None] = lambda _: None
        self.regret: Callable[[int], None] = lambda _: None

    def deliver(
        self,
        messages: Sequence[Outgoing],
        offsets: Sequence[TopicPartition] = (),
        consumer: Any = None,
        group: Any = None,
    ) -> None:
        self.calls += 1
        call = self.calls
        self.trouble(call)
        assert group
        assert consumer is not None
        with self.log.lock:
            for message in messages:
                place, _, number = (message.value or b"").decode().partition(":")
                self.log.written.append((int(place), int(number)))
            self.log.commit(offsets)
        self.regret(call)

    def close(self) -> None:
        self.closed += 1


class FakeWatch:
    """Of a topic that stays the same."""

    topic_id = "id"

    def check(self) -> None:
        pass

    def ask(self) -> Callable[[], None]:
        return self.check

    def check_now_and_then(self) -> None:
        pass

    def made_again(self, former: str) -> str:
        return f"{former} is now {self.topic_id}"


class FakeSuspects:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.windows: list[tuple[int, int, int, int]] = []
        self.examined: list[tuple[int, int]] = []
        self.pending: set[int] = set()

    def expect(self, partition: int, *, start: int, count: int, end: int) -> None:
        self.windows.append((partition, start, count, end))

    def expected(self, partition: int) -> bool:
        return partition in self.pending

    def examine(self, message: FakeMessage) -> None:
        self.examined.append((message.place, message.number))

    def close(self) -> None:
        pass


def work_of(message: FakeMessage) -> PostInWork:
    """A post in work that remembers only where it came from."""
    from consumers.contracts.source import Source

    return PostInWork(SourceRecord(Source(TOPIC, "id", message.place, message.number, 0), None, b""))
