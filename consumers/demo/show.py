"""The demo from start to end: parts, stream, moderator, view, summary."""

from __future__ import annotations

import signal
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition
from rich.console import Console
from rich.live import Live

from consumers.contracts.decision import Decision
from consumers.contracts.flag import Flag
from consumers.contracts.verdict import Verdict
from consumers.delivery import open_delivery
from consumers.demo.encoder_rate import measure_encoders
from consumers.demo.feed import Feed
from consumers.demo.moderator import Moderator, Opinion
from consumers.demo.parts import DemoError, Worker, demo_parts
from consumers.demo.summary import numbers_of, shortcomings, summary_view
from consumers.demo.tally import Given, Tally
from consumers.demo.view import History, Scene, live_view, progress_line
from consumers.embedded import PARTITIONS
from consumers.topics import kafka_properties
from consumers.verdicts import verdict_message
from models.synthetic.posts import StreamPlan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import FrameType

    from consumers.delivery import Delivery
    from consumers.settings import Settings

POSTS_A_SECOND = 40.0
DEFAULT_POSTS = 4800
POLL_SECONDS = 0.05
FRAME_SECONDS = 0.2
SCORE_SECONDS = 1.0
LINE_SECONDS = 2.0
QUIET_SECONDS = 1.5
"""The stream has ended when all is decided and no flag has come for so long."""

STALLED_SECONDS = 30.0
MISTAKE_POSTS = 600
"""A shorter stream has no room for a mistake and its correction."""

_decision = msgspec.json.Decoder(Decision)
_flag = msgspec.json.Decoder(Flag)

Show = Callable[[Scene], None]


@dataclass(slots=True)
class _Clock:
    """Seconds since the demo began."""

    start: float = field(default_factory=time.monotonic)

    def now(self) -> float:
        return time.monotonic() - self.start


def run_demo(*, posts: int, seed: int, bundle: str | None, plain: bool, summary_file: Path | None) -> bool:
    """Run the demo; gives whether the job did its work.

    Raises:
        DemoError: the worker or the stream failed.
    """
    console, clock, tally = Console(), _Clock(), Tally()
    plain = plain or not console.is_terminal
    with _interruptible() as interrupted, demo_parts(bundle) as (settings, worker):
        plan = StreamPlan(seed=seed, posts=posts, rate=POSTS_A_SECOND)
        feed = Feed(settings, plan, tally)
        with _shown(console, plain) as show:
            stage = _Stage(settings, worker, feed, tally, clock, Moderator(mistakes=posts >= MISTAKE_POSTS), posts)
            seconds = stage.play(show, interrupted)
    console.print("measuring the encoders alone ...", style="grey58")
    rate = measure_encoders(settings, feed.samples)
    numbers = numbers_of(tally, seconds, rate)
    console.print(summary_view(numbers, tally))
    if summary_file is not None:
        summary_file.write_bytes(msgspec.json.format(msgspec.json.encode(numbers), indent=2) + b"\n")
    lacking = shortcomings(tally)
    for line in lacking:
        console.print(f"failed: {line}", style="bold red")
    return not lacking


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; the second one ends the demo at once."""
    event = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        event.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _shown(console: Console, plain: bool) -> Iterator[Show]:
    """How a scene is shown: the live view on a terminal, else a line every two seconds."""
    if plain:
        yield _Lines(console).show
        return
    with Live(console=console, screen=True, auto_refresh=False) as live:

        def show(scene: Scene) -> None:
            live.update(live_view(scene, console.width, console.height), refresh=True)

        yield show


@dataclass(slots=True)
class _Lines:
    console: Console
    due: float = 0.0
    verdicts: int = 0

    def show(self, scene: Scene) -> None:
        for given in scene.tally.verdicts[self.verdicts :]:
            said = f"{given.actor}: {given.decision} {given.policy} (cluster {given.cluster_id})"
            self._print(f"{given.at:6.1f} s  {said}")
        self.verdicts = len(scene.tally.verdicts)
        if scene.now >= self.due:
            self.due = scene.now + LINE_SECONDS
            self._print(progress_line(scene))

    def _print(self, line: str) -> None:
        self.console.print(line, soft_wrap=True, highlight=False, markup=False)


@dataclass(slots=True)
class _Stage:
    """One performance: the loop that reads decisions and flags, lets the moderator look and shows the scene."""

    settings: Settings
    worker: Worker
    feed: Feed
    tally: Tally
    clock: _Clock
    moderator: Moderator
    posts: int
    history: History = field(default_factory=History)
    last_change: float = 0.0
    first_post: float | None = None
    last_decision: float = 0.0

    def play(self, show: Show, interrupted: threading.Event) -> float:
        """Play to the end; gives the seconds from the first post to the last decision."""
        reader = _open_reader(self.settings)
        delivery = open_delivery(self.settings, f"demo-{uuid.uuid4()}")
        scores = {"": self.tally.score()}
        scored = drawn = 0.0
        try:
            self.feed.start()
            while not self._over(interrupted):
                self._read(reader)
                self._moderate(delivery)
                now = self.clock.now()
                if now - drawn < FRAME_SECONDS:
                    continue
                if now - scored >= SCORE_SECONDS:
                    scores = {name: self.tally.score(name or None) for name in (*self.tally.policies(), "")}
                    scored = now
                drawn = now
                self.history.note(self.tally, now)
                show(Scene(self.tally, self.history, scores, now, self.posts, self._status(interrupted)))
        finally:
            self.feed.stop()
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
        quiet = self.clock.now() - self.last_change
        if not self.feed.done:
            if quiet > STALLED_SECONDS and self.feed.undecided:
                raise DemoError(f"no decision for {STALLED_SECONDS:.0f} s: {self.worker.last_words()}")
            return False
        return quiet > (QUIET_SECONDS if not self.feed.undecided else STALLED_SECONDS)

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
            value, now = message.value() or b"", self.clock.now()
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
        now = self.clock.now()
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
                caption=sent.caption,
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
            "fetch.wait.max.ms": 20,
        }
    )
    topics = (settings.topics.decisions, settings.topics.flags)
    reader.assign([TopicPartition(topic, partition, 0) for topic in topics for partition in range(PARTITIONS)])
    return reader
