"""The broker and the Redis without an installation."""

from __future__ import annotations

import redis
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from consumers.embedded import PARTITIONS, embedded_broker, embedded_redis


def test_the_embedded_broker_takes_messages_of_another_client() -> None:
    with embedded_broker() as broker:
        broker.create("posts")
        topics = AdminClient({"bootstrap.servers": broker.address, "log_level": 2}).list_topics(timeout=10).topics
        assert len(topics["posts"].partitions) == PARTITIONS
        errors: list[object] = []
        producer = Producer({"bootstrap.servers": broker.address, "log_level": 2})
        producer.produce("posts", b"value", on_delivery=lambda error, _: errors.append(error))
        assert producer.flush(10) == 0
        assert errors == [None]


def test_every_start_of_the_broker_has_its_own_identity() -> None:
    with embedded_broker() as one, embedded_broker() as other:
        assert one.identity != other.identity
        assert one.address != other.address


def test_the_embedded_redis_never_evicts_and_is_gone_after_the_block() -> None:
    with embedded_redis() as url, redis.Redis.from_url(url) as client:
        client.set("key", "value")
        assert client.info()["maxmemory_policy"] == "noeviction"
    with redis.Redis.from_url(url) as client:
        try:
            client.ping()
        except redis.ConnectionError:
            return
    raise AssertionError("the server still answers")
