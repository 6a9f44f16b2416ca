"""Bringing a snapshot into Redis: for an owner whose cell has lost state, and for an operator who moves a cell."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from consumers.recovery.snapshot_store import SUFFIX, SnapshotStore, SnapshotStoreError, Stored, snapshot_at
from consumers.recovery.snapshots import log_identity
from consumers.state.codec import VERSION
from consumers.state.copies import NewerState, StagedState, StateCopier
from consumers.state.snapshot import End, Header, Item, SnapshotError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from consumers.kafka.lookup import CellOffsets
    from consumers.settings import Settings

FORCE = "the log is folded again from there on if you say --force"

log = structlog.get_logger()


class RestoreError(RuntimeError):
    """No snapshot was put in place, and Redis is as it was; the message says why."""


@dataclass(frozen=True, slots=True)
class Restored:
    """A snapshot that was put in place, at which position, and where Redis had been (None: nowhere)."""

    stored: Stored
    position: int
    replaced: int | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a snapshot must be to be of use.

    Attributes:
        cell: of this bundle, and of this number of cells.
        topic_id: of the cell log now.
        least, most: its position must lie here: the log goes on from there, and nothing after it is missing.
    """

    bundle: str
    cells: int
    cell: int
    topic_id: str
    least: int
    most: int

    def holds(self, position: int) -> bool:
        """Whether a snapshot at this position is of use."""
        return self.least <= position <= self.most

    def check(self, header: Header) -> None:
        """Refuse a snapshot of something else.

        Raises:
            SnapshotError: it says what is different.
        """
        found, own = (header.bundle, header.cells, header.cell), (self.bundle, self.cells, self.cell)
        if found != own:
            raise SnapshotError(f"it is of cell {header.cell} of {header.cells}, bundle {header.bundle}")
        if header.state != VERSION:
            raise SnapshotError(f"its state has version {header.state}, this Shoal reads {VERSION}")
        if header.topic_id and self.topic_id and header.topic_id != self.topic_id:
            raise SnapshotError("it is of another cell log: the topic was made again since")


def wanted_snapshot(settings: Settings, bundle: str, cell: int, *, least: int, most: int) -> Wanted:
    """What a snapshot of this cell must be now.

    Raises:
        DeliveryError: the brokers do not tell the id of the cell log.
    """
    return Wanted(bundle, settings.assign.cells, cell, log_identity(settings, bundle), least, most)


def candidates(snapshots: SnapshotStore, wanted: Wanted) -> Iterator[tuple[Stored, End]]:
    """The snapshots at a position that is of use, as far as their ends tell; the newest first.

    Raises:
        SnapshotStoreError: the store does not answer.
    """
    for stored in snapshots.stored(wanted.cell):
        try:
            end = snapshots.end(stored)
        except SnapshotError as error:
            _pass_over(stored, error)
            continue
        if wanted.holds(end.position):
            yield stored, end


def contents(snapshots: SnapshotStore, stored: Stored, wanted: Wanted) -> Iterator[Item | End]:
    """What a snapshot holds; the end comes only when all before it is whole.

    Raises:
        SnapshotError: it is damaged, or of something else; also while iterating. SnapshotStoreError.
    """
    parts = snapshots.read(stored)
    header = next(parts)
    assert isinstance(header, Header)  # noqa: S101  # it comes first
    wanted.check(header)
    for part in parts:
        assert not isinstance(part, Header)  # noqa: S101  # there is one
        yield part


def stage(
    copier: StateCopier, cell: int, parts: Iterator[Item | End], beat: Callable[[], None] = lambda: None
) -> tuple[StagedState, End, list[tuple[int, int]]]:
    """Set the state of a snapshot aside in Redis: all of it, found whole; also the batches whose outputs it holds.

    Raises:
        SnapshotError, SnapshotStoreError: nothing is kept of it. StateUnavailable.
    """
    ends: list[End] = []
    outputs: list[tuple[int, int]] = []

    def items() -> Iterator[Item]:
        for part in parts:
            beat()
            if isinstance(part, End):
                ends.append(part)
                return
            if part.name == "outputs" and part.value is not None:
                outputs.append((int(part.value.partition(b":")[0]), int(part.field)))
            yield part

    staged = copier.stage(cell, items())
    found = {name: size for name, size in staged.sizes.items() if size and name != "outputs"}
    if found != ends[0].entries:
        copier.discard(cell, staged)
        raise SnapshotError(
            f"it holds {sum(found.values())} entries, and should hold {sum(ends[0].entries.values())}"
        )
    return staged, ends[0], outputs


def restore_newest(
    settings: Settings,
    snapshots: SnapshotStore,
    wanted: Wanted,
    *,
    token: str,
    owned: bool,
    beat: Callable[[], None] = lambda: None,
) -> End | None:
    """Put the newest snapshot that is of use in the place of the cell's state; None when there is none.

    Until all of it has been read and found whole the state is left as it is.

    Args:
        token: holds the cell afterwards.
        owned: it must hold the cell already; else the cell is taken from whoever holds it.
        beat: called all the time.

    Raises:
        SnapshotStoreError, StateUnavailable: try again. StaleOwner: somebody else holds the cell.
    """
    copier = StateCopier(settings.redis, wanted.bundle, wanted.cells)
    try:
        for stored, _ in candidates(snapshots, wanted):
            try:
                staged, end, _ = stage(copier, wanted.cell, contents(snapshots, stored, wanted), beat)
            except SnapshotError as error:
                _pass_over(stored, error)
                continue
            copier.put_in_place(wanted.cell, staged, end.position, token=token, owned=owned, force=True)
            log.warning("state restored from a snapshot", cell=wanted.cell, path=stored.path, position=end.position)
            return end
    finally:
        copier.close()
    return None


def restore_lost(
    settings: Settings,
    bundle: str,
    cell: int,
    *,
    token: str,
    held: int | None,
    low: int,
    committed: int,
    beat: Callable[[], None] = lambda: None,
) -> bool:
    """For an owner whose cell is behind what is committed: restore the newest snapshot that is ahead of it.

    Args:
        held: position in Redis; None when it holds nothing.
        low: first offset of the log.
        beat: called all the time.

    Returns:
        Whether Redis was changed.

    Raises:
        SnapshotStoreError: the store does not answer, and without it the log cannot bring the state back: try again.
        StateUnavailable, StaleOwner, KafkaException.
    """
    if settings.snapshots.location is None:
        return False
    position = held or 0
    wanted = wanted_snapshot(settings, bundle, cell, least=max(low, position + 1), most=committed)
    snapshots = SnapshotStore(settings, bundle, settings.snapshots.location)
    try:
        return restore_newest(settings, snapshots, wanted, token=token, owned=True, beat=beat) is not None
    except SnapshotStoreError as error:
        if position < low:
            raise
        log.warning("no snapshot can be read, and the log is folded again instead", cell=cell, error=str(error))
        return False


def restore_cell(
    settings: Settings, bundle: str, cell: int, *, source: str | None, offsets: CellOffsets, force: bool
) -> Restored:
    """For an operator: put the newest snapshot at `source` that the log can be folded on from into Redis.

    A running owner is refused at its next write, takes the cell over again, and goes on from the snapshot.

    Args:
        source: a location as in the settings, or the whole address of one snapshot; None: snapshots.location.
        force: replace a state that is further too.

    Raises:
        RestoreError: there is none, or Redis is further; nothing was changed.
        SnapshotStoreError, StateUnavailable, KafkaException.
    """
    if offsets.committed is None:
        raise RestoreError(f"cell {cell}: its consumer group has no committed offset, so nobody could go on from it")
    wanted = wanted_snapshot(settings, bundle, cell, least=offsets.low, most=offsets.high)
    copier = StateCopier(settings.redis, bundle, settings.assign.cells)
    try:
        for snapshots, stored, told in _at(settings, source, wanted):
            state = copier.read(cell)
            held = None if state is None else state.position
            if held is not None and held > told.position and not force:
                raise RestoreError(f"cell {cell}: Redis is at {held}, the snapshot at {told.position}: {FORCE}")
            try:
                staged, end, outputs = stage(copier, cell, contents(snapshots, stored, wanted))
            except SnapshotError as error:
                _pass_over(stored, error)
                continue
            if not _bridges(outputs, offsets.committed, end.position):
                copier.discard(cell, staged)
                _pass_over(stored, SnapshotError(f"it is ahead of what is committed, {offsets.committed}"))
                continue
            copier.put_in_place(cell, staged, end.position, token=uuid.uuid4().hex, owned=False, force=force)
            return Restored(stored, end.position, held)
    except NewerState as error:
        raise RestoreError(f"{error}: {FORCE}") from error
    finally:
        copier.close()
    raise RestoreError(
        f"cell {cell}: no snapshot at {source or settings.snapshots.location} can be used: the log holds "
        f"{offsets.low} to {offsets.high}, and {offsets.committed} is committed"
    )


def _at(settings: Settings, source: str | None, wanted: Wanted) -> Iterator[tuple[SnapshotStore, Stored, End]]:
    place = source or settings.snapshots.location
    if place is None:
        raise RestoreError("there is no snapshots.location: say where the snapshot is")
    if place.endswith(SUFFIX):
        snapshots, stored = snapshot_at(settings, wanted.bundle, place)
        try:
            end = snapshots.end(stored)
        except SnapshotError as error:
            raise RestoreError(f"{place}: {error}") from error
        if wanted.holds(end.position):
            yield snapshots, stored, end
        return
    snapshots = SnapshotStore(settings, wanted.bundle, place)
    for stored, end in candidates(snapshots, wanted):
        yield snapshots, stored, end


def _bridges(outputs: list[tuple[int, int]], committed: int, position: int) -> bool:
    """Whether stored outputs lead from what is committed to a position that may be ahead of it."""
    reached = committed
    for start, end in sorted(outputs):
        if end > reached and start == reached:
            reached = end
    return position <= reached


def _pass_over(stored: Stored, error: SnapshotError) -> None:
    log.warning("a snapshot cannot be used, the one before it is tried", path=stored.path, error=str(error))
