"""How far a consumer is behind its log, in records and in seconds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from confluent_kafka import KafkaException, TopicPartition

from consumers.metrics import COMMITTED, LAG_RECORDS, LAG_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from confluent_kafka import Message

    from consumers.kafka.delivery import GroupConsumer

EVERY_SECONDS = 5.0
PATIENCE_SECONDS = 1.0


class ReadTo:
    """Up to where partitions were read: past their last records, where only markers of transactions follow.

    A log that transactions write ends with a marker, which no reader is given and no offset is committed past. The
    client tells where it came to an end, and that is behind the markers.
    """

    def __init__(self) -> None:
        self._next: dict[tuple[str, int], int] = {}
        self._ends: dict[tuple[str, int], tuple[int, int]] = {}

    def begin(self, topic: str, partition: int) -> None:
        """Reading begins there, or begins somewhere else than where it was."""
        self._next.pop((topic, partition), None)
        self._ends.pop((topic, partition), None)

    def record(self, message: Message) -> None:
        """This record was read."""
        self._next[message.topic() or "", message.partition() or 0] = (message.offset() or 0) + 1

    def end(self, message: Message) -> None:
        """The client says with this message that nothing comes before its offset that has not been read."""
        place = (message.topic() or "", message.partition() or 0)
        self._ends[place] = (self._next.get(place, 0), message.offset() or 0)

    def past(self, topic: str, partition: int, offset: int) -> int:
        """The offset up to which there is no record from `offset` on, as far as that has been seen."""
        last, end = self._ends.get((topic, partition), (0, 0))
        return max(offset, end) if offset >= last else offset


class Lag:
    """The lag of one consumer over its own partitions; asks the brokers at most every five seconds."""

    def __init__(self, name: str, consumer: GroupConsumer) -> None:
        COMMITTED.labels(name)  # one that has never committed anything shows a zero
        self._name = name
        self._consumer = consumer
        self._next = 0.0
        self._committed: dict[tuple[str, int], int] = {}
        self._timestamps: dict[tuple[str, int], int] = {}

    def start(self, place: TopicPartition) -> None:
        """This partition is ours from now on, read from `place.offset` on, and committed up to there."""
        self._consumer.read_to.begin(place.topic, place.partition)
        self._committed[place.topic, place.partition] = place.offset

    def advance(self, messages: Iterable[Message]) -> None:
        """These messages are committed."""
        for message in messages:
            place = (message.topic() or "", message.partition() or 0)
            offset = (message.offset() or 0) + 1
            COMMITTED.labels(self._name).inc(max(0, offset - self._committed.get(place, offset)))
            self._committed[place] = offset
            self._timestamps[place] = message.timestamp()[1]

    def publish(self) -> None:
        """Set the two gauges, when the last time is long enough ago."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + EVERY_SECONDS
        owned = {(place.topic, place.partition) for place in self._consumer.assignment()}
        self._committed = {place: offset for place, offset in self._committed.items() if place in owned}
        records, oldest = 0, 0.0
        for (topic, partition), offset in self._committed.items():
            behind = self._behind(topic, partition, offset)
            records += behind
            if behind and (topic, partition) in self._timestamps:
                oldest = max(oldest, time.time() - self._timestamps[topic, partition] / 1000)
        LAG_RECORDS.labels(self._name).set(records)
        LAG_SECONDS.labels(self._name).set(oldest)

    def _behind(self, topic: str, partition: int, offset: int) -> int:
        try:
            place = TopicPartition(topic, partition)
            _, end = self._consumer.get_watermark_offsets(place, timeout=PATIENCE_SECONDS)
        except KafkaException:
            return 0
        return max(0, end - self._consumer.read_to.past(topic, partition, offset))
