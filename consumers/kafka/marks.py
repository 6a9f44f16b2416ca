"""What a commit says besides its offset: which topic it is of, and who is at work there. And where reading begins.

A worker commits its mark with every offset, and once before it begins. When it ends well, or gives a partition away,
it commits the same offset without its name. So whoever is given a partition under another worker's name knows that
this worker died at work, and what it had at hand is suspect; and whoever finds another topic's id knows that the
offset is of another log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import structlog
from confluent_kafka import KafkaException, TopicPartition

from consumers.kafka.delivery import RecordsGoneError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from consumers.encoding.suspects import Suspects
    from consumers.kafka.delivery import GroupConsumer
    from consumers.kafka.topic_watch import TopicWatch

log = structlog.get_logger()


class Mark(msgspec.Struct, frozen=True, omit_defaults=True):
    """The metadata of a committed offset.

    Attributes:
        topic_id: of the topic that the offset is in.
        worker: the process at work from this offset on; None when nobody is.
    """

    topic_id: str
    worker: str | None = None

    def text(self) -> str:
        """As it is committed."""
        return msgspec.json.encode(self).decode()


def read_mark(metadata: str | None) -> Mark | None:
    """The mark in a commit's metadata; None when it has none of ours: Kafka's own tools commit without."""
    try:
        return msgspec.json.decode(metadata or "", type=Mark)
    except msgspec.DecodeError:
        return None


def regain(consumer: GroupConsumer) -> None:
    """Let `begin` begin anew with all that is assigned, after a batch was given up."""
    consumer.gained |= {(place.topic, place.partition) for place in consumer.assignment()}


def begin(
    consumer: GroupConsumer, watch: TopicWatch, mark: Mark, suspects: Suspects, *, at_hand: int, timeout: float
) -> list[TopicPartition]:
    """Read the partitions gained from what is committed, or from their beginning where nothing is; they stay paused.

    Not from where a batch began: a transaction that was given up may have come through all the same. What is
    committed is committed again with our mark, before anything is worked on. Where it had the mark of another worker,
    that one died there, or was taken for dead, and what it may have had at hand is suspect.

    Args:
        at_hand: records of a partition that a worker may have been at work on.

    Returns:
        Where each is read from.

    Raises:
        KafkaException: the brokers do not tell; call it again.
        RecordsGoneError: the offsets are of a topic that was deleted and made again.
    """
    places = [TopicPartition(*place) for place in sorted(consumer.gained)]
    if not places:
        return []
    watch.check()
    begun: list[TopicPartition] = []
    dead: list[tuple[TopicPartition, str, int]] = []
    for place in consumer.committed(places, timeout=timeout):
        if place.error is not None:
            raise KafkaException(place.error)
        before = read_mark(place.metadata) or Mark(watch.topic_id)
        if before.topic_id != watch.topic_id:
            raise RecordsGoneError(watch.made_again(before.topic_id) + consumer.skip(place.topic))
        died = before.worker if before.worker != mark.worker else None
        low = end = 0
        if place.offset < 0 or died is not None:
            low, end = consumer.get_watermark_offsets(place, timeout=timeout)
        if place.offset < 0:
            place.offset = low
            log.info("no committed offset: read from the beginning", partition=place.partition, offset=low)
        begun.append(marked(place, mark))
        if died is not None:
            dead.append((place, died, end))
    consumer.commit_offsets(begun, timeout)
    for place in begun:
        consumer.seek(place)
    for place, died, end in dead:
        log.warning("a worker died here", partition=place.partition, offset=place.offset, worker=died)
        suspects.expect(place.partition, start=place.offset, count=at_hand, end=end)
    consumer.gained -= {(place.topic, place.partition) for place in places}
    return begun


def leave(
    consumer: GroupConsumer, places: Iterable[TopicPartition], mark: Mark, suspects: Suspects, timeout: float
) -> None:
    """Take our name off these partitions: nothing of them is at work any more.

    It stays where what killed an earlier worker is still to be found. Whoever does not get to say so is taken for
    dead, which costs the next one time and nobody a post.
    """
    numbers = sorted((place.topic, place.partition) for place in places if not suspects.expected(place.partition))
    wanted = [TopicPartition(*place) for place in numbers]
    if not wanted:
        return
    nobody = Mark(mark.topic_id)
    try:
        found = consumer.committed(wanted, timeout=timeout)
        ours = [place for place in found if place.error is None and read_mark(place.metadata) == mark]
        if ours:
            consumer.commit_offsets([marked(place, nobody) for place in ours], timeout)
    except KafkaException as error:
        log.warning("the partitions could not be left in order", reason=str(error))


def marked(place: TopicPartition, mark: Mark) -> TopicPartition:
    """The same offset with a mark."""
    return TopicPartition(place.topic, place.partition, place.offset, mark.text())
