"""Throw a cell's state in Redis away, so that its owner folds the log again."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from confluent_kafka import TopicPartition

from consumers.lookup import open_reader
from consumers.names import assign_group, cell_log_topic

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumers.settings import Settings
    from consumers.state.store import StateStore
    from models.manifest import Manifest

LOOK_SECONDS = 0.2


class RebuildError(RuntimeError):
    """The cell cannot be rebuilt, and nothing was thrown away; the message says why."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """How far the owner has come. `position` is None while nobody has begun."""

    cell: int
    position: int | None
    committed: int

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
    """Drop a cell's state and watch its owner fold the log up to what is committed; safe while everything runs.

    Args:
        patience_seconds: without any progress for so long the watching ends; the folding does not.
        progress: told the position and where it must come to, now and then.

    Raises:
        RebuildError: the log has lost its beginning, or nothing has been committed yet.
        StateUnavailable, KafkaException: Redis or Kafka do not answer.
    """
    committed = _committed(settings, manifest, cell)
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
    return Rebuilt(cell, position, committed)


def _committed(settings: Settings, manifest: Manifest, cell: int) -> int:
    """The offset up to which outputs were written, of a log that is whole."""
    timeout = settings.kafka.request_timeout_seconds
    place = TopicPartition(cell_log_topic(settings, manifest.bundle_id), cell)
    reader = open_reader(settings, group=assign_group(settings, manifest.bundle_id))
    try:
        low, _ = reader.get_watermark_offsets(place, timeout=timeout)
        [found] = reader.committed([place], timeout=timeout)
    finally:
        reader.close()
    if found.offset <= 0:
        raise RebuildError(f"cell {cell}: nothing has been committed, so there is nothing to fold again")
    if low > 0:
        raise RebuildError(
            f"cell {cell}: its log begins at offset {low}: what was before would be lost; restore a copy of Redis"
        )
    return found.offset
