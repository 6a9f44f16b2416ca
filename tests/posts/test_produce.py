"""Writing posts to the posts topic."""

from __future__ import annotations

import io
import re
import time
from typing import TYPE_CHECKING

import msgspec
import pytest

from consumers.contracts.post import Post
from consumers.kafka.lookup import read_topic
from consumers.options import settings_from
from consumers.posts.produce import PostWriter, encode_post, posts_of_file, posts_of_lines, produce_posts

if TYPE_CHECKING:
    from pathlib import Path

    from consumers.embedded import Broker
    from consumers.settings import Settings


def settings_for(broker: Broker, topic: str) -> Settings:
    broker.create(topic)
    return settings_from(
        None,
        [
            f"kafka.bootstrap_servers={broker.address}",
            "kafka.delivery=at-least-once",
            "kafka.request_timeout_seconds=5",
            f"topics.posts={topic}",
        ],
    )


def test_the_lines_of_a_file_are_written_as_they_stand_and_keyed(broker: Broker, tmp_path: Path) -> None:
    settings = settings_for(broker, "lines")
    file = tmp_path / "posts.jsonl"
    lines = [b'{"post_id": "a", "caption": "one", "unknown": 1}', b'{"post_id":"b","caption":"two"}']
    file.write_bytes(lines[0] + b"\n\n" + lines[1])
    writer = produce_posts(settings, posts_of_file(file, 1000, pytest.fail), rate=None)
    assert (writer.written, writer.refused.total()) == (2, 0)
    found = {message.key(): message for message in read_topic(settings, "lines")}
    assert {key: message.value() for key, message in found.items()} == {b"a": lines[0], b"b": lines[1]}
    assert found[b"a"].headers() == [("content-type", b"application/json")]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"{", "posts:2: not a post"),
        (b'{"caption": "no id"}', "posts:2: not a post: .*post_id"),
        (b'{"post_id": "x", "schema": "shoal.post/9"}', "posts:2: not a post: .*shoal.post/9"),
        (b"\xff\xfe", "posts:2: not a post"),
        (b'{"post_id": "' + b"x" * 5000 + b'"}', "posts:2: longer than 1,000 bytes"),
    ],
)
def test_a_line_that_is_no_post_is_named_and_its_neighbours_are_read(line: bytes, complaint: str) -> None:
    refused: list[str] = []
    file = io.BytesIO(b'{"post_id": "before"}\n' + line + b'\n{"post_id": "after"}\n')
    assert [key for key, _ in posts_of_lines(file, "posts", 1000, refused.append)] == ["before", "after"]
    (told,) = refused
    assert re.match(complaint, told)
    assert "\n" not in told


def test_the_rate_is_not_exceeded(broker: Broker) -> None:
    settings = settings_for(broker, "slowly")
    posts = [encode_post(Post(post_id=str(number), caption="x")) for number in range(11)]
    start = time.monotonic()
    writer = produce_posts(settings, posts, rate=20)
    assert writer.written == 11
    assert time.monotonic() - start >= 0.5


def test_a_post_that_kafka_refuses_is_counted_with_its_reason_and_the_others_are_written(broker: Broker) -> None:
    settings = settings_for(broker, "large")
    small = settings.model_copy(update={"limits": settings.limits.model_copy(update={"post_bytes": 1000})})
    captions = {"a": "x", "b": "x" * 2_000_000, "c": "x"}
    posts = [encode_post(Post(post_id=name, caption=text)) for name, text in captions.items()]
    writer = produce_posts(small, posts, rate=None)
    assert writer.written == 2
    assert list(writer.refused.values()) == [1]
    assert "large" in next(iter(writer.refused)).lower()


def test_a_post_goes_to_the_partition_that_is_asked_for(broker: Broker) -> None:
    settings = settings_for(broker, "apart")
    writer = PostWriter(settings)
    for partition in (3, 0, 3):
        writer.write(encode_post(Post(post_id=str(partition), caption="x")), partition)
    writer.finish()
    assert sorted(message.partition() or 0 for message in read_topic(settings, "apart")) == [0, 3, 3]


def test_a_post_is_written_so_that_it_reads_back_the_same() -> None:
    post = Post(post_id="é", caption="words", attributes={"a": "b"})
    key, value = encode_post(post)
    assert (key, msgspec.json.decode(value, type=Post)) == ("é", post)
