"""Verdicts -> cell log: finds the cell of each verdict, and the post it is about, which it may bring along."""

from __future__ import annotations

import time
import uuid
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np
import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from consumers.changes.verdicts import VerdictError, may_judge, require_valid
from consumers.contracts import cell_log
from consumers.contracts.cell_log import PostRecord, VerdictRecord
from consumers.contracts.codec import MessageError, decode_json
from consumers.contracts.source import Source, flag_id
from consumers.contracts.verdict import SCHEMA, Verdict
from consumers.encoding.prepare import prepare
from consumers.encoding.suspects import Suspects
from consumers.encoding.work import Failure, SourceRecord
from consumers.kafka.dead_letters import dead_letter
from consumers.kafka.delivery import (
    POLL_SECONDS,
    SPARE_SECONDS,
    Aborted,
    Delivery,
    DeliveryError,
    Fenced,
    GroupConsumer,
    Outgoing,
    RecordsGoneError,
    assign_paused,
    collect,
    group_metadata,
    next_offsets,
    open_consumer,
    open_delivery,
    refusals_that_count,
)
from consumers.kafka.lag import Lag
from consumers.kafka.lookup import open_reader, read_record, record_of
from consumers.kafka.marks import Mark, begin, leave, regain
from consumers.kafka.topic_watch import TopicWatch
from consumers.metrics import ABORTS, DEAD_LETTERS, PARTITIONS, REBALANCES
from consumers.names import cell_log_topic, place_of_cluster, route_group
from consumers.steps import reasons
from consumers.steps.embed import embed
from consumers.steps.fuse import fuse
from consumers.steps.place import read_vector
from consumers.time_limit import HangError, watched

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from confluent_kafka import Message

    from consumers.contracts.post import Post
    from consumers.contracts.verdict import FusedVector
    from consumers.encoding.work import PostInWork
    from consumers.http import Health
    from consumers.settings import Settings
    from models.bundle import Bundle

NAME = "route"
STEP = "route"
BATCH_VERDICTS = 256
BATCH_BYTES = 8 * 2**20
WAIT_MS = 10.0
LOOKUP_SECONDS = 5.0
ATTEMPTS = 30
LONGEST_PAUSE_SECONDS = 10.0
LEAVE_SECONDS = 3.0

log = structlog.get_logger()
_decoder = msgspec.json.Decoder(Verdict)
_encoder = msgspec.json.Encoder()


class RouteError(RuntimeError):
    """Kafka refused the same verdicts again and again, or a post hangs; the message is one line with the reason."""


def run_route(settings: Settings, bundle: Bundle, stop: threading.Event, health: Health) -> None:
    """Bring verdicts into the cell log until `stop` is set.

    Raises:
        RouteError: Kafka refused for good, or a post hangs.
        RecordsGoneError: the log does not hold what is to be read next, or is another one.
        DeliveryError: the brokers do not tell of the verdicts topic.
        EncoderError: an encoder works no more.
    """
    routing = _Routing(settings, bundle, stop, health)
    health.set_started(NAME)
    routing.run()


class _Routing:
    """The consumer at work. Everything, the callbacks of the rebalance too, runs in one thread."""

    def __init__(self, settings: Settings, bundle: Bundle, stop: threading.Event, health: Health) -> None:
        self._settings = settings
        self._stop = stop
        self._health = health
        topic, group, worker = settings.topics.verdicts, route_group(settings, bundle.bundle_id), uuid.uuid4().hex
        self._watch = TopicWatch(settings, topic)
        self._mark = Mark(self._watch.topic_id, worker)
        self._suspects = _suspects(settings, bundle, stop, health)
        self._transactional_id = f"{group}.{worker}"
        self._delivery: Delivery | None = None
        self._failures = 0
        self._done = False
        self._spare_after = time.monotonic() + SPARE_SECONDS
        self._consumer = open_consumer(
            settings, group, topic=topic, on_assign=_assigned, on_revoke=self._revoked, on_lost=_lost
        )
        self._router = Router(settings, bundle, self._mark, self._suspects, meanwhile=partial(health.beat, NAME))
        self._lag = Lag(NAME, self._consumer)

    def run(self) -> None:
        """Work until it is asked to stop; see `run_route`."""
        try:
            while not self._stop.is_set():
                self._turn()
            self._leave(self._consumer.assignment())
        finally:
            # whoever ends with an error has not left: what it had at hand is suspect
            self._done = True
            self._suspects.close()
            _close(self._delivery)
            self._router.close()
            self._consumer.close()

    def _turn(self) -> None:
        self._health.beat(NAME)
        self._watch.check_now_and_then()
        try:
            if self._delivery is None:
                # only a poll tells what has been lost meanwhile; what comes is read again
                collect(self._consumer, count=1, size_bytes=1, wait_ms=0, stop=self._stop, patience=POLL_SECONDS)
                regain(self._consumer)
                self._delivery = open_delivery(self._settings, self._transactional_id)
            self._begin()
            self._tell_ready()
            self._work(self._delivery)
        except RecordsGoneError:
            raise
        except (Aborted, Fenced, DeliveryError, KafkaException) as error:
            self._refused(error)

    def _tell_ready(self) -> None:
        """Ready is who has been given partitions, and who has waited for any so long that there are none."""
        partitions = len(self._consumer.assignment())
        ready = partitions > 0 or time.monotonic() > self._spare_after
        self._health.set_ready(NAME, ready=ready, note=f"{partitions} partitions")

    def _begin(self) -> None:
        """Read the partitions gained."""
        timeout = self._settings.kafka.request_timeout_seconds
        for place in begin(
            self._consumer, self._watch, self._mark, self._suspects, at_hand=BATCH_VERDICTS, timeout=timeout
        ):
            self._lag.start(place)
            self._consumer.resume([place])

    def _work(self, delivery: Delivery) -> None:
        messages = collect(
            self._consumer, count=BATCH_VERDICTS, size_bytes=BATCH_BYTES, wait_ms=WAIT_MS, stop=self._stop
        )
        if messages and _examined(messages, self._suspects):
            self._router.work(messages, self._consumer, delivery, self._watch.ask())
            self._lag.advance(messages)
            self._failures = 0
        self._lag.publish()

    def _refused(self, error: Exception) -> None:
        """Read the verdicts again, after a pause that grows, with another producer."""
        self._failures = refusals_that_count(self._consumer, self._failures + 1)
        ABORTS.labels(NAME, error.reason if isinstance(error, Aborted | Fenced) else "kafka").inc()
        log.warning("verdicts are read again", attempt=self._failures, error=str(error))
        if self._failures >= ATTEMPTS:
            raise RouteError(f"Kafka refused {self._failures} times in a row: {error}") from error
        self._health.set_ready(NAME, ready=False)
        _close(self._delivery)
        self._delivery = None
        self._stop.wait(min(LONGEST_PAUSE_SECONDS, 0.1 * 2**self._failures))

    def _leave(self, partitions: Sequence[TopicPartition]) -> None:
        leave(self._consumer, partitions, self._mark, self._suspects, LEAVE_SECONDS)

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if not self._done:
            self._leave(partitions)
        consumer.incremental_unassign(partitions)
        _count("revoked", partitions, gained=-len(partitions))


def _suspects(settings: Settings, bundle: Bundle, stop: threading.Event, health: Health) -> Suspects:
    """Trying them must look like life, and end with the worker."""

    def meanwhile() -> None:
        health.beat(NAME)
        if stop.is_set():
            suspects.close()

    suspects = Suspects(settings, bundle.folder, post_of=post_brought, meanwhile=meanwhile)
    return suspects


def _examined(messages: Sequence[Message], suspects: Suspects) -> bool:
    """Try the suspects among these verdicts; False when the worker is to end before all have been."""
    for message in messages:
        suspects.examine(message)
        if suspects.closed:
            return False
    return True


class About(NamedTuple):
    """The post that a verdict is about, as far as route knows it.

    Attributes:
        vector: fused, little-endian float16.
        source: where it stands in the posts topic; where the verdict stands when that brought it along.
        features: for verification, by modality.
    """

    post_id: str
    vector: bytes
    source: Source
    features: dict[str, bytes]


class Router:
    """Turns verdicts into records of the cell log. Owns the consumer that looks posts up.

    Args:
        mark: of this process, for what it commits.
        suspects: knows which verdicts bring a post that kills its process.
        meanwhile: called again and again while posts are encoded.
    """

    def __init__(
        self,
        settings: Settings,
        bundle: Bundle,
        mark: Mark,
        suspects: Suspects,
        *,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._bundle = bundle
        self._topic_id = mark.topic_id
        self._mark = mark
        self._suspects = suspects
        self._meanwhile = meanwhile
        self._topic = cell_log_topic(settings, bundle.bundle_id)
        self._reader = open_reader(settings)

    def work(
        self,
        messages: list[Message],
        consumer: GroupConsumer,
        delivery: Delivery,
        same_topic: Callable[[], None] = lambda: None,
    ) -> None:
        """Route one batch and commit it.

        Args:
            same_topic: raises unless the batch is of the topic that route began with.

        Raises:
            Aborted, Fenced: nothing was written.
            RecordsGoneError: the batch is of another topic; nothing was written.
            KafkaException: a post, or the topic, could not be looked up; nothing was written.
            EncoderError: an encoder works no more; nothing was written.
            RouteError: a post that a verdict brings along hangs; nothing was written.
        """
        group = group_metadata(consumer)
        outgoing: list[Outgoing] = []
        failures: list[tuple[SourceRecord, Failure]] = []
        records = [record_of(message, self._topic_id) for message in messages]
        for record, found in zip(records, self.route(records, now_ms=time.time_ns() // 1_000_000), strict=True):
            if isinstance(found, Failure):
                failures.append((record, found))
                outgoing.append(dead_letter(record, found, self._settings))
                log.warning("verdict is a dead letter", offset=record.source.offset, reason=found.reason)
            else:
                outgoing.extend(found)
        same_topic()
        delivery.deliver(outgoing, next_offsets(messages, self._mark.text()), consumer, group)
        for record, failure in failures:
            self._suspects.forget(record.source)
            DEAD_LETTERS.labels(failure.reason, failure.step).inc()

    def route(self, records: Sequence[SourceRecord], *, now_ms: int) -> list[list[Outgoing] | Failure]:
        """The records of the cell log for each verdict: one for its cell, or one for every cell if it names none."""
        verdicts = [self._verdict(record) for record in records]
        brought = self._encoded(records, verdicts)
        latest = now_ms + int(self._settings.encode.future_seconds * 1000)
        found: list[list[Outgoing] | Failure] = []
        for number, (record, verdict) in enumerate(zip(records, verdicts, strict=True)):
            about = verdict if isinstance(verdict, Failure) else brought.get(number) or self._about(record, verdict)
            if isinstance(verdict, Failure):
                found.append(verdict)
            elif isinstance(about, Failure):
                found.append(about)
            else:
                found.append(self._records(verdict, about, min(record.source.timestamp, latest)))
        return found

    def close(self) -> None:
        """End the consumer that looks posts up."""
        self._reader.close()

    def _verdict(self, record: SourceRecord) -> Verdict | Failure:
        try:
            verdict = decode_json(_decoder, record.value, SCHEMA)
            require_valid(verdict, self._settings.assign.cells)
        except MessageError as error:
            return Failure(error.reason, STEP, str(error))
        except VerdictError as error:
            return Failure("invalid", STEP, str(error))
        if not may_judge(verdict.actor, self._settings.verdicts.actors):
            return Failure("actor-not-allowed", STEP, f"{verdict.actor!r} is not among verdicts.actors")
        return verdict

    def _encoded(
        self, records: Sequence[SourceRecord], verdicts: Sequence[Verdict | Failure]
    ) -> dict[int, About | Failure]:
        """The posts that verdicts bring along, encoded like every post; by the verdict's number in the batch."""
        found: dict[int, About | Failure] = {}
        posts: dict[int, SourceRecord] = {}
        for number, (record, verdict) in enumerate(zip(records, verdicts, strict=True)):
            if isinstance(verdict, Failure) or verdict.post is None:
                continue
            death = self._suspects.death(record.source)
            if death is not None:
                found[number] = Failure(reasons.KILLS_ENCODER, STEP, death)
                continue
            posts[number] = _with_value(record, self._own_source(record), verdict.post)
        if not posts:
            return found
        longest = self._settings.encode.stuck_seconds
        try:
            works = watched(
                lambda progress: self._works(list(posts.values()), progress),
                longest=longest,
                meanwhile=self._meanwhile,
            )
        except HangError as error:
            raise RouteError(
                f"{NAME}: encoding what verdicts bring along hangs: {error} (encode.stuck_seconds); "
                "restart: the posts at hand are tried one by one, and the verdict whose post hangs is a dead letter"
            ) from error
        return found | {number: work.failure or _about(work) for number, work in zip(posts, works, strict=True)}

    def _works(self, posts: Sequence[SourceRecord], progress: Callable[[], None]) -> list[PostInWork]:
        """The posts, prepared, embedded and fused; says so after each, and after each call of the encoders."""
        settings = self._settings
        works: list[PostInWork] = []
        for post in posts:
            works.append(
                prepare(post, self._bundle, encode=settings.encode, media=settings.media, limits=settings.limits)
            )
            progress()
        for start in range(0, len(works), settings.encode.batch_posts):
            part = works[start : start + settings.encode.batch_posts]
            embed(part, self._bundle)
            fuse(part, self._bundle.layout)
            progress()
        return works

    def _about(self, record: SourceRecord, verdict: Verdict) -> About | Failure | None:
        """The post that a verdict is about, where it tells or the cell log does."""
        if verdict.fused is not None:
            return self._fused(record, verdict.post_id or "", verdict.fused)
        if verdict.cluster_id is not None or verdict.cell is None or verdict.cell_offset is None:
            return None
        post = self._look_up(verdict.cell, verdict.cell_offset)
        if post is not None and not self._is_about(verdict, post):
            return Failure("wrong-target", STEP, "the record at cell and cell_offset is another post")
        return None if post is None else About(post.post_id, post.vector, post.source, post.features)

    def _fused(self, record: SourceRecord, post_id: str, fused: FusedVector) -> About | Failure:
        bundle = self._bundle.bundle_id
        if fused.bundle != bundle:
            return Failure("wrong-bundle", STEP, f"the vector is of {fused.bundle[:64]!r}, this is {bundle!r}")
        if read_vector(fused.vector, self._bundle.layout.size) is None:
            return Failure("invalid-vector", STEP, "not a unit vector of this bundle in float16")
        return About(post_id, fused.vector, self._own_source(record), fused.features)

    def _records(self, verdict: Verdict, about: About | None, time_ms: int) -> list[Outgoing]:
        cells = self._cells(verdict, about)
        routed = VerdictRecord(
            verdict_id=verdict.verdict_id,
            decision=verdict.decision,
            policy=verdict.policy,
            actor=verdict.actor,
            time=time_ms,
            post_id=verdict.post_id if about is None else about.post_id,
            flag_id=verdict.flag_id,
            cluster_id=verdict.cluster_id,
            cell_offset=verdict.cell_offset,
            vector=None if about is None else about.vector,
            source=None if about is None else about.source,
            supersedes=verdict.supersedes,
            asked=len(cells),
            features={} if about is None else about.features,
        )
        value = cell_log.encode(routed)
        return [Outgoing(self._topic, verdict.verdict_id.encode(), value, partition=cell) for cell in cells]

    def _own_source(self, record: SourceRecord) -> Source:
        """Where a verdict stands: a name of its own for the post it brings along.

        What stands in for topic ids is the same for all topics; the name keeps them apart.
        """
        source = record.source
        stand_in = self._settings.kafka.topic_identity
        topic_id = self._topic_id if stand_in is None else f"{stand_in}.{source.topic}"
        return msgspec.structs.replace(source, topic_id=topic_id)

    def _look_up(self, cell: int, offset: int) -> PostRecord | None:
        """The post at this place of the cell log; None when it has expired or something else stands there."""
        message = read_record(self._reader, self._topic, cell, offset, timeout=LOOKUP_SECONDS)
        try:
            found = None if message is None else cell_log.decode(message.value() or b"")
        except msgspec.DecodeError:
            return None
        return found if isinstance(found, PostRecord) else None

    def _is_about(self, verdict: Verdict, post: PostRecord) -> bool:
        if verdict.flag_id is not None:
            return verdict.flag_id == flag_id(self._bundle.bundle_id, post.source, verdict.policy)
        return verdict.post_id == post.post_id

    def _cells(self, verdict: Verdict, about: About | None) -> list[int]:
        every = self._settings.assign.cells
        if about is not None and (verdict.post or verdict.fused) is not None:
            vector = np.frombuffer(about.vector, dtype="<f2").astype(np.float32)
            return [int(self._bundle.cell_of(vector[None], every)[0])]
        place = None if verdict.cluster_id is None else place_of_cluster(verdict.cluster_id)
        cell = verdict.cell if place is None else place[0]
        return list(range(every)) if cell is None else [cell]


def post_brought(message: Message) -> SourceRecord | None:
    """The post that a verdict brings along, as a record that can be tried by itself."""
    record = record_of(message)
    try:
        post = decode_json(_decoder, record.value, SCHEMA).post
    except MessageError:
        return None
    return None if post is None else _with_value(record, record.source, post)


def _with_value(record: SourceRecord, source: Source, post: Post) -> SourceRecord:
    return SourceRecord(source, record.key, _encoder.encode(post))


def _about(work: PostInWork) -> About:
    assert work.post is not None  # noqa: S101  # a post that was fused
    assert work.vector is not None  # noqa: S101
    return About(work.post.post_id, work.vector.astype("<f2").tobytes(), work.record.source, work.features)


def _close(delivery: Delivery | None) -> None:
    if delivery is not None:
        delivery.close()


def _assigned(consumer: Consumer, partitions: list[TopicPartition]) -> None:
    """They stay paused until it is known from where they are read."""
    assign_paused(consumer, partitions)
    _count("assigned", partitions, len(partitions))


def _lost(consumer: Consumer, partitions: list[TopicPartition]) -> None:
    consumer.incremental_unassign(partitions)
    _count("lost", partitions, -len(partitions))


def _count(event: str, partitions: list[TopicPartition], gained: int) -> None:
    """Count by what was gained: asking for the assignment while the consumer is closing would wait for ever."""
    REBALANCES.labels(NAME, event).inc(len(partitions))
    PARTITIONS.labels(NAME).inc(gained)
    log.info("rebalance", consumer=NAME, event_name=event, partitions=[place.partition for place in partitions])
