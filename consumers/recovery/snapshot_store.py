"""Where snapshots are kept: writing one whole or not at all, finding them, reading one, deleting old ones."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError, NotFoundError

from consumers.names import cell_name
from consumers.settings import SettingsError
from consumers.state.snapshot import SnapshotError, read_end, read_snapshot, write_snapshot
from consumers.stores import store_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from consumers.settings import Settings
    from consumers.state.snapshot import End, Part

PIECE_BYTES = 8 * 2**20
"""Of one request, so that each ends within its timeout however large the snapshot is."""

TAIL_BYTES = 4096
WRITES_AT_ONCE = 2

LEFT_SECONDS = 3600.0
"""After so long, a file that a killed process left half written is deleted."""

SUFFIX = ".snapshot"
_NAME = re.compile(r"(\d{20})-(\d+)\.snapshot")
_TOLD = re.compile(r"<(?:Code|Message)>([^<\n]+)")
"""S3, Google and Azure tell an error in the same two elements."""


class SnapshotStoreError(RuntimeError):
    """The store refused, or did not answer in time; the message is one line that says where and why."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A snapshot in the store.

    Attributes:
        path: below the location.
        begun: the cell's position when it was begun; what it holds is at that position or a later one.
        created_at: milliseconds since 1970.
        size: bytes.
    """

    path: str
    begun: int
    created_at: int
    size: int


class SnapshotStore:
    """The snapshots of a bundle's cells: `<location>/<group>/<bundle>.<cells>.<cell>/<position>-<time>.snapshot`.

    The group is part of it because cells of two groups may have begun at different offsets, and are different cells
    then. Every method raises SnapshotStoreError.
    """

    def __init__(self, settings: Settings, bundle: str, location: str) -> None:
        """Opens the location with the first call. `bundle` is the bundle's id."""
        self.location = location
        self._settings = settings
        self._bundle = bundle

    def save(self, cell: int, begun: int, created_at: int, parts: Iterable[Part]) -> Stored:
        """Write a snapshot, whole or not at all. What `parts` raises goes through, and nothing is written then."""
        path = f"{self._folder(cell)}/{begun:020d}-{created_at}.snapshot"
        size = 0

        def counted() -> Iterator[bytes]:
            nonlocal size
            for piece in write_snapshot(parts):
                size += len(piece)
                yield piece

        with self._calling(path) as store:
            obstore.put(
                store, path, counted(), use_multipart=True, chunk_size=PIECE_BYTES, max_concurrency=WRITES_AT_ONCE
            )
        return Stored(path, begun, created_at, size)

    def stored(self, cell: int) -> list[Stored]:
        """The snapshots of a cell, the newest first."""
        folder = self._folder(cell)
        with self._calling(folder) as store:
            listed = [found for found in obstore.list(store, folder).collect() if found["size"]]
        found = []
        for meta in listed:
            name = _NAME.fullmatch(meta["path"].rpartition("/")[2])
            if name is not None:
                found.append(Stored(meta["path"], int(name[1]), int(name[2]), meta["size"]))
        return sorted(found, key=lambda one: (one.begun, one.created_at), reverse=True)

    def end(self, stored: Stored) -> End:
        """The end of a snapshot, read by itself.

        Raises:
            SnapshotError: it is damaged.
        """
        return read_end(self._range(stored, max(0, stored.size - TAIL_BYTES), stored.size))

    def read(self, stored: Stored) -> Iterator[Part]:
        """The parts of a snapshot, in pieces.

        Raises:
            SnapshotError: while iterating: it is damaged.
        """
        starts = range(0, stored.size, PIECE_BYTES)
        return read_snapshot(self._range(stored, at, min(at + PIECE_BYTES, stored.size)) for at in starts)

    def prune(self, cell: int, kept: int) -> int:
        """Delete all snapshots of a cell but the newest `kept`; gives how many."""
        old = [stored.path for stored in self.stored(cell)[kept:]]
        if old:
            with self._calling(self._folder(cell)) as store:
                obstore.delete(store, old)
        self._delete_left(cell)
        return len(old)

    def _folder(self, cell: int) -> str:
        return f"{self._settings.kafka.group}/{cell_name(self._bundle, self._settings.assign.cells, cell)}"

    def _range(self, stored: Stored, start: int, end: int) -> bytes:
        with self._calling(stored.path) as store:
            try:
                return bytes(obstore.get_range(store, stored.path, start=start, end=end))
            except (NotFoundError, FileNotFoundError) as error:
                raise SnapshotError("it is gone") from error

    def _delete_left(self, cell: int) -> None:
        """What a process killed in the middle of `save` left in a folder; an object store shows no such things."""
        address = urlsplit(self.location)
        if address.scheme != "file":
            return
        for left in (Path(unquote(address.path)) / self._folder(cell)).glob("*.snapshot#*"):
            with suppress(OSError):
                if left.stat().st_mtime < time.time() - LEFT_SECONDS:
                    left.unlink()

    @contextmanager
    def _calling(self, path: str) -> Iterator[Any]:
        """The store, and its errors as one line."""
        try:
            yield store_of(self.location, self._settings.snapshots)
        except SettingsError as error:
            raise SnapshotStoreError(str(error)) from error
        except (BaseError, OSError) as error:
            raise SnapshotStoreError(f"{self.location}: {path}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """An error in one line: what obstore says first, and what the store itself says of it, in XML."""
    text = str(error)
    first = text.partition("\n")[0].partition(": <?xml")[0].strip()
    told = [found[1] for found in _TOLD.finditer(text.partition("\nDebug source:")[0])]
    return ": ".join([first, *told]) if text else type(error).__name__


def snapshot_at(settings: Settings, bundle: str, address: str) -> tuple[SnapshotStore, Stored]:
    """A single snapshot, by its whole address.

    Raises:
        SnapshotStoreError: there is no such object, or it is not named as a snapshot is.
    """
    location, _, name = address.rpartition("/")
    found = _NAME.fullmatch(name)
    if found is None:
        raise SnapshotStoreError(f"{address}: a snapshot is named <position>-<time>.snapshot")
    store = SnapshotStore(settings, bundle, f"{location}/")
    with store._calling(name) as opened:  # noqa: SLF001  # of this file
        size = obstore.head(opened, name)["size"]
    return store, Stored(name, int(found[1]), int(found[2]), size)
