"""What is left of a log is counted in records, whatever else takes offsets."""

from __future__ import annotations

import uuid
from contextlib import closing

import pytest
from confluent_kafka import TopicPartition

from consumers.kafka import lookup
from consumers.kafka.delivery import Outgoing, open_delivery
from consumers.kafka.lookup import open_reader, records_left
from consumers.kafka.topics import Topic, create_topics
from consumers.settings import Kafka, Settings

pytestmark = pytest.mark.kafka


def test_markers_of_transactions_are_not_left_to_read(kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"lookup-{uuid.uuid4().hex[:8]}"
    settings = Settings(kafka=Kafka(bootstrap_servers=kafka, group=name, request_timeout_seconds=30))
    create_topics(settings, [Topic("posts", name, 1, 1)])
    with closing(open_delivery(settings, name)) as delivery:
        for count in (2, 1):
            delivery.deliver([Outgoing(name, None, b"post", partition=0)] * count)
    with closing(open_reader(settings)) as reader:
        _, end = reader.get_watermark_offsets(TopicPartition(name, 0), timeout=30)
        left = [records_left(reader, TopicPartition(name, 0, start), end, 30) for start in range(end + 1)]
        assert (end, left) == (5, [3, 2, 1, 1, 0, 0])
        monkeypatch.setattr(lookup, "MOST_COUNTED", 3)
        assert records_left(reader, TopicPartition(name, 0, 0), end, 30) == 5, "a long way is told in offsets"
