"""Posts -> cell log: the consumer that runs the encoders."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

import numpy as np
import structlog

from consumers.contracts.cell_log import DeadRecord, PostRecord, encode
from consumers.encoding.pipeline import Pipeline, Stages
from consumers.encoding.prepare import prepare
from consumers.encoding.suspects import Suspects
from consumers.encoding.work import ABSENT, USED, PostInWork
from consumers.kafka.dead_letters import dead_letter
from consumers.kafka.delivery import Outgoing, open_delivery
from consumers.kafka.lookup import record_of
from consumers.kafka.topic_watch import TopicWatch
from consumers.metrics import DEAD_LETTERS, MEDIA_REJECTIONS, STEP
from consumers.names import cell_log_topic, encode_group
from consumers.steps import reasons
from consumers.steps.embed import embed
from consumers.steps.fuse import fuse

if TYPE_CHECKING:
    import threading

    from confluent_kafka import Message

    from consumers.http import Health
    from consumers.settings import Settings
    from models.bundle import Bundle

NAME = "encode"

LARGEST_RECORD_BYTES = 900_000
"""Of the cell log: its topic takes a little more by default, and what a topic refuses would stop everything."""

MOST_PARTS_TOLD = 64
"""Of a dead letter, in its record of the cell log."""

log = structlog.get_logger()


def run_encode(settings: Settings, bundle: Bundle, stop: threading.Event, health: Health) -> None:
    """Encode posts into the cell log until `stop` is set.

    Raises:
        PipelineError, DeliveryError: Kafka refuses for good, the posts topic cannot be read, or a post hangs.
    """
    watch = TopicWatch(settings, settings.topics.posts)
    suspects = Suspects(settings, bundle.folder)
    encoder = _Encoder(settings, bundle, watch.topic_id, suspects)
    group = encode_group(settings, bundle.bundle_id)
    worker = uuid.uuid4().hex
    pipeline = Pipeline(
        settings,
        name=NAME,
        group=group,
        topic=settings.topics.posts,
        watch=watch,
        worker=worker,
        stages=Stages(encoder.prepare, encoder.embed, encoder.outgoing, encoder.written),
        suspects=suspects,
        open_delivery=lambda: open_delivery(settings, f"{group}.{worker}"),
        health=health,
    )
    health.set_started(NAME)
    pipeline.run(stop)


class _Encoder:
    """What encode does with a batch at each stage."""

    def __init__(self, settings: Settings, bundle: Bundle, topic_id: str, suspects: Suspects) -> None:
        self._settings = settings
        self._bundle = bundle
        self._topic = cell_log_topic(settings, bundle.bundle_id)
        self._topic_id = topic_id
        self._suspects = suspects

    def prepare(self, message: Message) -> PostInWork:
        """Parse, fetch and decode one post, unless it is known to kill its process."""
        record = record_of(message, self._topic_id)
        death = self._suspects.death(record.source)
        if death is not None:
            work = PostInWork(record, time=min(record.source.timestamp, time.time_ns() // 1_000_000))
            work.fail(reasons.KILLS_ENCODER, NAME, death)
            return work
        settings = self._settings
        return prepare(record, self._bundle, encode=settings.encode, media=settings.media, limits=settings.limits)

    def embed(self, batch: list[PostInWork]) -> None:
        """Embed and fuse a batch."""
        with STEP.labels("embed").time():
            embed(batch, self._bundle)
        with STEP.labels("fuse").time():
            fuse(batch, self._bundle.layout)

    def outgoing(self, batch: list[PostInWork]) -> list[Outgoing]:
        """The records of the cell log, and the dead letters."""
        cells = iter(self._cells(batch))
        messages: list[Outgoing] = []
        for work in batch:
            if work.failure is None:
                record = self._post(work, next(cells))
                if len(record.value or b"") <= LARGEST_RECORD_BYTES:
                    messages.append(record)
                    continue
                work.fail(reasons.RECORD_TOO_LARGE, NAME, "shorten author, surface and the names of vectors")
            messages += self._dead(work)
        return messages

    def written(self, batch: list[PostInWork]) -> None:
        """Count what has been committed."""
        for work in batch:
            if work.failure is not None:
                self._suspects.forget(work.record.source)
                DEAD_LETTERS.labels(work.failure.reason, work.failure.step).inc()
                log.warning(
                    "dead letter",
                    post_id=_post_id(work),
                    reason=work.failure.reason,
                    step=work.failure.step,
                    partition=work.record.source.partition,
                    offset=work.record.source.offset,
                )
            for modality, outcome in work.parts.items():
                if outcome not in {USED, ABSENT}:
                    MEDIA_REJECTIONS.labels(modality, outcome).inc()

    def _cells(self, batch: list[PostInWork]) -> list[int]:
        vectors = [work.vector for work in batch if work.failure is None and work.vector is not None]
        if not vectors:
            return []
        return [int(cell) for cell in self._bundle.cell_of(np.stack(vectors), self._settings.assign.cells)]

    def _post(self, work: PostInWork, cell: int) -> Outgoing:
        assert work.post is not None  # noqa: S101  # a post that parsed, and has no failure
        assert work.vector is not None  # noqa: S101
        record = PostRecord(
            post_id=work.post.post_id,
            source=work.record.source,
            time=work.time,
            parts=work.parts,
            vector=work.vector.astype("<f2").tobytes(),
            actor=work.post.author,
            surface=work.post.surface,
            features=work.features,
        )
        return Outgoing(self._topic, work.post.post_id.encode(), encode(record), partition=cell)

    def _dead(self, work: PostInWork) -> list[Outgoing]:
        """A dead letter, and a record by which a cell's owner writes the decision about it."""
        assert work.failure is not None  # noqa: S101
        source = work.record.source
        record = DeadRecord(
            post_id=_post_id(work),
            source=source,
            time=work.time,
            reason=work.failure.reason,
            step=work.failure.step,
            parts=work.parts if len(work.parts) <= MOST_PARTS_TOLD else {},
        )
        cell = source.partition % self._settings.assign.cells
        key = None if record.post_id is None else record.post_id.encode()
        return [
            Outgoing(self._topic, key, encode(record), partition=cell),
            dead_letter(work.record, work.failure, self._settings),
        ]


def _post_id(work: PostInWork) -> str | None:
    return None if work.post is None else work.post.post_id
