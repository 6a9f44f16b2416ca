"""Dead letters keep everything of the record, and go back as if nothing had happened."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Message, Producer
from hypothesis import given
from hypothesis import strategies as st

from consumers.contracts.source import Source
from consumers.encoding.work import Failure, SourceRecord
from consumers.kafka.dead_letters import (
    DeadLetter,
    Selection,
    dead_letter,
    list_dead_letters,
    read_dead_letter,
    replay,
)
from consumers.kafka.delivery import Outgoing, open_delivery
from consumers.kafka.lookup import open_reader, read_record, read_topic
from consumers.settings import Kafka, Settings, Topics

if TYPE_CHECKING:
    from consumers.embedded import Broker

PATIENCE = 60.0
HEADERS = st.lists(st.tuples(st.text(max_size=8), st.none() | st.binary(max_size=8)), max_size=4)
FAILURE = Failure("not-json", "parse", "expected a value at byte 0")


@pytest.fixture
def settings(broker: Broker, request: pytest.FixtureRequest) -> Settings:
    name = request.node.name[:40].replace("[", "-").replace("]", "")
    connection = Kafka(
        bootstrap_servers=broker.address,
        delivery="at-least-once",
        topic_identity=broker.identity,
        request_timeout_seconds=PATIENCE,
    )
    settings = Settings(
        kafka=connection,
        topics=Topics(posts=f"{name}-posts", verdicts=f"{name}-verdicts", dead_letters=f"{name}-dead"),
    )
    broker.create(settings.topics.posts, settings.topics.verdicts, settings.topics.dead_letters)
    return settings


def record(
    topic: str, offset: int = 7, value: bytes | None = b"{", headers: tuple[tuple[str, bytes | None], ...] = ()
) -> SourceRecord:
    return SourceRecord(Source(topic, "id", 1, offset, 1_700_000_000_000), b"key", value, headers)


def write(settings: Settings, *messages: Outgoing) -> None:
    delivery = open_delivery(settings, "test")
    delivery.deliver(messages)
    delivery.close()


def as_message(letter: Outgoing) -> Message:
    return Message(
        topic=letter.topic,
        partition=0,
        offset=3,
        key=letter.key,
        value=letter.value,
        headers=list(letter.headers),
        timestamp=(1, 5),
    )


@given(key=st.none() | st.binary(), value=st.none() | st.binary(), headers=HEADERS, detail=st.text())
def test_the_record_comes_back_whole_whatever_it_holds(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]], detail: str
) -> None:
    source = Source("posts", "id", 2, 99, 1)
    letter = dead_letter(
        SourceRecord(source, key, value, tuple(headers)), Failure("not-json", "parse", detail), Settings()
    )
    found = read_dead_letter(as_message(letter))
    assert found is not None
    assert (found.key, found.value, found.headers) == (key, value, tuple(headers))
    assert (found.topic, found.source_partition, found.source_offset) == ("posts", 2, 99)
    assert (found.reason, found.step) == ("not-json", "parse")


def test_a_record_that_died_before_keeps_the_headers_of_its_first_death() -> None:
    first = dead_letter(record("other"), Failure("first", "parse", "one"), Settings())
    second = dead_letter(record("posts", headers=first.headers), Failure("second", "decode", "two"), Settings())
    found = read_dead_letter(as_message(second))
    assert found is not None
    assert found.headers == first.headers
    assert (found.topic, found.reason) == ("posts", "second")


def test_tools_for_kafka_connect_find_their_headers() -> None:
    headers = dict(dead_letter(record("posts"), FAILURE, Settings()).headers)
    assert headers["__connect.errors.topic"] == b"posts"
    assert headers["__connect.errors.partition"] == b"1"
    assert headers["__connect.errors.offset"] == b"7"
    assert headers["__connect.errors.connector.name"] == b"shoal"
    assert headers["__connect.errors.task.id"] == b"0"
    assert headers["__connect.errors.stage"] == b"VALUE_CONVERTER"
    assert headers["__connect.errors.class.name"] == b"consumers.steps.parse"
    assert headers["__connect.errors.exception.class.name"] == b"not-json"
    assert headers["__connect.errors.exception.message"] == FAILURE.detail.encode()
    assert headers["shoal.reason"] == b"not-json"
    assert headers["shoal.step"] == b"parse"


def test_a_record_of_somebody_else_is_no_dead_letter_of_ours() -> None:
    assert read_dead_letter(Message(topic="dead-letters", partition=0, offset=0, value=b"x")) is None


def test_a_letter_is_selected_by_every_field_that_is_given() -> None:
    letter = read_dead_letter(as_message(dead_letter(record("posts"), FAILURE, Settings())))
    assert isinstance(letter, DeadLetter)
    assert letter in Selection()
    assert letter in Selection(reason="not-json", step="parse", topic="posts", places=frozenset({(0, 3)}))
    assert letter not in Selection(reason="not-json", step="decode")
    assert letter not in Selection(topic="verdicts")
    assert letter not in Selection(places=frozenset({(0, 4)}))


def test_replayed_letters_are_records_of_their_topic_again(settings: Settings) -> None:
    original = record(settings.topics.posts, value=b"\x00 not json", headers=(("trace", b"1"), ("empty", None)))
    verdict = record(settings.topics.verdicts, value=b"a verdict")
    foreign = record("somewhere-else")
    write(settings, *(dead_letter(one, FAILURE, settings) for one in (original, verdict, foreign)))

    assert len(list(list_dead_letters(settings))) == 3
    assert replay(settings, Selection(topic=settings.topics.posts)) == 1

    [returned] = read_topic(settings, settings.topics.posts)
    assert (returned.key(), returned.value()) == (b"key", b"\x00 not json")
    assert returned.headers() == [("trace", b"1"), ("empty", None)]
    assert returned.partition() == 1
    assert list(read_topic(settings, settings.topics.verdicts)) == []


def test_a_letter_of_a_topic_that_is_not_ours_stays(settings: Settings) -> None:
    write(settings, dead_letter(record("somewhere-else"), FAILURE, settings))
    assert replay(settings, Selection()) == 0


def test_only_the_last_records_are_looked_at_when_asked(settings: Settings) -> None:
    letters = [dead_letter(record(settings.topics.posts, offset), FAILURE, settings) for offset in range(10)]
    write(settings, *letters)
    found = [letter.source_offset for letter in list_dead_letters(settings, limit=3)]
    assert found == [7, 8, 9]


def test_reading_a_topic_ends_where_it_ended_at_the_start(broker: Broker, settings: Settings) -> None:
    producer = Producer({"bootstrap.servers": broker.address, "log_level": 2})
    topic = settings.topics.posts
    for number in range(20):
        producer.produce(topic, str(number).encode(), partition=number % 4)
    assert producer.flush(PATIENCE) == 0
    seen = 0
    for _ in read_topic(settings, topic):
        seen += 1
        producer.produce(topic, b"late", partition=0)
        assert producer.flush(PATIENCE) == 0
    assert seen == 20


@pytest.mark.parametrize(("offset", "found"), [(0, b"zero"), (1, b"one"), (2, None), (1000, None)])
def test_one_record_is_read_by_its_place(settings: Settings, offset: int, found: bytes | None) -> None:
    topic = settings.topics.posts
    write(settings, Outgoing(topic, None, b"zero", partition=2), Outgoing(topic, None, b"one", partition=2))
    reader = open_reader(settings)
    message = read_record(reader, topic, 2, offset, timeout=PATIENCE)
    assert (None if message is None else message.value()) == found
    again = read_record(reader, topic, 2, 0, timeout=PATIENCE)
    assert again is not None
    assert again.value() == b"zero"
    reader.close()
