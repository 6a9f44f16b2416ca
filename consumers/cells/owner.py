"""One cell and its owner: taking it over from whoever had it, and working on it batch by batch.

The order is always the same: fold in memory, write to Redis (the state with the outputs), then one transaction with
the outputs and the offset. The next batch is folded while one is written, and is itself written only after that.
Whatever happens in between, Redis is at the committed offset or ahead of it, and what it is ahead by it also holds as
outputs: the next owner writes those and goes on. A Redis that is behind has lost state: the records are folded again,
and nothing of them is written to Kafka a second time.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from confluent_kafka import TopicPartition

from consumers.cells.first_settings import first_settings
from consumers.cells.fold import Fold, Folded
from consumers.cells.fold_settings import OtherFold, changes, fold_settings, with_own
from consumers.cells.outputs import Kept, keep, keep_dead_letter, outgoing, pack, unpack
from consumers.contracts import cell_log
from consumers.contracts.cell_log import SettingsRecord
from consumers.encoding.work import Failure
from consumers.kafka.delivery import (
    POLL_SECONDS,
    Delivery,
    GenerationMoved,
    GroupConsumer,
    group_metadata,
    open_delivery,
)
from consumers.kafka.lookup import record_of
from consumers.kafka.marks import Mark, read_mark
from consumers.metrics import FOLDED_AGAIN, STEP
from consumers.names import cell_log_topic, cell_transactional_id
from consumers.recovery.restore import restore_lost
from consumers.state.codec import CodecError
from consumers.state.store import StateVersionError, StoredOutputs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from confluent_kafka import Message

    from consumers.contracts.cell_log import Record
    from consumers.contracts.fold_settings import FoldSettings
    from consumers.kafka.topic_watch import TopicWatch
    from consumers.settings import Settings
    from consumers.state.store import StateStore, StoredState
    from models.manifest import Manifest
    from models.quantizer import Quantizer

MOVED_PAUSES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Seconds before a batch is sent again to a group that has moved on; the broker knows that a moment before us."""

log = structlog.get_logger()


class CellStopped(RuntimeError):  # noqa: N818  # a state to be told of, as much as an error
    """This cell cannot go on; the message says what happened and what to do."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every cell of a process shares.

    Attributes:
        watch: of the cell log.
        beat: called now and then during work that takes long, to say that the process is alive.
    """

    settings: Settings
    manifest: Manifest
    quantizer: Quantizer | None
    store: StateStore
    consumer: GroupConsumer
    watch: TopicWatch
    beat: Callable[[], None] = lambda: None

    def place(self, cell: int, offset: int) -> TopicPartition:
        """An offset in the cell's log, with the id of the log."""
        topic = cell_log_topic(self.settings, self.manifest.bundle_id)
        return TopicPartition(topic, cell, offset, Mark(self.watch.topic_id).text())


@dataclass(slots=True)
class Batch:
    """A folded batch: what changed in the cell, what is to be written, and the positions around it.

    Attributes:
        last: the last record of the log in it.
        written_ms: when all of it had been written, in milliseconds since 1970.
    """

    folded: Folded
    outputs: list[Kept]
    expected: int
    position: int
    last: Message
    written_ms: int = 0


class CellOwner:
    """The one writer of a cell. Made by `take_over`; after any exception of `work` it must be closed and not used.

    Args:
        committed: outputs of records below this offset have been written.
    """

    def __init__(
        self, around: Surroundings, cell: int, token: str, delivery: Delivery, fold: Fold, committed: int
    ) -> None:
        self.cell = cell
        self.fold = fold
        self._committed = committed
        self._around = around
        self._token = token
        self._delivery = delivery
        self._member = around.consumer.memberid()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix=f"cell-{cell}")
        self._writing: Future[Batch] | None = None

    @property
    def position(self) -> int:
        """The offset after the last record folded."""
        return self.fold.position

    @property
    def folds_again(self) -> bool:
        """Whether it is still where others have been before."""
        return self.position < self._committed

    def work(self, messages: Sequence[Message], same_log: Callable[[], None]) -> Batch | None:
        """Fold a batch just polled while the one before is stored and delivered, and begin to write it then.

        Gives the batch before, if that has been written meanwhile; `finish` gives the last one.

        No messages only ask Redis whether the cell is still as this owner left it.

        Args:
            same_log: raises unless the messages are of the log that this process began with; called before anything
                of them is stored.

        Raises:
            RecordsGoneError: they are of another log.
            StateUnavailable: Redis does not take writes. StaleOwner, Fenced: somebody else owns the cell.
            Aborted: Kafka refused the transaction. In all these cases the cell must be taken over again.
            CellStopped: the log goes on under another version of the fold.
        """
        if not messages:
            written = self.finish()
            self._around.store.confirm(self.cell, self._token, self.position)
            return written
        group = group_metadata(self._around.consumer)
        position, committed = self.position, self._committed
        ahead = [message for message in messages if _offset(message) >= position]
        known = [message for message in ahead if _offset(message) < committed]
        self._fold_again(known, same_log)
        batch = self._folded(ahead[len(known) :])
        written = self.finish()
        if batch is not None:
            self._writing = self._writer.submit(self._write, batch, group, same_log)
        return written

    def finish(self) -> Batch | None:
        """Wait for the batch that is being written; None when there is none.

        Raises:
            StateUnavailable, StaleOwner, Fenced, Aborted: see `work`.
        """
        writing, self._writing = self._writing, None
        if writing is None:
            return None
        while not wait([writing], timeout=POLL_SECONDS).done:
            self._around.consumer.serve()
        return writing.result()

    def _write(self, batch: Batch, group: Any, same_log: Callable[[], None]) -> Batch:
        """Store and deliver a batch; in the thread that writes."""
        same_log()
        with STEP.labels("state").time():
            stored = pack(batch.outputs)
            self._around.store.write(
                self.cell, self._token, batch.expected, batch.position, batch.folded.changes, stored
            )
        with STEP.labels("emit").time():
            self.deliver(batch.outputs, batch.position, group)
        if batch.folded.erased:
            self.forget_outputs(batch.position)
        batch.written_ms = time.time_ns() // 1_000_000
        return batch

    def deliver(self, outputs: Sequence[Kept], position: int, group: Any) -> None:
        """Write outputs and commit the position, in one transaction where the setting says so.

        A group that moves on meanwhile (somebody joins) refuses the offsets although the cell stays here: they are
        sent again with its new generation, as long as this is the same member and the cell is its own. Whoever takes
        the cell over ends this producer first, so nothing can be written twice or late by that.

        Raises:
            Aborted, Fenced.
        """
        around, place = self._around, self._around.place(self.cell, position)
        bundle = around.manifest.bundle_id
        records = [outgoing(kept, around.settings, bundle) for kept in outputs]
        for pause in (*MOVED_PAUSES, None):
            try:
                self._delivery.deliver(records, [place], around.consumer, group)
            except GenerationMoved:
                if pause is None:
                    raise
            else:
                return
            time.sleep(pause)
            group = around.consumer.group_metadata_now(
                self._member, place, around.settings.kafka.request_timeout_seconds
            )
            log.info("the group has moved on, the batch is sent again", cell=self.cell, position=position)

    def forget_outputs(self, position: int) -> None:
        """Drop the stored outputs up to a position, all of which have been delivered: they may hold erased posts.

        Raises:
            StateUnavailable, StaleOwner.
        """
        self._around.store.forget_outputs(self.cell, self._token, position)

    def close(self) -> None:
        """Wait for what is being written, whatever becomes of it, and let go of the producer."""
        with contextlib.suppress(Exception):
            self.finish()
        self._writer.shutdown()
        self._delivery.close()

    def _fold_again(self, messages: Sequence[Message], same_log: Callable[[], None]) -> None:
        """Bring fold and Redis over records whose outputs have been written."""
        batch = self._folded(messages)
        if batch is None:
            return
        same_log()
        self._around.store.write(self.cell, self._token, batch.expected, batch.position, batch.folded.changes, b"")
        FOLDED_AGAIN.labels(str(self.cell)).inc(len(messages))
        if not self.folds_again:
            log.info("cell folded again", cell=self.cell, position=self.position, clusters=self.fold.clusters)

    def _folded(self, messages: Sequence[Message]) -> Batch | None:
        if not messages:
            return None
        settings = self._around.settings
        records: list[tuple[int, Record]] = []
        unreadable: list[Kept] = []
        for message in messages:
            try:
                records.append((_offset(message), cell_log.decode(message.value() or b"")))
            except msgspec.DecodeError as error:
                unreadable.append(_unreadable(message, error, settings))
        expected, position = self.position, _offset(messages[-1]) + 1
        try:
            with STEP.labels("fold").time():
                folded = self.fold.fold(records, position=position)
        except OtherFold as error:
            raise CellStopped(f"cell {self.cell}: from a record below offset {position} on, {error}") from error
        outputs = unreadable + [
            keep(output, self.cell, offset, settings)
            for output, offset in zip(folded.outputs, folded.offsets, strict=True)
        ]
        if unreadable:
            outputs.sort(key=lambda kept: kept.offset)
        return Batch(folded, outputs, expected, position, messages[-1])


def take_over(around: Surroundings, cell: int) -> CellOwner:
    """Become the owner of `cell`: end the last owner's transaction and writes, then finish what it left.

    Raises:
        CellStopped: the log, the committed offset and Redis contradict each other.
        RecordsGoneError: the log is not the one that this process began with.
        StateUnavailable, SnapshotStoreError, StaleOwner, Fenced, Aborted, KafkaException: try again, if the cell is
            still assigned to this process.
    """
    settings = around.settings
    token = uuid.uuid4().hex
    delivery = open_delivery(settings, cell_transactional_id(settings, around.manifest.bundle_id, cell))
    try:
        around.store.claim(cell, token)
        return _settle(around, cell, token, delivery)
    except (StateVersionError, CodecError, OtherFold) as error:
        delivery.close()
        raise CellStopped(f"cell {cell}: {error}") from error
    except BaseException:
        delivery.close()
        raise


def _settle(around: Surroundings, cell: int, token: str, delivery: Delivery) -> CellOwner:
    """Compare the committed offset c with the position k in Redis: bring c to k, or fold again from k to c."""
    timeout = around.settings.kafka.request_timeout_seconds
    group = group_metadata(around.consumer)
    around.watch.check()
    committed = _committed(around, cell, timeout)
    if committed is not None:
        delivery.deliver([], [around.place(cell, committed)], around.consumer, group)
    low, high = around.consumer.get_watermark_offsets(around.place(cell, 0), timeout=timeout)
    stored = _stored(around, cell, token, committed, low)
    position = _beginning(cell, committed, None if stored is None else stored.position, low)
    _check_log(cell, committed, position, low, high)
    start = position if committed is None else committed
    wanted = fold_settings(around.settings, around.manifest)
    begun = first_settings(around.settings, around.manifest, cell) if stored is None else None
    fold = Fold(begun or wanted, around.manifest, cell, position=position, quantizer=around.quantizer)
    owner = CellOwner(around, cell, token, delivery, fold, start)
    if stored is None:
        owner.deliver([] if begun else [_first_record(cell, wanted)], start, group)
        around.store.write(cell, token, None, position, fold.first_changes(), b"")
    else:
        fold.restore(stored.entries, stored.clusters)
    for line in changes(fold.settings, with_own(fold.settings, wanted)):
        log.warning("the cell log says otherwise than the settings, and counts", cell=cell, setting=line)
    if owner.folds_again:
        log.warning("Redis has lost state: the log is folded again", cell=cell, start=position, end=start)
    elif stored is not None:
        _finish(owner, stored.outputs, start, group)
    return owner


def _stored(around: Surroundings, cell: int, token: str, committed: int | None, low: int) -> StoredState | None:
    """The state in Redis; where it has lost what is committed, the newest snapshot is brought back first."""
    stored = around.store.read(cell, token)
    held = None if stored is None else stored.position
    if committed is None or (held or 0) >= committed:
        return stored
    bundle = around.manifest.bundle_id
    restored = restore_lost(
        around.settings, bundle, cell, token=token, held=held, low=low, committed=committed, beat=around.beat
    )
    return around.store.read(cell, token) if restored else stored


def _first_record(cell: int, settings: FoldSettings) -> Kept:
    """What a cell begins with, for its log: the state is a function of the log alone."""
    record = SettingsRecord(time=0, settings=settings, first=True)
    return Kept("cells", b"settings", cell_log.encode(record), (), cell)


def _committed(around: Surroundings, cell: int, timeout: float) -> int | None:
    [place] = around.consumer.committed([around.place(cell, 0)], timeout=timeout)
    mark = read_mark(place.metadata)
    if mark is not None and mark.topic_id != around.watch.topic_id:
        raise CellStopped(
            f"cell {cell}: the cell log was deleted and made again: the committed offset {place.offset} is of the "
            f"topic with the id {mark.topic_id}, now it is {around.watch.topic_id}; begin anew under another "
            "redis.prefix and kafka.group"
        )
    return place.offset if place.offset >= 0 else None


def _beginning(cell: int, committed: int | None, position: int | None, low: int) -> int:
    """Where folding goes on; stops the cell when that would repeat decisions without a word."""
    if position is None:
        return low if committed is None else 0
    if committed is None:
        raise CellStopped(
            f"cell {cell}: Redis is at offset {position} and the consumer group has no committed offset (expired, or "
            f"kafka.group was changed); set the group's offset of partition {cell} to {position}, then restart"
        )
    return position


def _check_log(cell: int, committed: int | None, position: int, low: int, high: int) -> None:
    """Stop the cell when the log does not hold what comes next, nor what has been folded before."""
    if low <= position <= high and (committed is None or committed <= high):
        return
    if committed is not None and position < committed:
        raise CellStopped(
            f"cell {cell}: Redis has lost state (flushed, evicted, an old copy, or another server): it is at offset "
            f"{position}, Kafka at {committed}, and the cell log holds only {low} to {high}, so it cannot be folded "
            "again, and no snapshot in snapshots.location helps; point redis.url at the right server, restore its "
            "newest copy, or a snapshot kept elsewhere (shoal state restore), then restart"
        )
    raise CellStopped(
        f"cell {cell}: the next offset is {position} and the cell log holds {low} to {high}: records were "
        "deleted before they were folded, or the topic was made again; give the topic a longer retention, and "
        "begin anew under another redis.prefix and kafka.group"
    )


def _finish(owner: CellOwner, batches: Sequence[StoredOutputs], committed: int, group: Any) -> None:
    """Write what the last owner stored and did not commit, each batch with its commit.

    A batch may begin below what is committed: a Redis that failed over and lost a claim takes one more batch of the
    owner before, whose outputs begin with those that its successor has written.
    """
    reached = committed
    for batch in batches:
        if batch.end <= committed:
            continue
        if batch.start > reached:
            break
        outputs = [kept for kept in unpack(batch.data) if batch.start == reached or kept.offset >= reached]
        owner.deliver(outputs, batch.end, group)
        log.info("stored outputs written", cell=owner.cell, start=batch.start, end=batch.end)
        reached = batch.end
    if reached != owner.position:
        raise CellStopped(
            f"cell {owner.cell}: Redis is at offset {owner.position}, Kafka at {committed}, and the outputs between "
            f"are kept only up to {reached}; restore a copy of Redis that is whole, then restart"
        )
    if batches:
        owner.forget_outputs(owner.position)


def _offset(message: Message) -> int:
    offset = message.offset()
    assert offset is not None  # noqa: S101  # only messages that were read come here
    return offset


def _unreadable(message: Message, error: Exception, settings: Settings) -> Kept:
    """Something that no version of the encoder wrote, or a later one than this."""
    record = record_of(message)
    log.warning("record of the cell log is a dead letter", cell=record.source.partition, offset=record.source.offset)
    return keep_dead_letter(record, Failure("unreadable-record", "place", str(error)), record.source.offset, settings)
