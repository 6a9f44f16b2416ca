"""Dead letters: a record that could not be worked on, kept whole with the reason, and its way back."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from consumers.kafka.delivery import Outgoing, in_batches, open_delivery
from consumers.kafka.lookup import headers_of, read_topic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from confluent_kafka import Message

    from consumers.encoding.work import Failure, SourceRecord
    from consumers.settings import Settings

Header = tuple[str, bytes | None]

CONNECT = "__connect.errors."
DETAIL_CHARACTERS = 500
REPLAY_RECORDS = 200
REPLAY_BYTES = 32 * 2**20

_NAMES = (
    *(CONNECT + name for name in ("topic", "partition", "offset", "connector.name", "task.id", "stage")),
    *(CONNECT + name for name in ("class.name", "exception.class.name", "exception.message")),
    "shoal.reason",
    "shoal.step",
)
"""The headers that make a record a dead letter; they stand after the record's own, in this order."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record of the dead-letter topic.

    Attributes:
        partition, offset: where it lies in the dead-letter topic.
        timestamp: when it became a dead letter, in milliseconds since 1970.
        topic, source_partition, source_offset: where the record came from.
        key, value, headers: the record as it was.
        reason, step, detail: why it could not be worked on.
    """

    partition: int
    offset: int
    timestamp: int
    topic: str
    source_partition: int
    source_offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]
    reason: str
    step: str
    detail: str


@dataclass(frozen=True, slots=True)
class Selection:
    """Which dead letters: every field that is given must match; `places` are (partition, offset) of the letters."""

    reason: str | None = None
    step: str | None = None
    topic: str | None = None
    places: frozenset[tuple[int, int]] | None = None

    def __contains__(self, letter: DeadLetter) -> bool:
        return (
            self.reason in {None, letter.reason}
            and self.step in {None, letter.step}
            and self.topic in {None, letter.topic}
            and (self.places is None or (letter.partition, letter.offset) in self.places)
        )


def dead_letter(record: SourceRecord, failure: Failure, settings: Settings) -> Outgoing:
    """The dead letter of `record`: its key, value and headers untouched, then the headers that say why."""
    source = record.source
    values = (
        source.topic,
        str(source.partition),
        str(source.offset),
        settings.kafka.group,
        "0",
        "VALUE_CONVERTER" if failure.step == "parse" else "TRANSFORMATION",
        f"consumers.steps.{failure.step}",
        failure.reason,
        failure.detail[:DETAIL_CHARACTERS],
        failure.reason,
        failure.step,
    )
    ours = tuple((name, value.encode(errors="replace")) for name, value in zip(_NAMES, values, strict=True))
    return Outgoing(
        topic=settings.topics.dead_letters, key=record.key, value=record.value, headers=(*record.headers, *ours)
    )


def read_dead_letter(message: Message) -> DeadLetter | None:
    """The dead letter in a record of the dead-letter topic; None when Shoal did not write it."""
    headers = headers_of(message)
    own, ours = headers[: -len(_NAMES)], headers[-len(_NAMES) :]
    if tuple(name for name, _ in ours) != _NAMES:
        return None
    found = {name: (value or b"").decode(errors="replace") for name, value in ours}
    try:
        return DeadLetter(
            partition=message.partition() or 0,
            offset=message.offset() or 0,
            timestamp=message.timestamp()[1],
            topic=found[CONNECT + "topic"],
            source_partition=int(found[CONNECT + "partition"]),
            source_offset=int(found[CONNECT + "offset"]),
            key=message.key(),
            value=message.value(),
            headers=own,
            reason=found["shoal.reason"],
            step=found["shoal.step"],
            detail=found[CONNECT + "exception.message"],
        )
    except ValueError:
        return None


def list_dead_letters(
    settings: Settings,
    selection: Selection = Selection(),
    *,
    limit: int | None = None,
) -> Iterator[DeadLetter]:
    """The selected dead letters that the topic holds now, one at a time: a dead letter may be as large as a post.

    Args:
        limit: look at the last so many records of each partition only.

    Raises:
        KafkaException: the topic is absent or the broker does not answer.
    """
    for message in read_topic(settings, settings.topics.dead_letters, last=limit):
        letter = read_dead_letter(message)
        if letter is not None and letter in selection:
            yield letter


def replay(settings: Settings, selection: Selection) -> int:
    """Put the selected dead letters back where they came from, as they were; gives how many.

    Only records of the posts, verdicts and alerts topics go back: a letter that names another topic is left alone. A
    post put back is a new record: it is decided again, under a new decision id.

    Raises:
        KafkaException: the topic is absent or the broker does not answer.
        Aborted: a batch was refused; the batches before it are back, it and the ones after it are not.
    """
    home = {settings.topics.posts, settings.topics.verdicts, settings.topics.alerts}
    returned = 0
    delivery = open_delivery(settings, f"{settings.kafka.group}.replay-{uuid.uuid4()}")
    try:
        originals = (
            Outgoing(letter.topic, letter.key, letter.value, letter.headers, letter.source_partition)
            for letter in list_dead_letters(settings, selection)
            if letter.topic in home
        )
        for batch in in_batches(originals, count=REPLAY_RECORDS, size_bytes=REPLAY_BYTES):
            delivery.deliver(batch)
            returned += len(batch)
    finally:
        delivery.close()
    return returned
