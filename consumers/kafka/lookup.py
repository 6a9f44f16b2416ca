"""Reading records outside a consumer group: one record by its position, or what a topic holds now."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, Message, TopicPartition

from consumers.contracts.source import Source
from consumers.encoding.work import SourceRecord
from consumers.kafka.topics import kafka_properties
from consumers.names import cell_log_topic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.settings import Settings

POLL_SECONDS = 0.2
MOST_COUNTED = 1_000


def open_reader(settings: Settings, group: str | None = None) -> Consumer:
    """A consumer that joins no group and commits nothing; it sees committed records only and tells a log's end.

    Args:
        group: whose committed offsets it can ask for.
    """
    properties = kafka_properties(settings) | {
        "group.id": group or f"{settings.kafka.group}.reader",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "error",
        "isolation.level": "read_committed" if settings.kafka.delivery == "transactions" else "read_uncommitted",
        "queued.max.messages.kbytes": 32 * 1024,
    }
    return Consumer(properties)


class CellOffsets(NamedTuple):
    """Where a cell's log stands: its first offset, the one after its last, and how far its owner has committed."""

    low: int
    high: int
    committed: int | None


def cell_offsets(reader: Consumer, settings: Settings, bundle: str, cell: int) -> CellOffsets:
    """Ask the brokers; the reader must be opened for the group of the cells' owners.

    Raises:
        KafkaException: they do not answer.
    """
    timeout = settings.kafka.request_timeout_seconds
    place = TopicPartition(cell_log_topic(settings, bundle), cell)
    low, high = reader.get_watermark_offsets(place, timeout=timeout)
    [found] = reader.committed([place], timeout=timeout)
    if found.error is not None:
        raise KafkaException(found.error)
    return CellOffsets(low, high, found.offset if found.offset >= 0 else None)


def headers_of(message: Message) -> tuple[tuple[str, bytes | None], ...]:
    """A message's headers; a header may stand more than once."""
    found = message.headers() or []
    pairs = found.items() if isinstance(found, dict) else found
    return tuple((name, value.encode() if isinstance(value, str) else value) for name, value in pairs)


def record_of(message: Message, topic_id: str = "") -> SourceRecord:
    """A message as a record that a dead letter can be made of."""
    source = Source(
        topic=message.topic() or "",
        topic_id=topic_id,
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        timestamp=message.timestamp()[1],
    )
    return SourceRecord(source, message.key(), message.value(), headers_of(message))


def read_record(reader: Consumer, topic: str, partition: int, offset: int, *, timeout: float) -> Message | None:
    """The record at exactly this position; None when there is none (expired, not written yet, or aborted).

    Raises:
        KafkaException: the broker did not answer within `timeout` seconds.
    """
    place = TopicPartition(topic, partition, offset)
    low, high = reader.get_watermark_offsets(TopicPartition(topic, partition), timeout=timeout)
    if not low <= offset < high:
        return None
    reader.assign([place])
    try:
        for message in _until(reader, timeout):
            error = message.error()
            if error is None:
                return message if message.offset() == offset else None
            if error.code() in {KafkaError._PARTITION_EOF, KafkaError._AUTO_OFFSET_RESET}:  # noqa: SLF001
                return None
    finally:
        reader.unassign()
    raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{topic} [{partition}] offset {offset} was not read"))  # noqa: SLF001


def read_until(reader: Consumer, start: TopicPartition, end: int, patience: float) -> Iterator[Message]:
    """The records of one partition from `start` on, below the offset `end`; offsets may be missing.

    Raises:
        KafkaException: nothing came for `patience` seconds, or the partition cannot be read.
    """
    reader.assign([start])
    while True:
        message = next(_until(reader, patience), None)
        if message is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{start.topic} was not read to offset {end}"))  # noqa: SLF001
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001
            raise KafkaException(error)
        if error is not None or (message.offset() or 0) >= end:
            return
        yield message
        if (message.offset() or 0) + 1 >= end:
            return


def records_left(reader: Consumer, start: TopicPartition, end: int, patience: float) -> int:
    """How many records of one partition lie from `start` on, below the offset `end`.

    Markers of transactions take an offset too and are none: near the end records are counted, and of a long way
    its length in offsets is told.

    Raises:
        KafkaException: as `read_until`.
    """
    distance = end - start.offset
    if distance > MOST_COUNTED:
        return distance
    left = sum(1 for _ in read_until(reader, start, end, patience)) if distance > 0 else 0
    reader.unassign()
    return left


def read_topic(settings: Settings, topic: str, *, last: int | None = None) -> Iterator[Message]:
    """The records that `topic` holds now, or the `last` so many of each partition; ends at the log's present end.

    Raises:
        KafkaException: the broker does not know the topic, or stopped answering before the end was reached.
    """
    patience = settings.kafka.request_timeout_seconds
    reader = open_reader(settings)
    try:
        ends = _ends(reader, topic, patience)
        starts = {p: low if last is None else max(low, high - last) for p, (low, high) in ends.items()}
        open_partitions = {p for p, (_, high) in ends.items() if starts[p] < high}
        reader.assign([TopicPartition(topic, p, starts[p]) for p in sorted(open_partitions)])
        while open_partitions:
            message = next(_until(reader, patience), None)
            if message is None:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{topic} was not read to its end"))  # noqa: SLF001
            partition = message.partition()
            if _ends_partition(message, ends):
                open_partitions.discard(partition if partition is not None else OFFSET_INVALID)
            if message.error() is None and (message.offset() or 0) < ends[partition or 0][1]:
                yield message
    finally:
        reader.close()


def _ends(reader: Consumer, topic: str, timeout: float) -> dict[int, tuple[int, int]]:
    found = reader.list_topics(topic, timeout=timeout).topics[topic]
    if found.error is not None:
        raise KafkaException(found.error)
    return {p: reader.get_watermark_offsets(TopicPartition(topic, p), timeout=timeout) for p in found.partitions}


def _ends_partition(message: Message, ends: dict[int, tuple[int, int]]) -> bool:
    """Whether this is the last that matters of its partition: the end seen at the start, or the end of the log."""
    error = message.error()
    if error is None:
        return (message.offset() or 0) + 1 >= ends[message.partition() or 0][1]
    if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
        return True
    raise KafkaException(error)


def _until(reader: Consumer, timeout: float) -> Iterator[Message]:
    """Messages and events as they come, for at most `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while (left := deadline - time.monotonic()) > 0:
        message = reader.poll(min(left, POLL_SECONDS))
        if message is not None:
            yield message
