"""Topics that lose records, go away, come back as others, or grow: no jump without a word, and no post twice."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, cast

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewPartitions, NewTopic

from consumers.contracts import cell_log
from consumers.encode import run_encode
from consumers.http import Health
from consumers.kafka.delivery import DeliveryError, RecordsGoneError
from consumers.names import cell_log_topic, encode_group
from consumers.settings import Kafka, Redis
from models.bundle import Bundle, open_bundle
from tests.integration.platform import Platform, eventually, make_topics, platform_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.kafka

QUICK: dict[str, Any] = {
    "session.timeout.ms": 6000,
    "heartbeat.interval.ms": 200,
    "topic.metadata.refresh.interval.ms": 1000,
}
SECONDS = 120


class Encoder:
    """An encoder at work in a thread of its own."""

    def __init__(self, platform: Platform, bundle: Bundle) -> None:
        self.raised: Exception | None = None
        self.health = Health(("encode",))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(platform, bundle))
        self._thread.start()

    def _run(self, platform: Platform, bundle: Bundle) -> None:
        try:
            run_encode(platform.settings, bundle, self._stop, self.health)
        except Exception as error:  # noqa: BLE001
            self.raised = error

    def end(self) -> None:
        """Ask it to end."""
        self._stop.set()
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()

    def message(self) -> str:
        """What it ends with by itself."""
        self._thread.join(SECONDS)
        assert self.raised is not None
        assert "\n" not in str(self.raised)
        return str(self.raised)


@pytest.fixture(scope="module")
def opened(bundle: Path) -> Bundle:
    return open_bundle(bundle, provider="cpu", intra_op_threads=1)


@pytest.fixture
def encoder(opened: Bundle) -> Iterator[Callable[[Platform], Encoder]]:
    """Starts encoders, and ends them after the test."""
    started: list[Encoder] = []

    def start(platform: Platform) -> Encoder:
        started.append(Encoder(platform, opened))
        return started[-1]

    yield start
    for one in started:
        one.end()


@pytest.fixture(params=["transactions", "at-least-once"])
def delivery(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def new_platform(bundle: Path, kafka: str, **section: Any) -> Platform:
    connection = Kafka(bootstrap_servers=kafka, properties=QUICK, **section)
    platform = Platform(platform_settings(bundle, connection, Redis(url="redis://127.0.0.1:1/0")))
    make_topics(platform)
    time.sleep(0.5)
    return platform


@pytest.fixture
def platform(bundle: Path, kafka: str) -> Platform:
    return new_platform(bundle, kafka)


def ask(platform: Platform, what: str, *given: Any) -> Any:
    """One answer of Kafka's administration."""
    admin = AdminClient({"bootstrap.servers": platform.settings.kafka.bootstrap_servers})  # kept: answers end with it
    [future] = getattr(admin, what)(*given).values()
    return future.result(SECONDS)


def delete(platform: Platform, topic: str) -> None:
    ask(platform, "delete_topics", [topic])


def make(platform: Platform, topic: str, partitions: int = 1, configuration: dict[str, str] | None = None) -> None:
    """Create a topic; one of this name may still be on its way out."""

    def try_it() -> bool:
        try:
            ask(platform, "create_topics", [NewTopic(topic, partitions, config=configuration or {})])
        except Exception:  # noqa: BLE001
            return False
        return True

    eventually(try_it, bool, SECONDS)


def texts(count: int, start: int = 0) -> list[dict[str, str]]:
    return [{"post_id": f"post-{n}", "caption": f"caption number {n} of many"} for n in range(start, start + count)]


def encoded(platform: Platform, count: int) -> list[tuple[int, int]]:
    """Source partition and offset of each record of the cell log, once there are so many."""
    topic = cell_log_topic(platform.settings, platform.bundle)

    def look() -> list[tuple[int, int]]:
        sources = [cast("Any", cell_log.decode(value)).source for value in platform.values(topic)]
        return [(source.partition, source.offset) for source in sources]

    return eventually(look, lambda found: len(found) >= count, SECONDS)


def committed(platform: Platform, place: TopicPartition) -> TopicPartition:
    group = encode_group(platform.settings, platform.bundle)
    answer = ask(platform, "list_consumer_group_offsets", [ConsumerGroupTopicPartitions(group, [place])])
    return cast("TopicPartition", answer.topic_partitions[0])


def skip(platform: Platform, place: TopicPartition) -> None:
    """What the command in the message does."""
    group = encode_group(platform.settings, platform.bundle)
    ask(platform, "alter_consumer_group_offsets", [ConsumerGroupTopicPartitions(group, [place])])


def test_records_deleted_before_they_were_read_stop_the_encoder(
    platform: Platform, encoder: Callable[[Platform], Encoder]
) -> None:
    posts = platform.settings.topics.posts
    first = encoder(platform)
    published = platform.publish(*texts(10), partition=2)
    encoded(platform, 10)
    first.end()
    platform.publish(*texts(10, 10), partition=2)
    published += platform.publish(*texts(5, 20), partition=2)
    ask(platform, "delete_records", [TopicPartition(posts, 2, 20)])
    again = encoder(platform)
    message = again.message()
    assert isinstance(again.raised, RecordsGoneError)
    assert f"{posts} [2]: the log holds 20 to 25, and" in message
    assert "has committed 10" in message
    assert f"--topic {posts}:2 --reset-offsets --to-earliest --execute" in message
    assert not again.health.ready()[0]
    assert len(encoded(platform, 10)) == 10
    skip(platform, TopicPartition(posts, 2, 20))
    encoder(platform)
    assert Counter(encoded(platform, 15)) == Counter(published)


def test_a_topic_deleted_while_it_is_read_stops_the_encoder(
    platform: Platform, encoder: Callable[[Platform], Encoder]
) -> None:
    running = encoder(platform)
    platform.publish(*texts(10))
    encoded(platform, 10)
    delete(platform, platform.settings.topics.posts)
    assert platform.settings.topics.posts in running.message()
    assert isinstance(running.raised, DeliveryError)


def test_a_topic_made_again_under_the_encoder_is_noticed_though_it_could_read_on(
    platform: Platform, encoder: Callable[[Platform], Encoder]
) -> None:
    posts = platform.settings.topics.posts
    running = encoder(platform)
    platform.publish(*texts(10), partition=0)
    encoded(platform, 10)
    eventually(lambda: committed(platform, TopicPartition(posts, 0)).offset, lambda offset: offset == 10)
    delete(platform, posts)
    make(platform, posts, 4)
    platform.publish(*texts(30), partition=0)
    message = running.message()
    assert isinstance(running.raised, RecordsGoneError)
    assert posts in message
    assert len(encoded(platform, 10)) == 10, "records of the new topic count as the former one's"
    # the other log may have been deleted and made again in the very moment of a commit
    found = committed(platform, TopicPartition(posts, 0))
    if found.offset >= 0:
        again = encoder(platform)
        assert "was deleted and made again: the committed offsets are of the topic with the id" in again.message()
        assert f"--topic {posts} --reset-offsets --to-earliest --execute" in again.message()


def test_partitions_added_while_posts_come_are_read_from_their_beginning(
    platform: Platform, encoder: Callable[[Platform], Encoder]
) -> None:
    posts = platform.settings.topics.posts
    encoder(platform)
    published = platform.publish(*texts(10))
    encoded(platform, 10)
    ask(platform, "create_partitions", [NewPartitions(posts, 6)])

    # another producer: the first one does not know of the new partitions yet
    another = Platform(platform.settings)
    eventually(lambda: another.partitions(posts), lambda found: found == 6)
    published += another.publish(*texts(10, 10), partition=5)
    published += platform.publish(*texts(10, 20), partition=1)
    assert Counter(encoded(platform, 30)) == Counter(published)


@pytest.mark.parametrize("how", ["absent", "too small"])
def test_without_a_dead_letter_topic_nothing_is_committed_until_it_is_back(
    bundle: Path,
    kafka: str,
    encoder: Callable[[Platform], Encoder],
    delivery: str,
    how: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    platform = new_platform(bundle, kafka, delivery=delivery, request_timeout_seconds=5.0)
    dead = platform.settings.topics.dead_letters
    delete(platform, dead)
    if how == "too small":
        make(platform, dead, configuration={"max.message.bytes": "200"})
    running = encoder(platform)
    published = platform.publish(*texts(5), partition=1)
    encoded(platform, 5)
    eventually(lambda: running.health.ready()[0], bool, SECONDS)
    published += platform.publish(b"not JSON" * 100, *texts(5, 5), partition=1)
    eventually(lambda: running.health.ready()[0], lambda ready: not ready, SECONDS)
    assert running.raised is None
    told: list[str] = []

    def tell() -> str:
        told.append(capsys.readouterr().out)
        return "".join(told)

    eventually(tell, lambda text: f"not taken by: {dead}" in text, SECONDS)
    place = TopicPartition(platform.settings.topics.posts, 1)
    assert committed(platform, place).offset <= 5
    if how == "too small":
        delete(platform, dead)
    make(platform, dead)
    found = Counter(encoded(platform, 11))
    if delivery == "transactions":
        assert found == Counter(published)
    else:
        assert set(found) == set(published)
    eventually(lambda: committed(platform, place).offset, lambda offset: offset == 11, SECONDS)
    assert [value for value in platform.values(dead) if value == b"not JSON" * 100] != []
