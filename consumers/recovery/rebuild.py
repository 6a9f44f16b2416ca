"""Put a cell's state in Redis back to its newest snapshot, or to nothing, so that its owner folds the log again."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from consumers.kafka.lookup import cell_offsets, open_reader
from consumers.names import assign_group
from consumers.recovery.restore import restore_newest, wanted_snapshot
from consumers.recovery.snapshot_store import SnapshotStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumers.settings import Settings
    from consumers.state.store import StateStore
    from models.manifest import Manifest

LOOK_SECONDS = 0.2


class RebuildError(RuntimeError):
    """The cell cannot be rebuilt, and its state was left as it is; the message says why."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """How far the owner has come.

    Attributes:
        position: where Redis is; None while nobody has begun.
        begun: position of the snapshot that was put in place; None where everything is folded again.
    """

    cell: int
    position: int | None
    committed: int
    begun: int | None = None

    @property
    def done(self) -> bool:
        """Whether Redis is again where it was."""
        return self.position is not None and self.position >= self.committed


def rebuild_cell(
    settings: Settings,
    manifest: Manifest,
    store: StateStore,
    cell: int,
    *,
    patience_seconds: float,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Rebuilt:
    """Take a cell back to its newest snapshot, or to nothing, and watch its owner fold the log again.

    Safe while everything runs: the owner's next write is refused, and it takes the cell over again.

    Args:
        patience_seconds: without any progress for so long the watching ends; the folding does not.
        progress: told the position and where it must come to, now and then.

    Raises:
        RebuildError: neither the log nor a snapshot can bring the state back, or nothing has been committed yet.
        StateUnavailable, KafkaException, SnapshotStoreError: Redis, Kafka or the store do not answer.
    """
    low, committed = _committed(settings, manifest, cell)
    begun = _restore(settings, manifest, cell, low, committed)
    if begun is None and low > 0:
        raise RebuildError(
            f"cell {cell}: its log begins at offset {low}, and no snapshot that could help is in snapshots.location: "
            "what was before would be lost; restore a copy of Redis"
        )
    if begun is None:
        store.drop(cell)
    position: int | None = None
    deadline = time.monotonic() + patience_seconds
    while time.monotonic() < deadline:
        state = store.read(cell)
        if state is not None and state.position != position:
            position = state.position
            deadline = time.monotonic() + patience_seconds
            progress(position, committed)
        if position is not None and position >= committed:
            break
        time.sleep(LOOK_SECONDS)
    return Rebuilt(cell, position, committed, begun)


def _restore(settings: Settings, manifest: Manifest, cell: int, low: int, committed: int) -> int | None:
    """Put the newest snapshot that the log can be folded on from in place; gives its position."""
    if settings.snapshots.location is None:
        return None
    wanted = wanted_snapshot(settings, manifest.bundle_id, cell, least=low, most=committed)
    snapshots = SnapshotStore(settings, manifest.bundle_id, settings.snapshots.location)
    end = restore_newest(settings, snapshots, wanted, token=uuid.uuid4().hex, owned=False)
    return None if end is None else end.position


def _committed(settings: Settings, manifest: Manifest, cell: int) -> tuple[int, int]:
    """The first offset of the log, and the one up to which outputs were written."""
    reader = open_reader(settings, group=assign_group(settings, manifest.bundle_id))
    try:
        found = cell_offsets(reader, settings, manifest.bundle_id, cell)
    finally:
        reader.close()
    if not found.committed:
        raise RebuildError(f"cell {cell}: nothing has been committed, so there is nothing to fold again")
    return found.low, found.committed
