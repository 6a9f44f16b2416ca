"""Publishes a stream at a steady rate, in the background, and gives its verdicts."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, Any

import msgspec
from confluent_kafka import Message, Producer

from consumers.contracts.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumers.settings import Settings
    from tests.faults.stream import Stream, StreamPost, StreamVerdict
    from tests.faults.watch import DecisionWatch

PATIENCE_SECONDS = 60.0
"""For brokers that are away, and for the decision that a verdict must name."""

SLOWER = 4.0
"""Posts come so much slower when all that the verdicts need is there, and only progress is to be seen."""


class Feeder:
    """Publishes until it is told to finish; all of the stream's verdicts are given by then.

    Attributes:
        published: place (partition, offset) of each post that Kafka has acknowledged.
        partitions: of the posts topic that are written to.
    """

    def __init__(self, settings: Settings, stream: Stream, watch: DecisionWatch, *, rate: float = 80.0) -> None:
        self._settings = settings
        self._stream = stream
        self._watch = watch
        self._rate = rate
        self.partitions = 4
        self.published: dict[tuple[int, int], StreamPost] = {}
        self.sent = 0
        self.failed: list[str] = []
        self._done = threading.Event()
        self._producer = Producer(
            {
                "bootstrap.servers": settings.kafka.bootstrap_servers,
                "enable.idempotence": True,
                "delivery.timeout.ms": int(1000 * PATIENCE_SECONDS),
                "linger.ms": 2,
                "topic.metadata.refresh.interval.ms": 500,
                "log_level": 0,
            }
        )
        self._threads = [
            threading.Thread(target=self._work, args=(work,), daemon=True) for work in (self._post, self._judge)
        ]
        for thread in self._threads:
            thread.start()

    def finish(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Stop once all that belongs to the stream has been published and acknowledged, or after some seconds."""
        self._done.set()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if any(thread.is_alive() for thread in self._threads):
            self.failed.append("not all of the stream could be published")
        if self._producer.flush(seconds):
            self.failed.append("Kafka has not taken everything")

    def publish(self, post: StreamPost, partition: int) -> None:
        """Publish a post."""

        def report(error: Any, message: Message) -> None:
            if error is None:
                self.published[message.partition() or 0, message.offset() or 0] = post
            else:
                self.failed.append(str(error))

        self._producer.produce(
            self._settings.topics.posts,
            key=post.post_id,
            value=post.value,
            partition=partition,
            headers=[("trace", b"1")],
            on_delivery=report,
        )
        self.sent += 1
        self._producer.poll(0)

    def _work(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001  # told with the outcome
            self.failed.append(f"the stream broke off: {error}")

    def _post(self) -> None:
        rng, due = random.Random(self._stream.seed + 1), time.monotonic()
        for number, post in enumerate(self._stream):
            rest = number >= self._stream.posts
            if rest and self._done.is_set():
                return
            self.publish(post, rng.randrange(self.partitions))
            due += (SLOWER if rest else 1.0) / self._rate
            time.sleep(max(0.0, due - time.monotonic()))

    def _judge(self) -> None:
        for verdict in self._stream.verdicts:
            while self.sent < verdict.after:
                time.sleep(0.02)
            if not self.give(verdict):
                return

    def give(self, verdict: StreamVerdict) -> bool:
        """Write a verdict to its topic; one that names a place waits for its post's decision."""
        place: tuple[int, int] | None = None
        if verdict.naming != "post_id":
            place = self._await_place(verdict.post_id)
            if place is None:
                self.failed.append(f"verdict {verdict.verdict_id}: its post was never decided")
                return False
        if verdict.naming == "wrong place" and place is not None:
            place = (place[0], 0)
        message = Verdict(
            verdict_id=verdict.verdict_id,
            decision=verdict.decision,
            policy=verdict.policy,
            actor=verdict.actor,
            post_id=verdict.post_id,
            cell=None if place is None else place[0],
            cell_offset=None if place is None else place[1],
            supersedes=verdict.supersedes,
        )
        self.send(message, verdict.post_id)
        return True

    def _await_place(self, post_id: str) -> tuple[int, int] | None:
        """Where a post is decided. While a fault goes on nothing is promised, so time counts from its end."""
        place = None
        while place is None and not self._done.is_set():
            place = self._watch.place_of(post_id, 1.0)
        return place or self._watch.place_of(post_id, PATIENCE_SECONDS)

    def send(self, verdict: Verdict, key: str) -> None:
        """Write a verdict as it is to its topic."""
        self._producer.produce(self._settings.topics.verdicts, msgspec.json.encode(verdict), key)
        self._producer.poll(0)
