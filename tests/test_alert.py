"""Flags in, notifications out: nothing lost over crashes and outages, nothing told twice without need."""

from __future__ import annotations

import base64
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import redis
import sklearn.datasets

from consumers.alert import run_alert
from consumers.alerting.settings import Alert
from consumers.alerting.thumbnails import blurred
from consumers.contracts.source import Source
from consumers.http import Health
from consumers.kafka.dead_letters import Selection, list_dead_letters, replay
from consumers.kafka.delivery import Outgoing, open_delivery
from consumers.kafka.lookup import open_reader, read_topic
from consumers.metrics import ALERTS_PENDING
from consumers.names import alert_group
from consumers.settings import Kafka, Redis, Settings, Topics
from tests.alerting.flags import flag, taken_back
from tests.alerting.receivers import Answer, Receiver, receiver, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.contracts.flag import Flag
    from consumers.embedded import Broker

PHOTOGRAPH = Path(sklearn.datasets.__file__).parent / "images" / "china.jpg"
FAST: dict[str, Any] = {
    "digest_seconds": 0.5,
    "retraction_seconds": 0.2,
    "escalation_flags": 0,
    "first_pause_seconds": 0.05,
    "longest_pause_seconds": 0.2,
    "lease_seconds": 5,
}


@pytest.fixture
def server() -> Iterator[Receiver]:
    with receiver() as opened:
        yield opened


class Platform:
    """Topics and Redis keys of its own."""

    def __init__(self, broker: Broker, url: str, name: str) -> None:
        self._kafka = Kafka(
            bootstrap_servers=broker.address, group=name, delivery="at-least-once", topic_identity=broker.identity
        )
        own = {part: f"{name}-{part}" for part in ("posts", "flags", "alerts", "dead_letters")}
        self._topics = Topics(**own)
        self._redis = Redis(url=url, prefix=name)
        broker.create(*own.values())

    def settings(self, *channels: dict[str, Any], **rules: Any) -> Settings:
        alert = Alert.model_validate({"channels": channels} | FAST | rules)
        return Settings(kafka=self._kafka, topics=self._topics, redis=self._redis, alert=alert)

    def flag(self, *flags: Flag | bytes) -> None:
        settings = self.settings()
        delivery = open_delivery(settings, "test")
        values = [one if isinstance(one, bytes) else msgspec.json.encode(one) for one in flags]
        delivery.deliver([Outgoing(settings.topics.flags, b"key", value) for value in values])
        delivery.close()

    def committed(self) -> int:
        """How far everything has been told."""
        settings = self.settings()
        reader = open_reader(settings, alert_group(settings))
        from confluent_kafka import TopicPartition

        places = [TopicPartition(settings.topics.flags, partition) for partition in range(4)]
        known = reader.list_topics(settings.topics.flags, timeout=30).topics[settings.topics.flags].partitions
        found = reader.committed([place for place in places if place.partition in known], timeout=30)
        reader.close()
        return sum(max(0, place.offset) for place in found)


@pytest.fixture
def platform(broker: Broker, real_redis: str, request: pytest.FixtureRequest) -> Platform:
    name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name)[:60]
    return Platform(broker, real_redis, name)


@contextmanager
def alerting(settings: Settings) -> Iterator[Health]:
    """The consumer, reading: the embedded broker does not find offsets by time, so what came before is not seen."""
    stop, health = threading.Event(), Health(("alert",))
    thread = threading.Thread(target=run_alert, args=(settings, stop, health))
    thread.start()
    try:
        wait_until(lambda: health.ready()[0])
        yield health
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()


def hook(server: Receiver, name: str = "hook", **fields: Any) -> dict[str, Any]:
    return {"name": name, "webhook": server.url, "timeout_seconds": 30} | fields


def counts(server: Receiver) -> tuple[int, int]:
    """Flags and retractions that the receiver has been told of, by notification."""
    told = {one.notification_id: one for one in server.notifications}.values()
    return sum(one.flags for one in told), sum(one.retractions for one in told)


def test_flags_are_told_as_one_campaign_then_as_digests_then_taken_back(platform: Platform, server: Receiver) -> None:
    with alerting(platform.settings(hook(server))) as health:
        platform.flag(flag(1), flag(2), flag(2))
        wait_until(lambda: counts(server) == (2, 0), lambda: server.notifications)
        platform.flag(*(flag(number) for number in range(3, 30)), taken_back(1, 100))
        wait_until(lambda: counts(server) == (29, 1), lambda: server.notifications)
        wait_until(lambda: health.ready()[0])
        wait_until(lambda: platform.committed() == 31)
    kinds = [one.kind for one in server.notifications]
    assert kinds[0] == "first"
    assert set(kinds[1:]) <= {"digest", "retraction"}
    assert len(kinds) <= 6
    assert len({one.notices[0].campaign for one in server.notifications}) == 1


def test_after_a_restart_open_counts_go_on_and_nothing_is_told_again(platform: Platform, server: Receiver) -> None:
    slow = platform.settings(hook(server), digest_seconds=3600)
    with alerting(slow):
        platform.flag(flag(1))
        wait_until(lambda: server.taken)
        platform.flag(flag(2), flag(3))
        wait_until(lambda: waiting(slow) == 2)
    with alerting(platform.settings(hook(server))):
        wait_until(lambda: counts(server) == (3, 0), lambda: server.notifications)
        platform.flag(flag(3), flag(4))
        wait_until(lambda: counts(server) == (4, 0), lambda: server.notifications)
    assert [one.kind for one in server.notifications] == ["first", "digest", "digest"]


def waiting(settings: Settings) -> int:
    """Flags that Redis keeps for a digest."""
    client: Any = redis.Redis.from_url(settings.redis.url)
    kept = client.hvals(f"{settings.redis.prefix}:{{{alert_group(settings)}}}:campaigns")
    client.close()
    return sum(msgspec.msgpack.decode(value)["flags"] for value in kept)


def test_a_receiver_that_is_away_gets_everything_later_and_the_others_at_once(
    platform: Platform, server: Receiver
) -> None:
    with receiver() as other:
        server.answer = lambda _: Answer(503)
        with alerting(platform.settings(hook(server), hook(other, "other"))):
            for number in range(5):
                platform.flag(flag(number, cluster_id=f"0-{number}", exemplar=None))
            wait_until(lambda: counts(other) == (5, 0), lambda: other.notifications)
            assert server.taken == []
            assert platform.committed() == 0
            wait_until(lambda: ALERTS_PENDING.labels("hook")._value.get() > 0)
            server.answer = lambda _: Answer()
            wait_until(lambda: counts(server) == (5, 0), lambda: server.notifications)
            wait_until(lambda: platform.committed() == 5)
    assert len(server.taken) == len({one.notification_id for one in server.notifications})


def test_what_no_retry_delivers_is_a_dead_letter_and_comes_back_by_replay(
    platform: Platform, server: Receiver
) -> None:
    settings = platform.settings(hook(server, patience_seconds=0.5))
    server.answer = lambda _: Answer(500)
    with alerting(settings):
        platform.flag(flag(1))
        wait_until(lambda: list(list_dead_letters(settings)))
        wait_until(lambda: platform.committed() == 1)
        [letter] = list_dead_letters(settings)
        assert (letter.reason, letter.step, letter.topic) == ("not-delivered", "alert", settings.topics.alerts)
        assert "HTTP 500" in letter.detail
        server.answer = lambda _: Answer()
        assert replay(settings, Selection(reason="not-delivered")) == 1
        wait_until(lambda: server.taken)
    [told] = server.notifications
    assert told.notification_id.encode() == letter.key
    assert {request.headers["webhook-id"] for request in server.requests} == {told.notification_id}


def test_a_thumbnail_is_sent_and_never_kept(platform: Platform, broker: Broker, server: Receiver) -> None:
    thumbnails = {"policies": ["scam"]}
    settings = platform.settings(hook(server, patience_seconds=0.5, thumbnails=thumbnails))
    content = {"kind": "image", "data": base64.b64encode(PHOTOGRAPH.read_bytes()).decode()}
    delivery = open_delivery(settings, "test")
    value = msgspec.json.encode({"post_id": "post-1", "media": [content]})
    delivery.deliver([Outgoing(settings.topics.posts, b"key", value)])
    delivery.close()
    [record] = read_topic(settings, settings.topics.posts)
    source = Source(settings.topics.posts, broker.identity, record.partition() or 0, record.offset() or 0, 0)
    server.answer = lambda _: Answer(500)
    with alerting(settings):
        platform.flag(flag(1, source=source))
        wait_until(lambda: list(list_dead_letters(settings)))
        server.answer = lambda _: Answer()
        [letter] = read_topic(settings, settings.topics.dead_letters)
        assert b'"thumbnail":null' in (letter.value() or b"")
        replay(settings, Selection(reason="not-delivered"))
        wait_until(lambda: server.taken)
    pictures = {request.notification.notices[0].thumbnail for request in server.requests}
    assert pictures == {blurred(PHOTOGRAPH.read_bytes(), 10**9)}


def test_one_too_many_for_a_channel_is_a_dead_letter(platform: Platform, server: Receiver) -> None:
    settings = platform.settings(hook(server), queue=2, summary_above=100)
    server.answer = lambda _: Answer(after=600)
    with alerting(settings):
        platform.flag(*(flag(number, cluster_id=f"0-{number}", exemplar=None) for number in range(5)))
        wait_until(lambda: len(list(list_dead_letters(settings))) == 3)
        server.closing.set()
        wait_until(lambda: len(server.taken) == 2)


def test_what_is_no_flag_is_a_dead_letter_and_the_next_is_told(platform: Platform, server: Receiver) -> None:
    settings = platform.settings(hook(server))
    with alerting(settings):
        platform.flag(b"nonsense", b'{"schema": "shoal.flag/2"}', flag(1))
        wait_until(lambda: server.taken)
        wait_until(lambda: len(list(list_dead_letters(settings))) == 2)
    assert sorted(letter.reason for letter in list_dead_letters(settings)) == ["not-json", "wrong-schema"]


def test_what_a_removed_channel_was_to_be_told_is_a_dead_letter(platform: Platform, server: Receiver) -> None:
    server.answer = lambda _: Answer(503)
    with alerting(platform.settings(hook(server, "old"))):
        platform.flag(flag(1))
        wait_until(lambda: server.requests)
    settings = platform.settings(hook(server, "new"))
    with alerting(settings):
        wait_until(lambda: list(list_dead_letters(settings)))
    [letter] = list_dead_letters(settings)
    assert letter.detail == "old: there is no such channel"


def test_of_two_processes_one_alerts_and_the_other_takes_over(platform: Platform, server: Receiver) -> None:
    settings = platform.settings(hook(server))
    with alerting(settings):
        platform.flag(flag(1))
        wait_until(lambda: server.taken)
        with alerting(settings) as second:
            wait_until(lambda: second.ready()[0])
            platform.flag(flag(2))
            wait_until(lambda: counts(server) == (2, 0), lambda: server.notifications)
    with alerting(settings):
        platform.flag(flag(3))
        wait_until(lambda: counts(server) == (3, 0), lambda: server.notifications)
    assert len(server.taken) == 3
