"""Snapshots as the command shows them: taken, and brought back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from consumers.checks.findings import CheckError, Finding
from consumers.kafka.lookup import cell_offsets, open_reader
from consumers.names import assign_group
from consumers.recovery.restore import RestoreError, restore_cell
from consumers.recovery.snapshot_store import SnapshotStore
from consumers.recovery.snapshots import take_snapshot
from consumers.shown.state import check_cell
from consumers.state.copies import CopyError, StateCopier
from consumers.state.reading import opened_state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.settings import Settings


def snapshot_findings(settings: Settings, *, cell: int | None, location: str | None) -> Iterator[Finding]:
    """Take a snapshot of one cell or of all; one finding each.

    Raises:
        CheckError: there is no such cell, or no location.
        SnapshotStoreError, StateUnavailable, StateVersionError, KafkaException.
    """
    if cell is not None:
        check_cell(settings, cell)
    place = location or settings.snapshots.location
    if place is None:
        raise CheckError("there is no snapshots.location: say where the snapshot goes, --to s3://bucket/folder/")
    with opened_state(settings) as (manifest, _):
        copier = StateCopier(settings.redis, manifest.bundle_id, settings.assign.cells)
        snapshots = SnapshotStore(settings, manifest.bundle_id, place)
        try:
            for number in range(settings.assign.cells) if cell is None else [cell]:
                yield _taken(settings, copier, snapshots, manifest.bundle_id, number)
        finally:
            copier.close()


def restore_findings(settings: Settings, *, cell: int, source: str | None, force: bool) -> Iterator[Finding]:
    """Put a snapshot into Redis.

    Raises:
        CheckError: there is no such cell, or no snapshot was put in place.
        SnapshotStoreError, StateUnavailable, KafkaException.
    """
    check_cell(settings, cell)
    with opened_state(settings) as (manifest, _):
        reader = open_reader(settings, group=assign_group(settings, manifest.bundle_id))
        try:
            offsets = cell_offsets(reader, settings, manifest.bundle_id, cell)
        finally:
            reader.close()
        try:
            restored = restore_cell(settings, manifest.bundle_id, cell, source=source, offsets=offsets, force=force)
        except RestoreError as error:
            raise CheckError(str(error)) from error
    taken = datetime.fromtimestamp(restored.stored.created_at / 1000, UTC)
    before = "nothing" if restored.replaced is None else f"position {restored.replaced:,}"
    told = f"at position {restored.position:,} from the snapshot of {taken:%Y-%m-%d %H:%M:%S} UTC, after {before}"
    remedy = f"its owner folds the log on from there; {offsets.committed:,} is committed" if offsets.committed else ""
    yield Finding(f"cell {cell}", "good", told, remedy)


def _taken(settings: Settings, copier: StateCopier, snapshots: SnapshotStore, bundle: str, cell: int) -> Finding:
    try:
        stored = take_snapshot(settings, copier, snapshots, bundle, cell)
    except CopyError as error:
        return Finding(f"cell {cell}", "bad", str(error).partition(": ")[2])
    if stored is None:
        return Finding(f"cell {cell}", "hint", "Redis holds nothing of it")
    position, address = snapshots.end(stored).position, f"{snapshots.location.rstrip('/')}/{stored.path}"
    return Finding(f"cell {cell}", "good", f"position {position:,}, {stored.size / 1e6:,.1f} MB: {address}")
