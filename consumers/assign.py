"""Cell log -> decisions and flags: the stateful consumer. Each assigned partition is a cell with one owner."""

from __future__ import annotations

import gc
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from consumers.cells.conclusions import DeadVerdict
from consumers.cells.growth import Growth
from consumers.cells.owner import Batch, CellOwner, CellStopped, Surroundings, take_over
from consumers.contracts.decision import Decision
from consumers.contracts.flag import Flag
from consumers.kafka.delivery import (
    SPARE_SECONDS,
    Aborted,
    DeliveryError,
    Fenced,
    RecordsGoneError,
    assign_paused,
    collect,
    open_consumer,
    refusals_that_count,
)
from consumers.kafka.lag import Lag
from consumers.kafka.topic_watch import TopicWatch
from consumers.metrics import (
    ABORTS,
    CELL_ASSIGNED,
    CELL_STOPPED,
    CELL_WAITING,
    CLUSTER_EVENTS,
    CLUSTERS,
    DEAD_LETTERS,
    DUPLICATES,
    END_TO_END,
    FASTEST_GROWTH,
    FLAGS,
    JUDGED_FLAGS,
    PARTITIONS,
    POSTS,
    REBALANCES,
    UNVERIFIED,
    VERDICTS,
)
from consumers.names import assign_group, cell_log_topic
from consumers.recovery.snapshot_store import SnapshotStoreError
from consumers.recovery.snapshots import SnapshotTaker
from consumers.state.memory import RedisMemory
from consumers.state.store import StaleOwner, StateStore, StateUnavailable

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from confluent_kafka import Message

    from consumers.http import Health
    from consumers.settings import Settings
    from models.bundle import Bundle

NAME = "assign"
BATCH_BYTES = 32 * 2**20
AT_ONCE = 64
"""Records are read so many at a time: they are some kilobytes each, so that hardly more come than were asked for."""

ATTEMPTS = 60
"""Times in a row that Kafka, or a rival, refuses a cell although the brokers answer, before it is stopped."""

LONGEST_PAUSE_SECONDS = 5.0

TAKE_OVER_SECONDS = 10.0
"""Cells are taken over for so long in a row, then Kafka is asked for records: it must not think us dead."""

CONFIRM_SECONDS = 5.0
"""A cell without records asks Redis so often whether its state is still there."""

GROWTH_SECONDS = 5.0
"""So often is it looked up which micro-cluster grows fastest."""

PASSING = (StateUnavailable, SnapshotStoreError, StaleOwner, Aborted, Fenced, DeliveryError, KafkaException)
"""What may be over when the cell is taken over again."""

log = structlog.get_logger()


@dataclass(slots=True)
class Tries:
    """Take-overs of a cell since its last batch: how many, and how many in a row that were not for want of Redis."""

    pauses: int = 0
    refusals: int = 0


def run_assign(settings: Settings, bundle: Bundle, stop: threading.Event, health: Health) -> None:
    """Own the cells that the group gives to this process, until `stop` is set.

    Raises:
        RecordsGoneError: the cell log is another one, or lacks what is to be read next.
        DeliveryError: the brokers do not tell of the cell log.
    """
    cells = _Cells(settings, bundle, health)
    try:
        health.set_started(NAME)
        while not stop.is_set():
            cells.turn(stop)
    finally:
        cells.close()


class _Cells:
    """The cells of this process. Everything, the callbacks of the rebalance too, runs in one thread.

    A cell is in exactly one of three places: `waiting` (to be taken over; its partition is paused), `owners`, or
    `stopped` (by what its state says; its partition stays paused until the cell is assigned anew).
    """

    def __init__(self, settings: Settings, bundle: Bundle, health: Health) -> None:
        self._settings = settings
        self._bundle = bundle
        self._health = health
        self.waiting: dict[int, float] = {}
        self.owners: dict[int, CellOwner] = {}
        self.stopped: dict[int, str] = {}
        self._tries: dict[int, Tries] = {}
        self._called: dict[int, float] = {}
        self._growth: dict[int, Growth] = {}
        self._growth_due = 0.0
        self._told = False
        self._spare_after = time.monotonic() + SPARE_SECONDS
        self._consumer = open_consumer(
            settings,
            assign_group(settings, bundle.bundle_id),
            topic=cell_log_topic(settings, bundle.bundle_id),
            on_assign=self._assigned,
            on_revoke=self._revoked,
            on_lost=self._lost,
            may_skip=False,
        )
        self._store = StateStore(settings.redis, bundle.bundle_id, settings.assign.cells)
        self._watch = TopicWatch(settings, cell_log_topic(settings, bundle.bundle_id))
        self._around = Surroundings(
            settings,
            bundle.manifest,
            bundle.quantizer(settings.assign.cells),
            self._store,
            self._consumer,
            self._watch,
            partial(health.beat, NAME),
        )
        self._lag = Lag(NAME, self._consumer)
        self._snapshots = SnapshotTaker(settings, bundle.bundle_id, lambda: tuple(self.owners))
        self._memory = RedisMemory(settings.redis)
        for cell in range(settings.assign.cells):
            CELL_ASSIGNED.labels(str(cell))

    def turn(self, stop: threading.Event) -> None:
        """Take over what waits, then collect one batch and let each cell work on its part of it."""
        self._health.beat(NAME)
        self._watch.check_now_and_then()
        began = time.monotonic()
        for cell in [cell for cell, not_before in self.waiting.items() if not_before <= began]:
            if not self._take_over(cell) or time.monotonic() - began > TAKE_OVER_SECONDS:
                break
        behind = any(owner.folds_again for owner in self.owners.values())
        ready = self._settled() and not (self.waiting or self.stopped or behind)
        self._health.set_ready(NAME, ready=ready, note=self._places())
        assign = self._settings.assign
        messages = collect(
            self._consumer,
            count=assign.batch_records,
            size_bytes=BATCH_BYTES,
            wait_ms=assign.batch_wait_ms,
            stop=stop,
            at_once=AT_ONCE,
        )
        away: StateUnavailable | None = None
        parts = self._quiet() | _by_cell(messages)
        same_log = self._watch.ask() if messages else nothing_read
        for cell, owner in list(self.owners.items()):
            if away is not None and cell in parts:
                # one cell has waited for Redis long enough for all of them
                self._wait(cell, away)
            else:
                away = self._work(owner, parts.get(cell), same_log) or away
        self._lag.publish()
        self._publish_growth()

    def close(self) -> None:
        """Leave the group; the cells' next owners go on where the last commits ended."""
        self._snapshots.close()
        self._memory.close()
        for cell in list(self.owners):
            self._let_go(cell)
        self._consumer.close()
        self._store.close()

    def _quiet(self) -> dict[int, list[Message]]:
        """Cells that had no call to Redis for a while, to work on nothing: so that they too notice what it lost."""
        before = time.monotonic() - CONFIRM_SECONDS
        return {cell: [] for cell in self.owners if self._called[cell] < before}

    def _places(self) -> str:
        """Where its cells are, in words."""
        places = {"owned": [*self.owners], "waiting": [*self.waiting], "stopped": [*self.stopped]}
        told = [f"{place}: {', '.join(map(str, sorted(cells)))}" for place, cells in places.items() if cells]
        return "cells " + "; ".join(told) if told else "no cells"

    def _settled(self) -> bool:
        """Whether the group has said what is ours; a spare member may never be told that it is nothing."""
        return self._told or time.monotonic() > self._spare_after

    def _take_over(self, cell: int) -> bool:
        """Make the cell ours; on failure, what is in the way is likely in the way of the other cells too."""
        self._health.beat(NAME)
        try:
            owner = self.owners[cell] = take_over(self._around, cell)
            place = self._around.place(cell, owner.position)
            self._consumer.seek(place)
            self._consumer.resume([place])
        except Exception as error:  # noqa: BLE001  # whatever it is, it is this cell's alone
            self._give_way(cell, error)
            return False
        # what a cell holds stays: nobody need look through it for garbage again and again
        gc.freeze()
        del self.waiting[cell]
        self._called[cell] = time.monotonic()
        self._lag.start(place)
        CELL_STOPPED.labels(str(cell)).set(0)
        CELL_WAITING.labels(str(cell)).set(0)
        CLUSTERS.labels(str(cell)).set(owner.fold.clusters)
        log.info("cell taken over", cell=cell, position=owner.position, clusters=owner.fold.clusters)
        return True

    def _work(
        self, owner: CellOwner, messages: list[Message] | None, same_log: Callable[[], None]
    ) -> StateUnavailable | None:
        """Let a cell work on its messages, and count what it has written; gives the error when Redis is away.

        None is for a cell that has nothing to work on, and perhaps something that is being written.
        """
        self._health.beat(NAME)
        try:
            batch = owner.finish() if messages is None else owner.work(messages, same_log)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is this cell's alone
            self._give_way(owner.cell, error)
            return error if isinstance(error, StateUnavailable) else None
        if messages is not None or batch is not None:
            self._called[owner.cell] = time.monotonic()
        if batch is not None:
            self._written(owner, batch)
        elif owner.folds_again:
            self._tries.pop(owner.cell, None)
            self._lag.advance((messages or [])[-1:])
        return None

    def _written(self, owner: CellOwner, batch: Batch) -> None:
        self._tries.pop(owner.cell, None)
        self._lag.advance([batch.last])
        count(owner, batch)
        growth = self._growth.setdefault(owner.cell, Growth())
        payloads = [output.payload for output in batch.folded.outputs]
        growth.add([one.cluster_id for one in payloads if isinstance(one, Decision) and one.cluster_id is not None])

    def _publish_growth(self) -> None:
        if time.monotonic() < self._growth_due:
            return
        self._growth_due = time.monotonic() + GROWTH_SECONDS
        for cell, owner in self.owners.items():
            growth = self._growth.setdefault(cell, Growth())
            FASTEST_GROWTH.labels(str(cell)).set(growth.fastest(owner.fold.has_evidence))

    def _give_way(self, cell: int, error: Exception) -> None:
        if isinstance(error, RecordsGoneError):
            raise error
        if isinstance(error, PASSING):
            self._wait(cell, error)
        elif isinstance(error, CellStopped):
            self._stop(cell, str(error))
        else:
            log.error("the fold failed", cell=cell, exc_info=error)
            self._stop(
                cell, f"cell {cell}: failed unexpectedly: {error!r}; restart, and report it when it comes again"
            )

    def _wait(self, cell: int, error: Exception) -> None:
        """Take the cell over again, after a pause that grows.

        A Redis, a Kafka or a store of snapshots that is away may stay away for any time; a cell that fails although
        they answer is stopped.
        """
        self._let_go(cell)
        self._consumer.pause([self._around.place(cell, 0)])
        tries = self._tries.setdefault(cell, Tries())
        tries.pauses += 1
        tries.refusals = 0 if isinstance(error, StateUnavailable | SnapshotStoreError) else tries.refusals + 1
        ABORTS.labels(NAME, _reason(error)).inc()
        log.warning("cell will be taken over again", cell=cell, attempt=tries.pauses, error=str(error))
        tries.refusals = refusals_that_count(self._consumer, tries.refusals)
        if tries.refusals >= ATTEMPTS:
            self._stop(cell, f"cell {cell}: refused {tries.refusals} times: {error}; put that right and restart")
        else:
            self.waiting[cell] = time.monotonic() + min(LONGEST_PAUSE_SECONDS, 0.05 * 2 ** min(tries.pauses, 10))
            CELL_WAITING.labels(str(cell)).set(1)

    def _stop(self, cell: int, message: str) -> None:
        """Leave this cell alone until it is assigned anew; the other cells, and encoding, go on."""
        self._let_go(cell)
        self._consumer.pause([self._around.place(cell, 0)])
        self.stopped[cell] = message
        CELL_STOPPED.labels(str(cell)).set(1)
        CELL_WAITING.labels(str(cell)).set(0)
        log.error("cell stopped", cell=cell, reason=message)

    def _let_go(self, cell: int) -> None:
        """Drop whatever this process holds of the cell; its state is in Redis.

        What is being written is waited for: written or not, the next owner goes on from it.
        """
        self.waiting.pop(cell, None)
        self.stopped.pop(cell, None)
        owner = self.owners.pop(cell, None)
        if owner is None:
            return
        try:
            batch = owner.finish()
        except Exception as error:  # noqa: BLE001  # the cell is let go of all the same
            log.info("the last batch was not written", cell=cell, error=str(error))
        else:
            if batch is not None:
                self._written(owner, batch)
        owner.close()
        gc.unfreeze()

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """The cells wait, paused, to be taken over; that says where to read on, so Kafka need not know an offset."""
        self._told = True
        assign_paused(consumer, partitions)
        for place in partitions:
            if place.partition < self._settings.assign.cells:
                CELL_ASSIGNED.labels(str(place.partition)).set(1)
                self.waiting[place.partition] = 0.0
            else:
                log.info("a partition beyond the cells: nothing is written there", partition=place.partition)
        self._note("assigned", partitions)

    def _revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Callbacks run while messages are collected; a batch that is being written meanwhile is waited for."""
        self._give_up(partitions)
        consumer.incremental_unassign(partitions)
        self._note("revoked", partitions)

    def _lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._give_up(partitions)
        consumer.incremental_unassign(partitions)
        self._note("lost", partitions)

    def _give_up(self, partitions: list[TopicPartition]) -> None:
        for place in partitions:
            self._let_go(place.partition)
            self._tries.pop(place.partition, None)
            self._growth.pop(place.partition, None)
            if place.partition < self._settings.assign.cells:
                CELL_ASSIGNED.labels(str(place.partition)).set(0)
            for gauge in (CELL_STOPPED, CELL_WAITING, CLUSTERS, FASTEST_GROWTH):
                gauge.remove(str(place.partition))

    def _note(self, event: str, partitions: list[TopicPartition]) -> None:
        REBALANCES.labels(NAME, event).inc(len(partitions))
        PARTITIONS.labels(NAME).set(len(self.owners) + len(self.waiting) + len(self.stopped))
        log.info("rebalance", consumer=NAME, event_name=event, partitions=[place.partition for place in partitions])


def nothing_read() -> None:
    """There is nothing that could be of another log."""


def _by_cell(messages: list[Message]) -> dict[int, list[Message]]:
    parts: dict[int, list[Message]] = {}
    for message in messages:
        parts.setdefault(message.partition() or 0, []).append(message)
    return parts


def _reason(error: Exception) -> str:
    """A word for the metric; Kafka's and ours are closed sets."""
    if isinstance(error, Aborted | Fenced):
        return error.reason
    if isinstance(error, StateUnavailable):
        return "redis"
    if isinstance(error, SnapshotStoreError):
        return "snapshots"
    return "stale-owner" if isinstance(error, StaleOwner) else "kafka"


def count(owner: CellOwner, batch: Batch) -> None:
    """Count a batch that Kafka has acknowledged."""
    folded = batch.folded
    outcomes: Counter[str] = Counter()
    for output in folded.outputs:
        payload = output.payload
        if isinstance(payload, Decision):
            outcomes[payload.outcome] += 1
            END_TO_END.observe(max(0, batch.written_ms - output.timestamp) / 1000)
        elif isinstance(payload, Flag):
            cause = payload.cause if payload.cause in {"live", "retroactive"} else "verdict"
            FLAGS.labels(payload.policy, payload.action, cause).inc()
        elif isinstance(payload, DeadVerdict):
            DEAD_LETTERS.labels(payload.reason, payload.step).inc()
    for outcome, number in outcomes.items():
        POSTS.labels(outcome).inc(number)
    for event, number in folded.events.items():
        CLUSTER_EVENTS.labels(event).inc(number)
    for policy, number in folded.refused.items():
        UNVERIFIED.labels(policy).inc(number)
    for (decision, outcome), number in folded.verdicts.items():
        VERDICTS.labels(decision, outcome).inc(number)
    for (policy, decision), number in folded.judged.items():
        JUDGED_FLAGS.labels(policy, decision).inc(number)
    DUPLICATES.inc(folded.duplicates)
    CLUSTERS.labels(str(owner.cell)).set(owner.fold.clusters)
    for notice in folded.notices:
        log.info("cell log", cell=owner.cell, notice=notice)
