"""The only place with threads, queues and back-pressure: a batch is prepared while the one before it is embedded.

    poll ──► prepare (a pool of threads) ──► embed (one thread owns the encoders) ──► write (deliver and commit)

Each arrow is a queue of one batch. Order is kept. A batch that is given up (an aborted transaction, partitions taken
away, a stage that failed) takes all that are behind it along: they are of an older generation, every stage drops
them, and the partitions still owned are read again from their committed offsets.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from consumers.kafka.delivery import (
    SPARE_SECONDS,
    Aborted,
    Delivery,
    DeliveryError,
    Fenced,
    RecordsGoneError,
    assign_paused,
    collect,
    group_metadata,
    next_offsets,
    open_consumer,
    refusals_that_count,
    size_of,
    without,
)
from consumers.kafka.lag import Lag
from consumers.kafka.marks import Mark, begin, leave, regain
from consumers.metrics import ABORTS, IN_FLIGHT_BYTES, IN_FLIGHT_MESSAGES, PARTITIONS, REBALANCES, STEP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from consumers.encoding.suspects import Suspects
    from consumers.encoding.work import PostInWork
    from consumers.kafka.delivery import Outgoing
    from consumers.kafka.topic_watch import TopicWatch
    from consumers.settings import Settings

MOST_REFUSALS = 60
"""Batches refused one after the other, by brokers that answer, before the pipeline gives up: some five minutes."""

UNREADY_REFUSALS = 2
"""In a row, and nothing has been written since."""

UNCOMMITTED_BATCHES = 5
"""That may have been decoded, at most, when a worker dies: one in each stage and in each queue behind prepare."""

LONGEST_PAUSE_SECONDS = 5.0
"""Between two tries while Kafka refuses or is away."""

PATIENCE_SECONDS = 5.0
"""How long a full pipeline is waited for before the partitions are paused: pausing throws read-ahead away."""

FINISH_SHARE = 0.6
"""The part of the shutdown time that batches in flight may take; the rest is for leaving."""

log = structlog.get_logger()


class PipelineError(RuntimeError):
    """The pipeline cannot go on; the message is one line with the last reason."""


class Beats(Protocol):
    """Where the pipeline says that it is alive."""

    def beat(self, name: str) -> None:
        """Say so."""

    def set_ready(self, name: str, *, ready: bool, note: str = "") -> None:
        """Say whether it can do its work now, and what it has been given."""


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
    """A batch between its poll and its commit; its messages stay as they are.

    Attributes:
        same_topic: raises unless all of it was read from the topic that the pipeline began with.
    """

    messages: list[Message]
    generation: int
    same_topic: Callable[[], None]
    posts: list[PostInWork] = field(default_factory=list)

    @cached_property
    def size_bytes(self) -> int:
        """Bytes of its messages; counted once, since a full pipeline asks a hundred times a second."""
        return sum(map(size_of, self.messages))


class Pipeline:
    """Reads a topic, sends each batch through the stages, commits. Made and run in one thread, which polls.

    Args:
        watch: of the topic.
        worker: names this process in what it commits; no other process has the name.
        suspects: where the posts at hand when a worker died are tried.
        open_delivery: a producer of this process alone; called again after it was refused for good.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        name: str,
        group: str,
        topic: str,
        watch: TopicWatch,
        worker: str,
        stages: Stages,
        suspects: Suspects,
        open_delivery: Callable[[], Delivery],
        health: Beats,
    ) -> None:
        self._settings = settings
        self._name = name
        self._stages = stages
        self._suspects = suspects
        self._watch = watch
        self._mark = Mark(watch.topic_id, worker)
        self._health = health
        self._open_delivery = open_delivery
        self._delivery: Delivery | None = open_delivery()
        self._generations = _Generations()
        self._reading = 0
        self._group: Any = None
        self._in_flight = _InFlight(name)
        self._failure: BaseException | None = None
        self._refusals: list[str] = []
        self._written: deque[list[Message]] = deque()
        self._next: Flight | None = None
        self._next_since = 0.0
        self._held: list[Message] = []
        self._paused = False
        self._done = threading.Event()
        self._queues: dict[str, queue.Queue[Flight]] = {
            stage: queue.Queue(maxsize=1) for stage in ("prepare", "embed", "write")
        }
        self._owned: set[tuple[str, int]] = set()
        self._at_work: dict[str, float] = {}
        self._spare_after = time.monotonic() + SPARE_SECONDS
        self._consumer = open_consumer(
            settings, group, topic=topic, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
        )
        self._lag = Lag(name, self._consumer)

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set, then finish what is in flight and leave the group.

        Raises:
            PipelineError: Kafka answers, and refuses again and again; or a stage hangs.
            RecordsGoneError: the log does not hold what is to be read next, or is another one.
            DeliveryError: the topic cannot be read.
            Exception: what a stage raised; nothing of its batch was committed.
        """
        pin(self._settings.encode.decode_cpus)
        threads = [
            threading.Thread(target=self._stage, args=(name,), name=f"{self._name}-{name}", daemon=True)
            for name in self._queues
        ]
        for thread in threads:
            thread.start()
        try:
            while not stop.is_set():
                self._turn(stop)
            if self._drain(FINISH_SHARE * self._settings.shutdown_seconds):
                self._leave([TopicPartition(*place) for place in self._owned])
            self._raise_failure()
        finally:
            self._end(threads)

    def _end(self, threads: Sequence[threading.Thread]) -> None:
        self._done.set()
        self._generations.give_up()
        deadline = time.monotonic() + (1 - FINISH_SHARE) / 2 * self._settings.shutdown_seconds
        while any(thread.is_alive() for thread in threads) and time.monotonic() < deadline:
            self._consumer.serve()
            time.sleep(0.005)
        self._health.set_ready(self._name, ready=False)
        self._suspects.close()
        self._consumer.close()
        if self._delivery is not None:
            self._delivery.close()

    def _turn(self, stop: threading.Event) -> None:
        self._health.beat(self._name)
        self._raise_failure()
        self._raise_hanging()
        self._watch.check_now_and_then()
        current = self._reading == self._generations.current or self._read_again(stop)
        begun = current and self._begin(stop)
        settled = bool(self._owned) or time.monotonic() > self._spare_after
        refused = len(self._refusals) >= UNREADY_REFUSALS
        note = f"{len(self._owned)} partitions"
        self._health.set_ready(self._name, ready=begun and settled and not refused, note=note)
        if not current:
            return
        if self._next is None:
            self._next = self._read(stop)
        if self._next is not None:
            self._put_in(self._next)
        self._publish_lag()

    def _read(self, stop: threading.Event) -> Flight | None:
        """The next batch. It is of the generation in which reading began: what is given up meanwhile, it is too."""
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
            return None
        try:
            self._group = group_metadata(self._consumer)
        except Aborted as error:
            log.warning("batch given up", consumer=self._name, posts=len(messages), reason=str(error))
            self._generations.give_up()
            return None
        self._next_since = time.monotonic()
        return Flight(messages, self._reading, self._watch.ask())

    def _put_in(self, flight: Flight) -> None:
        """Hand a batch to the first stage. While there is no room for long, poll with the partitions paused."""
        self._consumer.serve()
        if flight.generation != self._generations.current or not flight.messages:
            self._next = None
        elif self._in_flight.offer(flight, self._settings.encode.queue_bytes, self._queues["prepare"]):
            self._next = None
            self._pause(on=False)
        elif time.monotonic() - self._next_since > PATIENCE_SECONDS:
            self._pause(on=True)
            # what comes all the same is the start of a later batch; partitions may be taken away while we wait for it
            come = collect(self._consumer, count=1, size_bytes=1, wait_ms=0, stop=self._done, patience=_ROOM_SECONDS)
            self._held += come

    def _pause(self, *, on: bool) -> None:
        """Pause or resume what reading has begun of; what it has not stays paused."""
        if on != self._paused:
            owned, gained = self._consumer.assignment(), self._consumer.gained
            places = [place for place in owned if (place.topic, place.partition) not in gained]
            (self._consumer.pause if on else self._consumer.resume)(places)
            self._paused = on

    def _read_again(self, stop: threading.Event) -> bool:
        """Go back to what is committed, once all batches of older generations are gone; True when that is done."""
        generation = self._generations.current
        self._next = None
        self._held.clear()
        # stays in the group; whatever comes is read again
        collect(self._consumer, count=1, size_bytes=1, wait_ms=0, stop=stop, patience=_ROOM_SECONDS)
        if not self._in_flight.wait_empty(_TURN_SECONDS, self._consumer.serve):
            return False
        self._pause(on=False)
        regain(self._consumer)
        if not self._begin(stop):
            return False
        self._reading = generation
        return True

    def _begin(self, stop: threading.Event) -> bool:
        """Read the partitions gained, once the brokers say from where; True when there are none left of them."""
        if not self._consumer.gained:
            return True
        self._wait_after_refusals(stop)
        try:
            begun = begin(
                self._consumer,
                self._watch,
                self._mark,
                self._suspects,
                at_hand=UNCOMMITTED_BATCHES * self._settings.encode.batch_posts,
                timeout=self._settings.kafka.request_timeout_seconds,
            )
        except KafkaException as error:
            self._refusals.append(str(error))
            log.warning("not read yet", consumer=self._name, reason=str(error))
            return False
        for place in begun:
            self._lag.start(place)
        if not self._paused:
            self._consumer.resume(begun)
        return True

    def _wait_after_refusals(self, stop: threading.Event) -> None:
        """A pause that grows. A Kafka that is away may stay away for any time; one that answers must take a batch."""
        refusals = len(self._refusals)
        count = refusals_that_count(self._consumer, refusals)
        if count < refusals:
            del self._refusals[:-count]
        if count >= MOST_REFUSALS:
            raise PipelineError(f"{self._name}: {count} batches refused in a row: {self._refusals[-1]}")
        if count:
            stop.wait(min(LONGEST_PAUSE_SECONDS, 0.025 * 2 ** min(count, 10)))

    def _stage(self, name: str) -> None:
        """Body of a stage's thread: take a batch, work on it, hand it on."""
        pin(self._settings.encode.embed_cpus if name == "embed" else self._settings.encode.decode_cpus)
        with self._worker(name) as work:
            while not self._done.is_set():
                try:
                    flight = self._queues[name].get(timeout=_TURN_SECONDS)
                except queue.Empty:
                    continue
                try:
                    if not self._dropped(flight):
                        work(flight)
                except Exception as error:  # noqa: BLE001  # raised in the polling thread
                    self._failure = self._failure or error
                    # the batches behind it must not commit their offsets
                    self._generations.give_up()
                    self._in_flight.remove(flight)

    def _dropped(self, flight: Flight) -> bool:
        if flight.generation == self._generations.current:
            return False
        self._in_flight.remove(flight)
        return True

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

                def prepare_one(message: Message) -> PostInWork:
                    post = self._stages.prepare(message)
                    self._at_work[name] = time.monotonic()
                    return post

                def prepare(flight: Flight) -> None:
                    for message in flight.messages:
                        if self._dropped(flight):
                            return
                        self._suspects.examine(message)
                    self._at_work[name] = time.monotonic()
                    flight.posts = list(pool.map(prepare_one, flight.messages))
                    self._at_work.pop(name)
                    self._hand_on(flight, "embed")

                yield prepare

    def _embed(self, flight: Flight) -> None:
        self._at_work["embed"] = time.monotonic()
        self._stages.embed(flight.posts)
        self._at_work.pop("embed")
        self._hand_on(flight, "write")

    def _hand_on(self, flight: Flight, stage: str) -> None:
        while not self._dropped(flight):
            try:
                self._queues[stage].put(flight, timeout=_TURN_SECONDS)
            except queue.Full:
                continue
            return

    def _write(self, flight: Flight) -> None:
        try:
            with STEP.labels("write").time():
                outgoing = self._stages.outgoing(flight.posts)
                if self._delivery is None:
                    self._delivery = self._open_delivery()
                group = self._group
                # `_lost` changes the generation first: metadata of a later membership never meets an older batch
                if flight.generation != self._generations.current:
                    return
                flight.same_topic()
                offsets = next_offsets(flight.messages, self._mark.text())
                self._delivery.deliver(outgoing, offsets, self._consumer, group)
        except RecordsGoneError:
            raise
        except (Aborted, Fenced, DeliveryError, KafkaException) as error:
            self._refused(flight, error)
        else:
            self._refusals.clear()
            self._stages.written(flight.posts)
            self._written.append(flight.messages)
        finally:
            self._in_flight.remove(flight)

    def _refused(self, flight: Flight, error: Aborted | Fenced | DeliveryError | KafkaException) -> None:
        """Give the batch up. Nobody else has our id: to be fenced means that the brokers timed us out."""
        reason = error.reason if isinstance(error, Aborted | Fenced) else "kafka"
        ABORTS.labels(self._name, reason).inc()
        log.warning("batch given up", consumer=self._name, posts=len(flight.messages), reason=str(error))
        if self._delivery is not None and not isinstance(error, Aborted):
            self._delivery.close()
            self._delivery = None
        self._refusals.append(str(error))
        self._generations.give_up()

    def _drain(self, seconds: float) -> bool:
        """Wait for the batches in flight; True when all of them are through or given up."""
        return self._in_flight.wait_empty(seconds, self._consumer.serve, lambda: self._failure is None)

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """They stay paused until `_begin` says from where they are read."""
        assign_paused(consumer, partitions)
        self._owned |= {(place.topic, place.partition) for place in partitions}
        self._note("assigned", partitions)

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Finish what is in flight while the partitions are still ours, or give it up."""
        self._let_go(partitions)
        if partitions and not self._done.is_set():
            if self._finished(consumer):
                self._leave(partitions)
            else:
                self._generations.give_up()
        consumer.incremental_unassign(partitions)
        self._note("revoked", partitions)

    def _finished(self, consumer: Consumer) -> bool:
        try:
            self._group = group_metadata(consumer)
        except Aborted:
            return False
        return self._drain(self._settings.shutdown_seconds)

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """They are somebody else's already: nothing in flight may be committed."""
        self._generations.give_up()
        self._group = None
        self._let_go(partitions)
        consumer.incremental_unassign(partitions)
        self._note("lost", partitions)

    def _let_go(self, partitions: list[TopicPartition]) -> None:
        """Forget what was read of these partitions and is not in flight yet: their next owner reads it."""
        gone = {(place.topic, place.partition) for place in partitions}
        self._owned -= gone
        self._held = without(self._held, gone)
        if self._next is not None:
            self._next = replace(self._next, messages=without(self._next.messages, gone))

    def _note(self, event: str, partitions: Sequence[TopicPartition]) -> None:
        REBALANCES.labels(self._name, event).inc(len(partitions))
        PARTITIONS.labels(self._name).set(len(self._owned))
        numbers = [place.partition for place in partitions]
        log.info("rebalance", consumer=self._name, event_name=event, partitions=numbers, owned=len(self._owned))

    def _publish_lag(self) -> None:
        while self._written:
            self._lag.advance(self._written.popleft())
        self._lag.publish()

    def _leave(self, places: Sequence[TopicPartition]) -> None:
        """Say that we are not at work there any more."""
        leave(self._consumer, places, self._mark, self._suspects, _LEAVE_SECONDS)

    def _raise_hanging(self) -> None:
        """A thread that hangs cannot be ended, so the process ends; the next one tries what was at hand."""
        longest = self._settings.encode.stuck_seconds
        for stage, since in list(self._at_work.items()):
            if time.monotonic() - since > longest:
                raise PipelineError(
                    f"{self._name}: {stage} hangs: nothing was finished for {longest:.0f} s (encode.stuck_seconds); "
                    "restart: the posts at hand are tried one by one, and the one that hangs is a dead letter"
                )

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


_TURN_SECONDS = 0.1
_ROOM_SECONDS = 0.01
_LEAVE_SECONDS = 3.0


class _Generations:
    """Counts how often batches were given up; a batch of an older generation is dropped wherever it is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.current = 0

    def give_up(self) -> None:
        with self._lock:
            self.current += 1


class _InFlight:
    """The batches between poll and commit, counted in messages and bytes."""

    def __init__(self, name: str) -> None:
        self._flights: dict[int, Flight] = {}
        self._changed = threading.Condition()
        self._messages = IN_FLIGHT_MESSAGES.labels(name)
        self._bytes = IN_FLIGHT_BYTES.labels(name)
        self.size_bytes = 0

    def offer(self, flight: Flight, most_bytes: int, first: queue.Queue[Flight]) -> bool:
        """Put a batch into the first queue, waiting a moment for room; at least one batch is always let in."""
        with self._changed:
            if self._flights and self.size_bytes + flight.size_bytes > most_bytes:
                self._changed.wait(_ROOM_SECONDS)
                return False
            self._flights[id(flight)] = flight
            self._show()
        try:
            first.put(flight, timeout=_ROOM_SECONDS)
        except queue.Full:
            self.remove(flight)
            return False
        return True

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
                    self._changed.wait(_ROOM_SECONDS)
        return not self._flights

    def _show(self) -> None:
        self.size_bytes = sum(flight.size_bytes for flight in self._flights.values())
        self._messages.set(sum(len(flight.messages) for flight in self._flights.values()))
        self._bytes.set(self.size_bytes)


def pin(cpus: Sequence[int]) -> None:
    """Keep the calling thread on these cores; none leaves it where it is."""
    if cpus:
        os.sched_setaffinity(0, cpus)
