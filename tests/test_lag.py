"""Lag is told over the partitions that are owned, and stays silent where the brokers do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition
from prometheus_client import REGISTRY

from consumers import lag as module
from consumers.lag import Lag

if TYPE_CHECKING:
    from confluent_kafka import Consumer


class Brokers:
    """Logs of 100 records a partition."""

    def __init__(self, *owned: int, silent: bool = False) -> None:
        self.owned = list(owned)
        self.silent = silent

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
    return Lag("test", cast("Consumer", brokers))


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
