"""Lag is told over the partitions that are owned, is nothing at rest, and stays silent where the brokers do."""

from __future__ import annotations

import random
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition
from prometheus_client import REGISTRY

from consumers.kafka import lag as module
from consumers.kafka.delivery import Aborted, Outgoing, collect, open_consumer, open_delivery
from consumers.kafka.lag import Lag, ReadTo
from consumers.kafka.topics import Topic, create_topics
from consumers.settings import Kafka, Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka import Consumer

    from consumers.kafka.delivery import GroupConsumer


TOO_LARGE = 1_000_000
"""For the topic."""


class Brokers:
    """Logs of 100 records a partition."""

    def __init__(self, *owned: int, silent: bool = False) -> None:
        self.owned = list(owned)
        self.silent = silent
        self.read_to = ReadTo()

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition("log", number) for number in self.owned]

    def get_watermark_offsets(self, place: TopicPartition, *, timeout: float) -> tuple[int, int]:
        assert timeout > 0
        if self.silent or place.partition not in self.owned:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return 0, 100


@pytest.fixture(autouse=True)
def _asked_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY_SECONDS", 0.0)


def lag_of(brokers: Any) -> Lag:
    return Lag("test", cast("GroupConsumer", brokers))


def records() -> float | None:
    return REGISTRY.get_sample_value("shoal_lag_records", {"consumer": "test"})


def seconds() -> float:
    return REGISTRY.get_sample_value("shoal_lag_seconds", {"consumer": "test"}) or 0.0


def read(partition: int, offset: int, timestamp: int = 1) -> Message:
    return Message(topic="log", partition=partition, offset=offset, value=b"", timestamp=(1, timestamp))


def test_records_after_the_committed_ones_are_the_lag() -> None:
    lag = lag_of(Brokers(0, 1))
    lag.start(TopicPartition("log", 0, 10))
    lag.start(TopicPartition("log", 1, 100))
    lag.publish()
    assert (records(), seconds()) == (90, 0)
    lag.advance([read(0, 49), read(0, 59)])
    lag.publish()
    assert records() == 40
    assert seconds() > 1e6


def test_a_log_that_is_read_to_its_end_has_no_lag() -> None:
    lag = lag_of(Brokers(0))
    lag.advance([read(0, 99)])
    lag.publish()
    assert (records(), seconds()) == (0, 0)


def test_partitions_given_up_no_longer_count() -> None:
    brokers = Brokers(0, 1)
    lag = lag_of(brokers)
    lag.start(TopicPartition("log", 0, 10))
    lag.start(TopicPartition("log", 1, 50))
    brokers.owned = [1]
    lag.publish()
    assert records() == 50


def test_silent_brokers_are_no_failure() -> None:
    lag = lag_of(Brokers(0, silent=True))
    lag.start(TopicPartition("log", 0, 10))
    lag.publish()
    assert records() == 0


def test_committed_records_are_counted_by_how_far_commits_move_on() -> None:
    def committed() -> float:
        return REGISTRY.get_sample_value("shoal_committed_records_total", {"consumer": "test"}) or 0.0

    lag = lag_of(Brokers(0, 1))
    before = committed()
    lag.start(TopicPartition("log", 0, 10))
    lag.advance([read(0, 14)])
    assert committed() - before == 5
    lag.advance([read(0, 15), read(0, 17), read(1, 60)])
    assert committed() - before == 8, "partition 1 was never begun: how far it has moved is not known"


def test_offsets_after_the_last_record_count_once_all_before_them_is_committed() -> None:
    brokers = Brokers(0)
    lag = lag_of(brokers)
    lag.start(TopicPartition("log", 0, 90))
    brokers.read_to.record(read(0, 95))
    brokers.read_to.end(read(0, 100))
    lag.advance([read(0, 94)])
    lag.publish()
    assert records() == 5, "record 95 is read, and not committed"
    lag.advance([read(0, 95)])
    lag.publish()
    assert (records(), seconds()) == (0, 0)
    lag.start(TopicPartition("log", 0, 50))
    lag.publish()
    assert records() == 50, "it is read again from there"


@pytest.mark.kafka
def test_a_log_of_transactions_has_no_lag_at_rest(kafka: str) -> None:
    """It ends with markers: of the last transaction, and of others that were given up."""
    name = f"lag-{uuid.uuid4().hex[:8]}"
    settings = Settings(kafka=Kafka(bootstrap_servers=kafka, group=name, request_timeout_seconds=30))
    create_topics(settings, [Topic("posts", name, 1, 1, {"max.message.bytes": "500000"})])
    delivery = open_delivery(settings, name)

    def from_beginning(consumer: Consumer, _: list[TopicPartition]) -> None:
        consumer.incremental_assign([start])
        lag.start(start)

    start = TopicPartition(name, 0, 0)
    consumer = open_consumer(settings, name, topic=name, on_assign=from_beginning)
    lag = lag_of(consumer)

    def read_until(wanted: Callable[[list[Message]], bool]) -> list[Message]:
        found: list[Message] = []
        deadline = time.monotonic() + 120
        while not wanted(found):
            assert time.monotonic() < deadline, (records(), found)
            found += collect(consumer, count=100, size_bytes=2**20, wait_ms=20, stop=threading.Event())
            lag.publish()
        return found

    def deliver(*sizes: int) -> None:
        delivery.deliver([Outgoing(name, None, random.Random(1).randbytes(size), partition=0) for size in sizes])

    try:
        deliver(1)
        deliver(1, 1)
        with pytest.raises(Aborted):
            deliver(1, TOO_LARGE)
        found = read_until(lambda found: len(found) == 3)
        assert records() == consumer.get_watermark_offsets(start, timeout=30)[1] > 4
        lag.advance(found)
        assert read_until(lambda _: records() == 0) == []
        assert seconds() == 0
        deliver(1)
        assert len(read_until(lambda _: records() == 2)) <= 1, "the record and its marker"
    finally:
        delivery.close()
        consumer.close()
