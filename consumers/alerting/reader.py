"""The flags as alerting reads them: at positions of its own, all partitions at once."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog
from confluent_kafka import OFFSET_END, KafkaError, KafkaException, Message, TopicPartition

from consumers.alerting.grouping import Place
from consumers.kafka.lag import ReadTo
from consumers.kafka.lookup import open_reader
from consumers.kafka.marks import Mark, read_mark
from consumers.kafka.topic_watch import TopicWatch
from consumers.metrics import LAG_RECORDS, LAG_SECONDS, PARTITIONS
from consumers.names import alert_group

if TYPE_CHECKING:
    from collections.abc import Mapping

    from confluent_kafka import Consumer

    from consumers.settings import Settings

LOOK_SECONDS = 10.0
"""How soon new partitions are noticed."""

PATIENCE_SECONDS = 1.0
NAME = "alert"

log = structlog.get_logger()


class AlertReader:
    """Reads the topics of flags and of notifications put back, from where the positions say.

    Where these say nothing, from what the group has committed; where that says nothing either, flags begin
    `alert.lookback_seconds` ago. It joins no group: the lease says who reads.

    Attributes:
        consumer: for its assignment and watermarks.
        start: where reading began, by partition.

    Raises:
        KafkaException, DeliveryError: the brokers do not tell.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._positions: Mapping[str, int] = {}
        self._timeout = settings.kafka.request_timeout_seconds
        self._topics = (settings.topics.flags, settings.topics.alerts)
        self._watches = {topic: TopicWatch(settings, topic) for topic in self._topics}
        self.consumer: Consumer = open_reader(settings, alert_group(settings))
        self.start: dict[str, int] = {}
        self._read_to = ReadTo()
        self._next_look = 0.0
        self._latest_ms = 0

    def begin_at(self, positions: Mapping[str, int]) -> None:
        """Say where each partition is to be read from; before the first poll."""
        self._positions = dict(positions)

    def poll(self, count: int, seconds: float) -> list[Message]:
        """The next messages, as many as come soon.

        Raises:
            KafkaException: the brokers do not tell what partitions there are.
            RecordsGoneError: a topic was deleted and made again.
        """
        for watch in self._watches.values():
            watch.check_now_and_then()
        if time.monotonic() >= self._next_look:
            # later ones can wait for brokers that are away: what is to be sent must not
            with suppress(*((KafkaException,) if self.start else ())):
                self._take_new_partitions(PATIENCE_SECONDS if self.start else self._timeout)
            self._next_look = time.monotonic() + LOOK_SECONDS
        found = [message for message in self.consumer.consume(count, seconds) if self._is_good(message)]
        if found:
            self._latest_ms = found[-1].timestamp()[1]
        return found

    def place(self, message: Message) -> Place:
        """Where a message stands."""
        return Place(self._name(message.topic() or "", message.partition() or 0), message.offset() or 0)

    def publish_lag(self, positions: Mapping[str, int]) -> None:
        """Set the gauges of partitions and lag, from what the fetches said last: asking would wait for each."""
        assigned = self.consumer.assignment()
        behind = 0
        for place in assigned:
            _, high = self.consumer.get_watermark_offsets(place, cached=True)
            name = self._name(place.topic, place.partition)
            position = positions.get(name, self.start.get(name, 0))
            behind += max(0, high - self._read_to.past(place.topic, place.partition, position))
        PARTITIONS.labels(NAME).set(len(assigned))
        LAG_RECORDS.labels(NAME).set(behind)
        LAG_SECONDS.labels(NAME).set(
            max(0.0, time.time() - self._latest_ms / 1000) if behind and self._latest_ms else 0
        )

    def commit(self, positions: Mapping[str, int]) -> None:
        """Commit for every partition that all before this offset has been told.

        Raises:
            KafkaException: the brokers do not take it.
        """
        offsets = [
            TopicPartition(place.topic, place.partition, position, Mark(self._watches[place.topic].topic_id).text())
            for place in self.consumer.assignment()
            if (position := positions.get(self._name(place.topic, place.partition))) is not None
        ]
        if offsets:
            self.consumer.commit(offsets=offsets, asynchronous=False)

    def close(self) -> None:
        """Read no more."""
        self.consumer.close()

    def _name(self, topic: str, partition: int) -> str:
        return f"{topic}:{self._watches[topic].topic_id}:{partition}"

    def _take_new_partitions(self, timeout: float) -> None:
        found = []
        for topic in self._topics:
            told = self.consumer.list_topics(topic, timeout=timeout).topics[topic]
            if told.error is not None:
                raise KafkaException(told.error)
            found += [(topic, number) for number in told.partitions if self._name(topic, number) not in self.start]
        if not found:
            return
        places = [self._begin(*one) for one in found]
        self.consumer.incremental_assign(places)
        for place in places:
            self.start[self._name(place.topic, place.partition)] = place.offset

    def _begin(self, topic: str, partition: int) -> TopicPartition:
        place = TopicPartition(topic, partition)
        low, high = self.consumer.get_watermark_offsets(place, timeout=self._timeout)
        wanted = self._positions.get(self._name(topic, partition))
        wanted = self._committed(place) if wanted is None else wanted
        if wanted is None:
            return TopicPartition(topic, partition, self._looked_back(place, low, high))
        if not low <= wanted <= high:
            log.warning("flags are gone before they were read", topic=topic, partition=partition, from_offset=low)
            wanted = low
        return TopicPartition(topic, partition, wanted)

    def _committed(self, place: TopicPartition) -> int | None:
        [found] = self.consumer.committed([place], timeout=self._timeout)
        if found.error is not None:
            raise KafkaException(found.error)
        mark = read_mark(found.metadata)
        ours = mark is not None and mark.topic_id == self._watches[place.topic].topic_id
        return found.offset if found.offset >= 0 and ours else None

    def _looked_back(self, place: TopicPartition, low: int, high: int) -> int:
        if place.topic != self._settings.topics.flags:
            return low
        since = int((time.time() - self._settings.alert.lookback_seconds) * 1000)
        asked = TopicPartition(place.topic, place.partition, since)
        [found] = self.consumer.offsets_for_times([asked], timeout=self._timeout)
        if found.error is not None:
            raise KafkaException(found.error)
        return high if found.offset == OFFSET_END or found.offset < 0 else found.offset

    def _is_good(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            self._read_to.record(message)
            return True
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
            self._read_to.end(message)
            return False
        if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001  # the offset is gone: begin anew
            raise KafkaException(error)
        log.warning("kafka", error=error.str(), code=error.name())
        return False
