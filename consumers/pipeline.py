"""The only place with threads, queues and back-pressure: a batch is prepared while the one before it is embedded.

    poll ──► prepare (a pool of threads) ──► embed (one thread owns the encoders) ──► write (deliver and commit)

Each arrow is a queue of one batch. Order is kept. A batch that is given up (an aborted transaction, partitions taken
away) takes all that are behind it along: they are of an older generation, every stage drops them, and the partitions
still owned are read again from their committed offsets.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition

from consumers.delivery import Aborted, Delivery, collect, group_metadata, next_offsets, open_consumer
from consumers.metrics import ABORTS, IN_FLIGHT_BYTES, IN_FLIGHT_MESSAGES, PARTITIONS, REBALANCES, STEP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from consumers.delivery import Outgoing
    from consumers.settings import Settings
    from consumers.work import PostInWork

MOST_ABORTS = 8
"""Batches given up one after the other before the pipeline gives up itself."""

PATIENCE_SECONDS = 1.0
"""How long a full pipeline is waited for before the partitions are paused."""

log = structlog.get_logger()


class PipelineError(RuntimeError):
    """The pipeline cannot go on; the message is one line with the last reason."""


class Beats(Protocol):
    """Where the pipeline says that it is alive."""

    def beat(self, name: str) -> None:
        """Say so."""

    def set_ready(self, name: str, *, ready: bool) -> None:
        """Say whether partitions are owned and worked on."""


@dataclass(frozen=True)
class Stages:
    """What is done with a batch.

    Attributes:
        prepare: one message -> its post, decoded; called from several threads, and must not raise.
        embed: a batch; called from one thread only.
        outgoing: a batch -> the records to write.
        written: called after the batch's commit.
    """

    prepare: Callable[[Message], PostInWork]
    embed: Callable[[list[PostInWork]], None]
    outgoing: Callable[[list[PostInWork]], list[Outgoing]]
    written: Callable[[list[PostInWork]], None]


@dataclass
class Flight:
    """A batch between its poll and its commit."""

    messages: list[Message]
    generation: int
    size_bytes: int
    posts: list[PostInWork] = field(default_factory=list)


class Pipeline:
    """Reads a topic, sends each batch through the stages, commits. Made and run in one thread, which polls."""

    def __init__(
        self,
        settings: Settings,
        *,
        name: str,
        group: str,
        topic: str,
        stages: Stages,
        delivery: Delivery,
        health: Beats,
    ) -> None:
        self._settings = settings
        self._name = name
        self._stages = stages
        self._delivery = delivery
        self._health = health
        self._generation = 0
        self._group: Any = None
        self._in_flight = _InFlight(name)
        self._failure: BaseException | None = None
        self._rewind = threading.Event()
        self._aborts = 0
        self._held: list[Message] = []
        self._done = threading.Event()
        self._queues: dict[str, queue.Queue[Flight | None]] = {
            stage: queue.Queue(maxsize=1) for stage in ("prepare", "embed", "write")
        }
        self._consumer = open_consumer(
            settings, group, topic=topic, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
        )

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set, then finish what is in flight and leave the group.

        Raises:
            PipelineError: batches were given up again and again.
            Exception: what a stage raised; nothing of its batch was committed.
        """
        pin(self._settings.encode.decode_cpus)
        threads = [
            threading.Thread(target=self._stage, args=(name,), name=f"{self._name}-{name}") for name in self._queues
        ]
        for thread in threads:
            thread.start()
        try:
            while not stop.is_set():
                self._turn(stop)
            self._drain(self._settings.shutdown_seconds)
        finally:
            self._done.set()
            for thread in threads:
                thread.join(self._settings.shutdown_seconds)
            self._health.set_ready(self._name, ready=False)
            self._consumer.close()
            self._delivery.close()

    def _turn(self, stop: threading.Event) -> None:
        self._health.beat(self._name)
        self._raise_failure()
        if self._rewind.is_set():
            self._read_again()
        encode = self._settings.encode
        held, self._held = self._held, []
        messages = held or collect(
            self._consumer,
            count=encode.batch_posts,
            size_bytes=encode.batch_bytes,
            wait_ms=encode.batch_wait_ms,
            stop=stop,
        )
        if not messages:
            return
        self._group = group_metadata(self._consumer)
        flight = Flight(messages, self._generation, sum(len(m.value() or b"") for m in messages))
        self._in_flight.add(flight)
        self._put_in(flight, stop)

    def _put_in(self, flight: Flight, stop: threading.Event) -> None:
        """Hand a batch to the first stage; while there is no room, keep polling with the partitions paused."""
        paused: list[TopicPartition] = []
        deadline = time.monotonic() + PATIENCE_SECONDS
        while flight.generation == self._generation and self._failure is None:
            if self._in_flight.size_bytes - flight.size_bytes < self._settings.encode.queue_bytes:
                try:
                    self._queues["prepare"].put(flight, timeout=0.05)
                except queue.Full:
                    pass
                else:
                    break
            else:
                time.sleep(0.01)
            self._health.beat(self._name)
            self._consumer.serve_commits()
            if time.monotonic() > deadline or stop.is_set():
                paused = paused or self._pause()
                # a partition gained meanwhile is not paused: what it gives is the start of the next batch
                self._held += collect(self._consumer, count=1, size_bytes=1, wait_ms=0, stop=self._done)
        else:
            self._in_flight.remove(flight)
        if paused:
            self._consumer.resume(self._consumer.assignment())

    def _pause(self) -> list[TopicPartition]:
        assigned = self._consumer.assignment()
        self._consumer.pause(assigned)
        return assigned

    def _stage(self, name: str) -> None:
        """Body of a stage's thread: take a batch, work on it, hand it on."""
        pin(self._settings.encode.embed_cpus if name == "embed" else self._settings.encode.decode_cpus)
        with self._worker(name) as work:
            while not self._done.is_set():
                try:
                    flight = self._queues[name].get(timeout=0.1)
                except queue.Empty:
                    continue
                if flight is None or flight.generation != self._generation:
                    if flight is not None:
                        self._in_flight.remove(flight)
                    continue
                try:
                    work(flight)
                except Exception as error:  # noqa: BLE001  # raised in the polling thread
                    self._failure = self._failure or error
                    self._in_flight.remove(flight)

    @contextmanager
    def _worker(self, name: str) -> Iterator[Callable[[Flight], None]]:
        if name == "embed":
            yield self._embed
        elif name == "write":
            yield self._write
        else:
            count = self._settings.encode.decode_threads
            cpus = self._settings.encode.decode_cpus
            with ThreadPoolExecutor(count, "decode", initializer=pin, initargs=(cpus,)) as pool:

                def prepare(flight: Flight) -> None:
                    flight.posts = list(pool.map(self._stages.prepare, flight.messages))
                    self._hand_on(flight, "embed")

                yield prepare

    def _embed(self, flight: Flight) -> None:
        self._stages.embed(flight.posts)
        self._hand_on(flight, "write")

    def _hand_on(self, flight: Flight, stage: str) -> None:
        while not self._done.is_set() and flight.generation == self._generation:
            try:
                self._queues[stage].put(flight, timeout=0.1)
            except queue.Full:
                continue
            return
        self._in_flight.remove(flight)

    def _write(self, flight: Flight) -> None:
        try:
            with STEP.labels("write").time():
                outgoing = self._stages.outgoing(flight.posts)
                group = self._group
                # `_lost` changes the generation first: metadata of a later membership never meets an older batch
                if flight.generation != self._generation:
                    return
                self._delivery.deliver(outgoing, next_offsets(flight.messages), self._consumer, group)
        except Aborted as error:
            ABORTS.labels(self._name, error.reason).inc()
            log.warning("batch given up", consumer=self._name, posts=len(flight.messages), reason=str(error))
            self._aborts += 1
            self._generation += 1
            self._rewind.set()
            if self._aborts >= MOST_ABORTS:
                raise PipelineError(f"{self._name}: {self._aborts} batches given up in a row: {error}") from error
        else:
            self._aborts = 0
            self._stages.written(flight.posts)
        finally:
            self._in_flight.remove(flight)

    def _read_again(self) -> None:
        """After a batch was given up: wait for the others to be dropped, then seek to what is committed."""
        self._in_flight.wait_empty(self._settings.kafka.request_timeout_seconds, self._consumer.serve_commits)
        self._held.clear()
        self._rewind.clear()
        assigned = self._consumer.assignment()
        if not assigned:
            return
        places = self._consumer.committed(assigned, timeout=self._settings.kafka.request_timeout_seconds)
        for place in places:
            if place.error is not None:
                raise KafkaException(place.error)
            if place.offset < 0:
                place.offset = OFFSET_BEGINNING
            self._consumer.seek(place)

    def _drain(self, seconds: float) -> bool:
        """Wait for the batches in flight; True when all of them are through or given up."""
        return self._in_flight.wait_empty(seconds, self._consumer.serve_commits, lambda: self._failure is None)

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.incremental_assign(partitions)
        self._count("assigned", partitions)

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Finish what is in flight while the partitions are still ours, or give it up."""
        if partitions:
            self._group = group_metadata(consumer)
            if not self._drain(self._settings.shutdown_seconds):
                self._generation += 1
                self._rewind.set()
            consumer.incremental_unassign(partitions)
        self._count("revoked", partitions)

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """They are somebody else's already: nothing in flight may be committed."""
        self._generation += 1
        self._group = None
        self._rewind.set()
        consumer.incremental_unassign(partitions)
        self._count("lost", partitions)

    def _count(self, event: str, partitions: Sequence[TopicPartition]) -> None:
        REBALANCES.labels(self._name, event).inc()
        owned = len(self._consumer.assignment())
        PARTITIONS.labels(self._name).set(owned)
        self._health.set_ready(self._name, ready=owned > 0)
        log.info(
            "partitions",
            consumer=self._name,
            event_name=event,
            partitions=[p.partition for p in partitions],
            owned=owned,
        )

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


class _InFlight:
    """The batches between poll and commit, counted in messages and bytes."""

    def __init__(self, name: str) -> None:
        self._flights: dict[int, Flight] = {}
        self._changed = threading.Condition()
        self._messages = IN_FLIGHT_MESSAGES.labels(name)
        self._bytes = IN_FLIGHT_BYTES.labels(name)
        self.size_bytes = 0

    def add(self, flight: Flight) -> None:
        with self._changed:
            self._flights[id(flight)] = flight
            self._show()

    def remove(self, flight: Flight) -> None:
        with self._changed:
            self._flights.pop(id(flight), None)
            self._show()
            self._changed.notify_all()

    def wait_empty(
        self, seconds: float, meanwhile: Callable[[], None], alive: Callable[[], bool] = lambda: True
    ) -> bool:
        """Wait for the last batch to leave, calling `meanwhile` now and then; True when none is left."""
        deadline = time.monotonic() + seconds
        while self._flights and alive() and time.monotonic() < deadline:
            meanwhile()
            with self._changed:
                if self._flights:
                    self._changed.wait(0.01)
        return not self._flights

    def _show(self) -> None:
        self.size_bytes = sum(flight.size_bytes for flight in self._flights.values())
        self._messages.set(sum(len(flight.messages) for flight in self._flights.values()))
        self._bytes.set(self.size_bytes)


def pin(cpus: Sequence[int]) -> None:
    """Keep the calling thread on these cores; none leaves it where it is."""
    if cpus:
        os.sched_setaffinity(0, cpus)
