"""A topic is known by its id, and one that was made again is another."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from consumers.kafka import topic_watch as module
from consumers.kafka.delivery import DeliveryError, RecordsGoneError
from consumers.kafka.topic_watch import TopicWatch
from consumers.kafka.topics import Topic, create_topics
from consumers.settings import Kafka, Settings
from tests.integration.platform import eventually

pytestmark = pytest.mark.kafka


def settings_of(kafka: str, **given: Any) -> Settings:
    return Settings(kafka=Kafka(bootstrap_servers=kafka, request_timeout_seconds=10, **given))


def make(settings: Settings, topic: str) -> None:
    """Make it; one of this name may still be on its way out."""

    def try_it() -> bool:
        try:
            create_topics(settings, [Topic("posts", topic, 1, 1, {})])
            TopicWatch(settings, topic)
        except Exception:  # noqa: BLE001
            return False
        return True

    eventually(try_it, bool)


def delete(settings: Settings, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": settings.kafka.bootstrap_servers})
    for deleted in admin.delete_topics([topic]).values():
        deleted.result(30)


def test_a_topic_made_again_is_told_to_whoever_asks_after_it_and_not_to_who_asked_before(
    kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, topic = settings_of(kafka), f"watched-{uuid.uuid4().hex[:8]}"
    make(settings, topic)
    watch = TopicWatch(settings, topic)
    watch.check()
    before = watch.ask()
    before()
    delete(settings, topic)

    def unknown() -> bool:
        try:
            watch.check()
        except KafkaException:
            return True
        return False

    eventually(unknown, bool)
    make(settings, topic)
    with pytest.raises(RecordsGoneError, match=f"{topic} was deleted and made again"):
        watch.ask()()
    before()
    assert watch.topic_id in watch.made_again("former")
    # every five seconds, and no sooner
    monkeypatch.setattr(module, "EVERY_SECONDS", 1000.0)
    watch._next = time.monotonic() + 1000.0
    watch.check_now_and_then()
    watch._next = time.monotonic()
    with pytest.raises(RecordsGoneError):
        watch.check_now_and_then()


def test_a_given_identity_stands_in_for_ids(kafka: str) -> None:
    watch = TopicWatch(settings_of(kafka, topic_identity="run-1"), "no-such-topic")
    watch.ask()()
    watch.check()
    assert watch.topic_id == "run-1"


def test_a_topic_that_is_not_there_is_told_in_one_line(kafka: str) -> None:
    with pytest.raises(DeliveryError, match="does not tell the id of topic no-such-topic") as caught:
        TopicWatch(settings_of(kafka), "no-such-topic")
    assert "\n" not in str(caught.value)


def test_brokers_that_are_away_do_not_stop_who_looks_now_and_then(kafka: str) -> None:
    settings, topic = settings_of(kafka), f"watched-{uuid.uuid4().hex[:8]}"
    make(settings, topic)
    watch = TopicWatch(settings, topic)
    watch._admin = AdminClient({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})
    with pytest.raises(KafkaException):
        watch.check(1.0)
    watch._next = 0.0
    watch.check_now_and_then()
