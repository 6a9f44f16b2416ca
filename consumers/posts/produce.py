"""Writing posts to the posts topic, at a steady rate, every acknowledgement awaited."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import IO, TYPE_CHECKING

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from consumers.contracts.codec import CONTENT_TYPE, MessageError, decode_json
from consumers.contracts.post import SCHEMA, Post
from consumers.kafka.topics import ENVELOPE_BYTES, kafka_properties

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from consumers.settings import Settings

QUEUE_KILOBYTES = 64 * 1024

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Post)

EncodedPost = tuple[str, bytes]
"""A post_id and the post in JSON."""

Refuse = Callable[[str], None]


def encode_post(post: Post) -> EncodedPost:
    """The post as it stands in the topic."""
    return post.post_id, _encoder.encode(post)


def posts_of_file(path: Path, limit: int, refuse: Refuse) -> Iterator[EncodedPost]:
    """The posts of a file with one JSON object a line; `-` is standard input.

    Raises:
        OSError: the file cannot be read.
    """
    if str(path) == "-":
        yield from posts_of_lines(sys.stdin.buffer, "standard input", limit, refuse)
        return
    with path.open("rb") as lines:
        yield from posts_of_lines(lines, str(path), limit, refuse)


def posts_of_lines(lines: IO[bytes], name: str, limit: int, refuse: Refuse) -> Iterator[EncodedPost]:
    """The posts of an open file, as they stand there; empty lines are passed over.

    Args:
        lines: one JSON object a line.
        name: how to call the file in a complaint.
        limit: longest line in bytes.
        refuse: told, in one line, of each line that is not a post.
    """
    for number, line in numbered_lines(lines, name, limit, refuse):
        try:
            post = decode_json(_decoder, line, SCHEMA)
        except MessageError as error:
            refuse(f"{name}:{number}: not a post: {error}")
        else:
            yield post.post_id, line


def numbered_lines(lines: IO[bytes], name: str, limit: int, refuse: Refuse) -> Iterator[tuple[int, bytes]]:
    """The lines of an open file that hold anything, with their numbers; one that is too long is refused."""
    number = 0
    while line := lines.readline(limit + 1):
        number += 1
        if len(line) > limit:
            refuse(f"{name}:{number}: longer than {limit:,} bytes")
            while line and not line.endswith(b"\n"):
                line = lines.readline(limit)
        elif line.strip():
            yield number, line.strip()


class PostWriter:
    """Writes posts and counts what became of them.

    Attributes:
        written: posts that Kafka acknowledged.
        refused: why Kafka refused the others, with how many.
    """

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.topics.posts
        self._timeout = settings.kafka.request_timeout_seconds
        self.written = 0
        self.refused: Counter[str] = Counter()
        self._producer = Producer(
            {
                "enable.idempotence": True,
                "linger.ms": 5,
                "message.max.bytes": settings.limits.post_bytes + ENVELOPE_BYTES,
                "queue.buffering.max.kbytes": QUEUE_KILOBYTES,
                "delivery.timeout.ms": int(self._timeout * 1000),
            }
            | kafka_properties(settings)
        )

    def write(self, post: EncodedPost, partition: int = -1) -> None:
        """Hand one post over; waits while the queue is full.

        Raises:
            KafkaException: the queue did not move for the whole request timeout.
        """
        key, value = post
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                self._producer.produce(
                    self._topic, value, key.encode(), partition, self._delivered, headers=[CONTENT_TYPE]
                )
            except BufferError:
                if time.monotonic() > deadline:
                    raise
                self._producer.poll(0.1)
            except KafkaException as error:
                self.refused[str(error.args[0].str())] += 1
                return
            else:
                self._producer.poll(0)
                return

    def wait(self, seconds: float) -> None:
        """Let acknowledgements come in for `seconds`."""
        self._producer.poll(seconds)

    def finish(self) -> None:
        """Wait until every post is acknowledged or refused."""
        left = self._producer.flush(self._timeout + 5)
        if left:
            self.refused["no answer"] += left

    def close(self) -> None:
        """Let go of the producer and of what it still holds."""
        self._producer.purge()
        self._producer.poll(0)
        del self._producer

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is None:
            self.written += 1
        else:
            self.refused[error.str()] += 1


def produce_posts(settings: Settings, posts: Iterable[EncodedPost], *, rate: float | None) -> PostWriter:
    """Write `posts`, at most `rate` a second, and wait until Kafka has them; gives the writer with its counts."""
    writer = PostWriter(settings)
    start = time.monotonic()
    for number, post in enumerate(posts):
        if rate is not None:
            while (early := start + number / rate - time.monotonic()) > 0:
                writer.wait(early)
        writer.write(post)
    writer.finish()
    return writer
