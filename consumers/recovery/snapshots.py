"""Taking snapshots of cells: one now, and of the cells that a process owns one now and then."""

from __future__ import annotations

import threading
import time
from importlib import metadata
from itertools import chain
from typing import TYPE_CHECKING

import structlog

from consumers.kafka.delivery import DeliveryError
from consumers.kafka.topic_watch import TopicWatch
from consumers.metrics import SNAPSHOT_FAILURES, SNAPSHOT_INTERVAL, SNAPSHOT_TIME
from consumers.names import cell_log_topic
from consumers.recovery.snapshot_store import SnapshotStore, SnapshotStoreError, Stored
from consumers.state.codec import VERSION
from consumers.state.copies import CopyError, StateCopier
from consumers.state.snapshot import Header
from consumers.state.store import StateUnavailable, StateVersionError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from consumers.settings import Settings

LOOK_SECONDS = 1.0
CLOSE_SECONDS = 5.0
"""A store that does not answer must not hold up the end of the process."""

EXPECTED = (SnapshotStoreError, StateUnavailable, StateVersionError, CopyError, DeliveryError)

log = structlog.get_logger()


def take_snapshot(
    settings: Settings,
    copier: StateCopier,
    snapshots: SnapshotStore,
    bundle: str,
    cell: int,
    stopped: Callable[[], bool] = lambda: False,
) -> Stored | None:
    """Copy a cell into the store while its owner works on; None when Redis holds nothing of it.

    Raises:
        CopyError, StateUnavailable, StateVersionError: the cell cannot be copied. SnapshotStoreError.
        DeliveryError: the brokers do not tell the id of the cell log.
    """
    created_at = time.time_ns() // 1_000_000
    header = Header(
        bundle=bundle,
        cells=settings.assign.cells,
        cell=cell,
        group=settings.kafka.group,
        topic_id=log_identity(settings, bundle),
        state=VERSION,
        shoal=metadata.version("shoal"),
        created_at=created_at,
    )
    with copier.copying(cell, stopped) as copy:
        if copy is None:
            return None
        begun, parts = copy
        return snapshots.save(cell, begun, created_at, chain([header], parts))


def log_identity(settings: Settings, bundle: str) -> str:
    """The id of the cell log.

    Raises:
        DeliveryError: the brokers do not tell it.
    """
    return TopicWatch(settings, cell_log_topic(settings, bundle)).topic_id


class SnapshotTaker:
    """Takes a snapshot of each cell that this process owns, every so often, in a thread of its own.

    The cells do not wait for it: it reads what the owner has written to Redis. Whatever goes wrong is told, counted,
    and tried again when the next snapshot is due.

    Args:
        owned: the cells that are this process's now; asked from the thread.
    """

    def __init__(self, settings: Settings, bundle: str, owned: Callable[[], Collection[int]]) -> None:
        self._settings = settings
        self._bundle = bundle
        self._owned = owned
        self._due: dict[int, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="snapshots", daemon=True)
        SNAPSHOT_INTERVAL.set(0.0 if settings.snapshots.location is None else settings.snapshots.every_seconds)
        if settings.snapshots.location is not None:
            self._snapshots = SnapshotStore(settings, bundle, settings.snapshots.location)
            self._thread.start()

    def close(self) -> None:
        """Give up what is being taken."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        copier = StateCopier(self._settings.redis, self._bundle, self._settings.assign.cells)
        while not self._stop.wait(LOOK_SECONDS):
            owned = set(self._owned())
            for cell in self._due.keys() - owned:
                self._forget(cell)
            for cell in sorted(owned):
                if self._due.get(cell, 0.0) <= time.monotonic() and not self._stop.is_set():
                    self._due[cell] = time.monotonic() + self._settings.snapshots.every_seconds
                    self._try(copier, cell)
        copier.close()

    def _try(self, copier: StateCopier, cell: int) -> None:
        try:
            self._look_after(copier, cell)
        except Exception as error:  # whatever it is, the cell goes on
            if self._stop.is_set():
                return
            SNAPSHOT_FAILURES.labels(str(cell)).inc()
            unknown = None if isinstance(error, EXPECTED) else error
            log.warning("no snapshot was taken", cell=cell, error=str(error), exc_info=unknown)

    def _look_after(self, copier: StateCopier, cell: int) -> None:
        """Take a snapshot of the cell, unless the newest is young enough or holds all there is."""
        settings = self._settings.snapshots
        newest = next(iter(self._snapshots.stored(cell)), None)
        if newest is not None:
            SNAPSHOT_TIME.labels(str(cell)).set(newest.created_at / 1000)
            wait = newest.created_at / 1000 + settings.every_seconds - time.time()
            if 0 < wait <= settings.every_seconds:
                self._due[cell] = time.monotonic() + wait
                return
            state = copier.read(cell)
            if state is not None and state.position == newest.begun:
                SNAPSHOT_TIME.labels(str(cell)).set(time.time())
                return
        began = time.monotonic()
        stored = take_snapshot(self._settings, copier, self._snapshots, self._bundle, cell, self._stop.is_set)
        if stored is None:
            return
        SNAPSHOT_TIME.labels(str(cell)).set(stored.created_at / 1000)
        seconds = round(time.monotonic() - began, 1)
        log.info("snapshot taken", cell=cell, path=stored.path, bytes=stored.size, seconds=seconds)
        self._snapshots.prune(cell, settings.kept)

    def _forget(self, cell: int) -> None:
        """The cell is another's: its next owner looks after its snapshots."""
        del self._due[cell]
        for metric in (SNAPSHOT_TIME, SNAPSHOT_FAILURES):
            metric.remove(str(cell))
