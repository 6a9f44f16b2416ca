"""Does Redis hold what a cell's log says? The log is folded again and compared, entry by entry."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from confluent_kafka import TopicPartition

from consumers.cells.first_settings import first_settings
from consumers.cells.fold import Fold
from consumers.cells.fold_settings import OtherFold, fold_settings
from consumers.contracts import cell_log
from consumers.kafka.lookup import open_reader, read_until
from consumers.names import cell_log_topic
from consumers.recovery.restore import candidates, contents, wanted_snapshot
from consumers.recovery.snapshot_store import SnapshotStore
from consumers.state import codec
from consumers.state.codec import ClusterValue, Entry
from consumers.state.snapshot import End, Item, SnapshotError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from consumers.contracts.cell_log import Record
    from consumers.settings import Settings
    from consumers.state.codec import Kind, StateChanges
    from consumers.state.store import StateStore
    from models.manifest import Manifest

BATCH_RECORDS = 512

TRIES = 5
"""The state is read in pieces: when the position moved meanwhile it is read again, at most so often."""

Held = dict[tuple["Kind", str], bytes]


class VerifyError(RuntimeError):
    """The comparison cannot be made; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One entry that Redis holds otherwise than the log says."""

    kind: str
    field: str
    text: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What became of one cell. `differences` is empty when all is as the log says.

    Attributes:
        begun: position of the snapshot from which the log was folded; None where all of it was.
    """

    cell: int
    position: int
    clusters: int
    entries: int
    differences: tuple[Difference, ...]
    begun: int | None = None


def verify_cell(
    settings: Settings,
    manifest: Manifest,
    store: StateStore,
    cell: int,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Verified | None:
    """Compare a cell in Redis with the fold of its log up to the same position; None when Redis holds none.

    Args:
        progress: told the offsets folded and their number, now and then.

    Raises:
        VerifyError: the log has lost its beginning and no snapshot helps, it is of another version of the fold, or
            the cell is written too fast to be read.
        StateUnavailable, StateVersionError, KafkaException: Redis or Kafka do not answer as they should.
    """
    found = _read(store, cell)
    if found is None:
        return None
    position, held = found
    try:
        begun, told = _fold(settings, manifest, cell, position, progress)
    except OtherFold as error:
        raise VerifyError(f"cell {cell}: {error}") from error
    clusters = sum(kind == "clusters" for kind, _ in held)
    return Verified(cell, position, clusters, len(held), tuple(differences(told, held)), begun)


def differences(told: Held, held: Held) -> Iterator[Difference]:
    """Entries that are missing, too many, or different in any byte: the fold gives the same bytes everywhere."""
    for kind, field in sorted(told.keys() | held.keys()):
        one, two = told.get((kind, field)), held.get((kind, field))
        if two is None:
            yield Difference(kind, field, "Redis lacks it")
        elif one is None:
            yield Difference(kind, field, "the log knows nothing of it")
        elif one != two:
            yield Difference(kind, field, _compared(one, two) if kind == "clusters" else "another value")


def _read(store: StateStore, cell: int) -> tuple[int, Held] | None:
    for _ in range(TRIES):
        state = store.read(cell)
        if state is None:
            return None
        held: Held = {(entry.kind, entry.field): entry.value for entry in state.entries}
        after = store.read(cell)
        if after is not None and after.position == state.position:
            return state.position, held
    raise VerifyError(f"cell {cell}: written while it was read, {TRIES} times; verify it while less is going on")


def folded(settings: Settings, manifest: Manifest, cell: int, position: int) -> Held:
    """What a cell's log says at a position.

    Raises:
        VerifyError, OtherFold, KafkaException: it cannot be folded.
    """
    return _fold(settings, manifest, cell, position, lambda _done, _all: None)[1]


def _fold(
    settings: Settings, manifest: Manifest, cell: int, position: int, progress: Callable[[int, int], None]
) -> tuple[int | None, Held]:
    """What the log says the cell holds at `position`; where its beginning is gone, what it makes of a snapshot."""
    begun, fold, told = _beginning(settings, manifest, cell, position)
    batch: list[tuple[int, Record]] = []
    for offset, record in _records(settings, manifest, cell, fold.position, position):
        batch.append((offset, record))
        if len(batch) == BATCH_RECORDS:
            _apply(fold.fold(batch, position=offset + 1).changes, told)
            batch = []
            progress(offset + 1, position)
    if fold.position < position:
        _apply(fold.fold(batch, position=position).changes, told)
    progress(position, position)
    return begun, told


def _beginning(settings: Settings, manifest: Manifest, cell: int, position: int) -> tuple[int | None, Fold, Held]:
    """Where folding begins: at nothing, or, where the log's beginning is gone, at the newest snapshot that helps."""
    low, high = _ends(settings, manifest, cell)
    if high >= position and low == 0:
        first = first_settings(settings, manifest, cell) or fold_settings(settings, manifest)
        fold, told = Fold(first, manifest, cell, position=0), Held()
        _apply(fold.first_changes(), told)
        return None, fold, told
    found = _snapshot(settings, manifest, cell, low, position) if high >= position else None
    if found is None:
        raise VerifyError(
            f"cell {cell}: its log holds offsets {low} to {high}, and Redis is at {position}: only a log that is "
            "whole can be folded again, or one that goes on from a snapshot (snapshots.location)"
        )
    begun, told = found
    fold = Fold(fold_settings(settings, manifest), manifest, cell, position=begun)
    fold.restore(Entry(kind, field, value) for (kind, field), value in told.items())
    return begun, fold, told


def _snapshot(settings: Settings, manifest: Manifest, cell: int, low: int, position: int) -> tuple[int, Held] | None:
    """The newest snapshot from which the log can be folded up to `position`: where it is, and what it holds."""
    if settings.snapshots.location is None:
        return None
    wanted = wanted_snapshot(settings, manifest.bundle_id, cell, least=low, most=position)
    snapshots = SnapshotStore(settings, manifest.bundle_id, settings.snapshots.location)
    for stored, end in candidates(snapshots, wanted):
        try:
            return end.position, held_of(contents(snapshots, stored, wanted))
        except SnapshotError:
            continue
    return None


def held_of(parts: Iterable[Item | End]) -> Held:
    """The entries of a snapshot: the last word about each.

    Raises:
        SnapshotError: they are not as many as it says.
    """
    held: Held = {}
    for part in parts:
        if isinstance(part, Item) and part.name != "outputs":
            if part.value is None:
                held.pop((part.name, part.field), None)
            else:
                held[part.name, part.field] = part.value
        elif isinstance(part, End) and Counter(kind for kind, _ in held) != part.entries:
            raise SnapshotError("entries are missing")
    return held


def _ends(settings: Settings, manifest: Manifest, cell: int) -> tuple[int, int]:
    """The first offset of the cell's log, and the one after its last."""
    reader = open_reader(settings)
    try:
        place = TopicPartition(cell_log_topic(settings, manifest.bundle_id), cell)
        low, high = reader.get_watermark_offsets(place, timeout=settings.kafka.request_timeout_seconds)
    finally:
        reader.close()
    return low, high


def _records(
    settings: Settings, manifest: Manifest, cell: int, start: int, position: int
) -> Iterator[tuple[int, Record]]:
    """The records of the cell's log below `position`; those that cannot be read are left out, as the owner does."""
    topic, patience = cell_log_topic(settings, manifest.bundle_id), settings.kafka.request_timeout_seconds
    if start == position:
        return
    reader = open_reader(settings)
    try:
        for message in read_until(reader, TopicPartition(topic, cell, start), position, patience):
            try:
                yield message.offset() or 0, cell_log.decode(message.value() or b"")
            except msgspec.DecodeError:
                continue
    finally:
        reader.close()


def _apply(changes: StateChanges, told: Held) -> None:
    for kind, fields in changes.sets.items():
        told.update({(kind, name): value for name, value in fields.items()})
    for kind, gone in changes.deletes.items():
        for name in gone:
            told.pop((kind, name), None)


def _compared(one: bytes, two: bytes) -> str:
    told, held = _cluster(one), _cluster(two)
    if told is None or held is None:
        return "it cannot be read"
    if told.count != held.count:
        return f"{held.count} posts, the log says {told.count}"
    fields = [name for name in told.__struct_fields__ if getattr(told, name) != getattr(held, name)]
    return f"another {', '.join(fields)}; centroids {_apart(told, held):.2g} apart"


def _apart(one: ClusterValue, two: ClusterValue) -> float:
    """The largest difference between two centroids' numbers."""
    a, b = (codec.sums_of(value).astype(np.float64) for value in (one, two))
    if a.shape != b.shape:
        return float("inf")
    return float(np.max(np.abs(a / np.linalg.norm(a) - b / np.linalg.norm(b)), initial=0.0))


def _cluster(value: bytes) -> ClusterValue | None:
    try:
        return codec.decode(ClusterValue, Entry("clusters", "", value))
    except codec.CodecError:
        return None
