"""Verdicts -> cell log: finds the cell of each verdict, and the post it is about."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

import msgspec
import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from consumers.contracts import cell_log
from consumers.contracts.cell_log import PostRecord, VerdictRecord
from consumers.contracts.codec import MessageError, decode_json
from consumers.contracts.source import flag_id
from consumers.contracts.verdict import SCHEMA, Verdict
from consumers.dead_letters import dead_letter
from consumers.delivery import (
    Aborted,
    Delivery,
    DeliveryError,
    Fenced,
    Outgoing,
    collect,
    group_metadata,
    next_offsets,
    open_consumer,
    open_delivery,
    rewind,
)
from consumers.lag import Lag
from consumers.lookup import open_reader, read_record, record_of
from consumers.metrics import ABORTS, DEAD_LETTERS, PARTITIONS, REBALANCES
from consumers.names import cell_log_topic, place_of_cluster, route_group
from consumers.verdicts import VerdictError, may_judge, require_valid
from consumers.work import Failure

if TYPE_CHECKING:
    import threading

    from confluent_kafka import Message

    from consumers.delivery import GroupConsumer
    from consumers.http import Health
    from consumers.settings import Settings
    from consumers.work import SourceRecord
    from models.bundle import Bundle

NAME = "route"
STEP = "route"
BATCH_VERDICTS = 256
BATCH_BYTES = 8 * 2**20
WAIT_MS = 10.0
LOOKUP_SECONDS = 5.0
ATTEMPTS = 8
LONGEST_PAUSE_SECONDS = 10.0

log = structlog.get_logger()
_decoder = msgspec.json.Decoder(Verdict)


class RouteError(RuntimeError):
    """Kafka refused the same verdicts again and again; the message is one line with the last reason."""


def run_route(settings: Settings, bundle: Bundle, stop: threading.Event, health: Health) -> None:
    """Bring verdicts into the cell log until `stop` is set.

    Raises:
        RouteError: Kafka refused for good.
    """
    topic, group = settings.topics.verdicts, route_group(settings, bundle.bundle_id)
    consumer = open_consumer(settings, group, topic=topic, on_assign=_assigned, on_revoke=_revoked, on_lost=_lost)
    router, lag = Router(settings, bundle.bundle_id), Lag(NAME, consumer)
    delivery: Delivery | None = None
    failures = 0
    health.set_started(NAME)
    try:
        while not stop.is_set():
            health.beat(NAME)
            try:
                if delivery is None:
                    rewind(consumer, consumer.assignment(), settings.kafka.request_timeout_seconds)
                    delivery = open_delivery(settings, f"{group}.{uuid.uuid4()}")
                    health.set_ready(NAME, ready=True)
                messages = collect(consumer, count=BATCH_VERDICTS, size_bytes=BATCH_BYTES, wait_ms=WAIT_MS, stop=stop)
                if messages:
                    router.work(messages, consumer, delivery)
                    lag.advance(messages)
                    failures = 0
                lag.publish()
            except (Aborted, Fenced, DeliveryError, KafkaException) as error:
                failures += 1
                ABORTS.labels(NAME, error.reason if isinstance(error, Aborted | Fenced) else "kafka").inc()
                log.warning("verdicts are read again", attempt=failures, error=str(error))
                if failures >= ATTEMPTS:
                    raise RouteError(f"Kafka refused {failures} times in a row: {error}") from error
                health.set_ready(NAME, ready=False)
                _close(delivery)
                delivery = None
                stop.wait(min(LONGEST_PAUSE_SECONDS, 0.1 * 2**failures))
    finally:
        _close(delivery)
        router.close()
        consumer.close()


class Router:
    """Turns verdicts into records of the cell log. Owns the consumer that looks posts up."""

    def __init__(self, settings: Settings, bundle: str) -> None:
        self._settings = settings
        self._bundle = bundle
        self._topic = cell_log_topic(settings, bundle)
        self._reader = open_reader(settings)

    def work(self, messages: list[Message], consumer: GroupConsumer, delivery: Delivery) -> None:
        """Route one batch and commit it.

        Raises:
            Aborted, Fenced: nothing was written.
            KafkaException: a post could not be looked up; nothing was written.
        """
        group = group_metadata(consumer)
        outgoing: list[Outgoing] = []
        failures: list[Failure] = []
        for message in messages:
            record = record_of(message)
            found = self.route(record, now_ms=time.time_ns() // 1_000_000)
            if isinstance(found, Failure):
                failures.append(found)
                outgoing.append(dead_letter(record, found, self._settings))
                log.warning("verdict is a dead letter", offset=record.source.offset, reason=found.reason)
            else:
                outgoing.extend(found)
        delivery.deliver(outgoing, next_offsets(messages), consumer, group)
        for failure in failures:
            DEAD_LETTERS.labels(failure.reason, failure.step).inc()

    def route(self, record: SourceRecord, *, now_ms: int) -> list[Outgoing] | Failure:
        """The records of the cell log for one verdict: one for its cell, or one for every cell when it names none."""
        try:
            verdict = decode_json(_decoder, record.value, SCHEMA)
            require_valid(verdict, self._settings.assign.cells)
        except MessageError as error:
            return Failure(error.reason, STEP, str(error))
        except VerdictError as error:
            return Failure("invalid", STEP, str(error))
        if not may_judge(verdict.actor, self._settings.verdicts.actors):
            return Failure("actor-not-allowed", STEP, f"{verdict.actor!r} is not among verdicts.actors")
        post: PostRecord | None = None
        if verdict.cluster_id is None and verdict.cell is not None and verdict.cell_offset is not None:
            post = self._look_up(verdict.cell, verdict.cell_offset)
            if post is not None and not self._is_about(verdict, post):
                return Failure("wrong-target", STEP, "the record at cell and cell_offset is another post")
        latest = now_ms + int(self._settings.encode.future_seconds * 1000)
        cells = self._cells(verdict)
        routed = VerdictRecord(
            verdict_id=verdict.verdict_id,
            decision=verdict.decision,
            policy=verdict.policy,
            actor=verdict.actor,
            time=min(record.source.timestamp, latest),
            post_id=verdict.post_id if post is None else post.post_id,
            flag_id=verdict.flag_id,
            cluster_id=verdict.cluster_id,
            cell_offset=verdict.cell_offset,
            vector=None if post is None else post.vector,
            source=None if post is None else post.source,
            supersedes=verdict.supersedes,
            asked=len(cells),
        )
        value = cell_log.encode(routed)
        return [Outgoing(self._topic, verdict.verdict_id.encode(), value, partition=cell) for cell in cells]

    def close(self) -> None:
        """End the consumer that looks posts up."""
        self._reader.close()

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
            return verdict.flag_id == flag_id(self._bundle, post.source, verdict.policy)
        return verdict.post_id == post.post_id

    def _cells(self, verdict: Verdict) -> list[int]:
        every = self._settings.assign.cells
        place = None if verdict.cluster_id is None else place_of_cluster(verdict.cluster_id)
        cell = verdict.cell if place is None else place[0]
        return list(range(every)) if cell is None else [cell]


def _close(delivery: Delivery | None) -> None:
    if delivery is not None:
        delivery.close()


def _assigned(consumer: Consumer, partitions: list[TopicPartition]) -> None:
    consumer.incremental_assign(partitions)
    _count("assigned", partitions, len(partitions))


def _revoked(consumer: Consumer, partitions: list[TopicPartition]) -> None:
    consumer.incremental_unassign(partitions)
    _count("revoked", partitions, -len(partitions))


def _lost(consumer: Consumer, partitions: list[TopicPartition]) -> None:
    consumer.incremental_unassign(partitions)
    _count("lost", partitions, -len(partitions))


def _count(event: str, partitions: list[TopicPartition], gained: int) -> None:
    """Count by what was gained: asking for the assignment while the consumer is closing would wait for ever."""
    REBALANCES.labels(NAME, event).inc(len(partitions))
    PARTITIONS.labels(NAME).inc(gained)
    log.info("rebalance", consumer=NAME, event_name=event, partitions=[place.partition for place in partitions])
