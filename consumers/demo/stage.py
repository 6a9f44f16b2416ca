"""The demo's performance: the stream runs, decisions and flags come in, the moderator looks, the scene is shown."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition

from consumers.bundles import find_bundle
from consumers.changes.verdicts import verdict_message
from consumers.contracts.decision import Decision
from consumers.contracts.flag import Flag
from consumers.contracts.verdict import Verdict
from consumers.demo.feed import Feed
from consumers.demo.moderator import Moderator, Opinion
from consumers.demo.parts import DemoError
from consumers.demo.tally import Given, Tally
from consumers.demo.view import History, Scene
from consumers.embedded import PARTITIONS
from consumers.kafka.delivery import open_delivery
from consumers.kafka.topics import kafka_properties
from models.manifest import read_manifest
from models.synthetic.posts import StreamPlan

if TYPE_CHECKING:
    import threading

    from consumers.demo.parts import Worker
    from consumers.kafka.delivery import Delivery
    from consumers.settings import Settings

POSTS_A_SECOND = 40.0
LEAST_SECONDS = 10.0
"""A short stream is slowed down to last so long: a verdict must still find posts that come after it."""

POLL_SECONDS = 0.01
FRAME_SECONDS = 0.2
SCORE_SECONDS = 1.0
QUIET_SECONDS = 1.5
"""The stream has ended when all is decided and no flag has come for so long."""

STARTING_SECONDS = 90.0
STALLED_SECONDS = 30.0
MISTAKE_POSTS = 1500
"""In a shorter stream a mistake and its correction would leave little else to see."""

_decision = msgspec.json.Decoder(Decision)
_flag = msgspec.json.Decoder(Flag)

Show = Callable[[Scene], None]


@dataclass(frozen=True, slots=True)
class Performance:
    """What remains of a performance.

    Attributes:
        seconds: from the first post to the last decision.
        samples: some posts as they stood in the topic.
    """

    tally: Tally
    seconds: float
    samples: list[bytes]


def perform(
    settings: Settings,
    worker: Worker,
    *,
    posts: int,
    seed: int,
    began: float,
    show: Show,
    interrupted: threading.Event,
) -> Performance:
    """Run a stream of `posts` posts against the worker until everything is decided or `interrupted` is set.

    Args:
        began: when the demo began, of the monotonic clock.

    Raises:
        DemoError: the worker or the stream failed, or nothing is decided any more.
    """
    tally = Tally({modality.kind for modality in read_manifest(find_bundle(settings.bundle)).modalities})
    plan = StreamPlan(seed=seed, posts=posts, rate=min(POSTS_A_SECOND, posts / LEAST_SECONDS))
    feed = Feed(settings, plan, tally)
    stage = _Stage(settings, worker, feed, tally, Moderator(mistakes=posts >= MISTAKE_POSTS), posts, began)
    return Performance(tally, stage.play(show, interrupted), feed.samples)


@dataclass(slots=True)
class _Stage:
    """One performance: the loop that reads decisions and flags, lets the moderator look and shows the scene."""

    settings: Settings
    worker: Worker
    feed: Feed
    tally: Tally
    moderator: Moderator
    posts: int
    began: float
    history: History = field(default_factory=History)
    last_change: float = 0.0
    first_post: float | None = None
    last_decision: float = 0.0
    ready: bool = False

    def now(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self.began

    def play(self, show: Show, interrupted: threading.Event) -> float:
        """Play to the end; gives the seconds from the first post to the last decision."""
        reader = _open_reader(self.settings)
        delivery = open_delivery(self.settings, f"demo-{uuid.uuid4()}")
        scores = {"": self.tally.score()}
        scored = drawn = 0.0
        try:
            self.feed.start()
            while not self._over(interrupted):
                self._open_when_ready()
                self._read(reader)
                self._moderate(delivery)
                now = self.now()
                if now - drawn < FRAME_SECONDS:
                    continue
                if now - scored >= SCORE_SECONDS:
                    scores = {name: self.tally.score(name or None) for name in (*self.tally.policies(), "")}
                    scored = now
                drawn = now
                self.history.note(self.tally, now)
                show(Scene(self.tally, self.history, scores, now, self.posts, self._status(interrupted)))
        finally:
            self.feed.close()
            delivery.close()
            reader.close()
        return self.last_decision - (self.first_post or 0.0)

    def _over(self, interrupted: threading.Event) -> bool:
        if self.feed.failure is not None:
            raise DemoError(f"the stream failed: {self.feed.failure}") from self.feed.failure
        if self.worker.process.poll() is not None:
            raise DemoError(f"the worker ended: {self.worker.last_words()}")
        if interrupted.is_set():
            self.feed.stop()
        if not self.ready:
            if self.now() > STARTING_SECONDS:
                raise DemoError(f"the worker is not ready after {STARTING_SECONDS:.0f} s: {self.worker.last_words()}")
            return self.feed.done
        quiet = self.now() - self.last_change
        if not self.feed.done:
            if quiet > STALLED_SECONDS and self.feed.undecided:
                raise DemoError(f"no decision for {STALLED_SECONDS:.0f} s: {self.worker.last_words()}")
            return False
        return quiet > (QUIET_SECONDS if not self.feed.undecided else STALLED_SECONDS)

    def _open_when_ready(self) -> None:
        """Let the first post go once the consumers have everything they need."""
        if not self.ready and self.worker.ready():
            self.ready, self.last_change = True, self.now()
            self.feed.open()

    def _status(self, interrupted: threading.Event) -> str:
        if interrupted.is_set():
            return "stopping: waiting for the decisions on their way"
        if not self.tally.decided:
            return "starting the consumers"
        return "simulated posts, real consumers, embedded Kafka and Redis   Ctrl-C ends with a summary"

    def _read(self, reader: Consumer) -> None:
        for message in reader.consume(500, POLL_SECONDS):
            error = message.error()
            if error is not None:
                if error.retriable():
                    continue
                raise KafkaException(error)
            value, now = message.value() or b"", self.now()
            self.last_change = now
            if message.topic() == self.settings.topics.flags:
                self.tally.flag(_flag.decode(value), now)
                continue
            decision = _decision.decode(value)
            self.tally.decide(decision, now, time.time() - decision.source.timestamp / 1000)
            self.feed.decided(decision.post_id or "")
            self.last_decision = now
            if self.first_post is None:
                self.first_post = now - self.tally.latencies[0]

    def _moderate(self, delivery: Delivery) -> None:
        now = self.now()
        opinion = self.moderator.look(self.tally, now, len(self.tally.decided) / self.posts)
        if opinion is None:
            return
        verdict = _verdict_of(opinion)
        delivery.deliver([verdict_message(self.settings, verdict)])
        self.last_change = now
        sent = self.tally.sent[opinion.post_id]
        self.tally.give(
            Given(
                at=now,
                decision=opinion.verdict,
                policy=opinion.policy,
                actor=opinion.actor,
                cluster_id=opinion.cluster_id,
                campaign=sent.truth.campaign if sent.truth.policy == opinion.policy else None,
                sent=sent,
                timestamp=int(time.time() * 1000),
            )
        )


def _verdict_of(opinion: Opinion) -> Verdict:
    return Verdict(
        verdict_id=str(uuid.uuid4()),
        decision=opinion.verdict,
        policy=opinion.policy,
        post_id=opinion.post_id,
        cell=opinion.cell,
        cell_offset=opinion.cell_offset,
        actor=opinion.actor,
        decided_at=datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    )


def _open_reader(settings: Settings) -> Consumer:
    """A reader of every decision and flag from the beginning on."""
    reader = Consumer(
        kafka_properties(settings)
        | {
            "group.id": "demo",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    topics = (settings.topics.decisions, settings.topics.flags)
    reader.assign([TopicPartition(topic, partition, 0) for topic in topics for partition in range(PARTITIONS)])
    return reader
