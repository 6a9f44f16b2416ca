"""Copying a cell out of Redis while its owner writes on, and putting a copy in a cell's place.

Out: the hashes are read in pieces. Meanwhile the owner's writes note the names of the fields that they change; those
are read once more, in calls small enough for a busy server, until one call reads all that is left together with the
position: what was read, the last word about each field, is the cell at that position. Nothing waits for it.

In: the copy is set aside under names that nobody reads, and one script call puts it in place. Until then the cell is
what it was; what was set aside and not put in place vanishes by itself.
"""

from __future__ import annotations

import itertools
import time
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from consumers.state.codec import VERSION
from consumers.state.keys import KINDS
from consumers.state.snapshot import End, Item
from consumers.state.store import (
    SCAN_COUNTS,
    StateStore,
    StateUnavailable,
    calling,
    next_count,
    other_version,
    stale,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from consumers.state.codec import Kind
    from consumers.state.keys import CellKeys
    from consumers.state.snapshot import Name

KEPT_SECONDS = 60
"""A copy that nobody goes on with for so long is forgotten."""

CHANGES = 1_000
"""Changed fields read in one call: with vectors, about two megabytes."""

DRAIN_SECONDS = 2.0
"""Between two looks at what has changed, while the hashes are read."""

MOST_ROUNDS = 1_000
"""Calls that read changes at the end: more change faster than they are read."""

PIECE_BYTES = 2**20
"""Read or set aside in one call: the owner's own calls wait for its end."""


class CopyError(RuntimeError):
    """The cell could not be copied, and nothing was changed; the message says why."""


class NewerState(RuntimeError):  # noqa: N818  # it tells what is there, not what went wrong
    """Redis holds the cell at a later position than the copy that should replace it; nothing was changed."""


@dataclass(slots=True)
class StagedState:
    """A state that was set aside in Redis.

    Attributes:
        name: part of the keys it is under.
        sizes: fields of each of its hashes.
        kept_until: when its keys must be told again not to vanish (monotonic seconds).
    """

    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    sizes: dict[str, int] = field(default_factory=dict)
    kept_until: float = 0.0


@dataclass(slots=True)
class _Copy:
    """A copy that is being made.

    Attributes:
        name: under which changes are noted for it.
        owner: token of the cell's owner at the first call, and the server that answered.
        position: the highest at which anything was read.
        drains: calls that read changes.
        items: read so far.
    """

    cell: int
    keys: CellKeys
    stopped: Callable[[], bool]
    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    owner: bytes | None = None
    position: int = -1
    drains: int = 0
    items: int = 0

    def check(self, answer: list[Any]) -> None:
        """Refuse what does not belong together: a Redis that lost writes gives its cell another owner."""
        if answer[0] == b"lost" or not answer[2]:
            raise CopyError(
                f"cell {self.cell}: copying it took too long, its owner changed, its state was replaced, or another "
                "version of Shoal writes it; try again"
            )
        self.owner = answer[1] if self.owner is None else self.owner
        if answer[1] != self.owner or int(answer[2]) < self.position:
            raise CopyError(f"cell {self.cell}: its owner or its server changed while it was copied; try again")
        self.position = int(answer[2])


class StateCopier(StateStore):
    """A store that copies whole cells. Safe to use from one thread at a time."""

    @contextmanager
    def copying(
        self, cell: int, stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[tuple[int, Iterator[Item | End]] | None]:
        """The position where the cell is now, and the cell as it is at that or a later one: items, then the end.

        Of the items the last word about each field counts. None when Redis holds nothing of the cell.

        Args:
            stopped: asked between two calls; when it says so the copy is given up.

        Raises:
            StateUnavailable: also while the items are read. StateVersionError.
            CopyError: another copy is being made; while the items are read: the owner changed, or it took too long.
        """
        copy = _Copy(cell, self._keys(cell), stopped)
        answer = self._run("copy_begin", [copy.keys.meta, copy.keys.copying], [copy.name, KEPT_SECONDS])
        if answer[0] == b"busy":
            raise CopyError(
                f"cell {cell}: another snapshot of it is being taken, or was broken off within the last "
                f"{KEPT_SECONDS} s; try again after that"
            )
        if answer[0] == b"none":
            yield None
            return
        try:
            if int(answer[1]) != VERSION:
                raise other_version(cell, answer[1])
            yield int(answer[2]), self._copied(copy)
        finally:
            with suppress(StateUnavailable):
                self._run("copy_stop", [copy.keys.copying], [copy.name])

    def stage(self, cell: int, items: Iterable[Item]) -> StagedState:
        """Set a state aside, in pieces, for `put_in_place`.

        Raises:
            StateUnavailable: Redis takes no writes. Whatever `items` raises.
        """
        staged = StagedState()
        try:
            for name, piece in _pieces(items):
                sets = [(item.field, item.value) for item in piece.values() if item.value is not None]
                gone = [item.field for item in piece.values() if item.value is None]
                arguments = [KEPT_SECONDS, len(sets), *(part for pair in sets for part in pair), *gone]
                answer = self._run("stage", [self._keys(cell).aside(staged.name, name)], arguments)
                staged.sizes[name] = staged.sizes.get(name, 0) + int(answer[1])
                self._keep(cell, staged)
        except BaseException:
            self.discard(cell, staged)
            raise
        return staged

    def discard(self, cell: int, staged: StagedState) -> None:
        """Forget what was set aside, now rather than by and by."""
        keys = [self._keys(cell).aside(staged.name, name) for name in staged.sizes]
        with suppress(StateUnavailable), calling("discard"):
            if keys:
                self._client().unlink(*keys)

    def put_in_place(
        self, cell: int, staged: StagedState, position: int, *, token: str, owned: bool, force: bool = False
    ) -> None:
        """Replace the cell's state, in one step, by the one that was set aside.

        Args:
            token: holds the cell afterwards: every write with another one is refused.
            owned: it must hold the cell already.
            force: replace a newer state too.

        Raises:
            StaleOwner: somebody else holds the cell. NewerState: it is further than this state, and not `force`.
            StateUnavailable: also when what was set aside has vanished. In all cases nothing was changed.
        """
        keys = self._keys(cell)
        names, sizes = [keys.meta, keys.copying], []
        for name, key in keys.hashes.items():
            names += (keys.aside(staged.name, name), key)
            sizes.append(staged.sizes.get(name, 0))
        required = token if owned else ""
        answer = self._run("put_in_place", names, [required, token, VERSION, position, "1" if force else "", *sizes])
        if answer[0] == b"stale":
            raise stale(cell, None, position, answer)
        if answer[0] == b"newer":
            raise NewerState(f"cell {cell}: Redis holds it at position {int(answer[2])}, this state is at {position}")
        if answer[0] == b"lost":
            raise StateUnavailable(f"redis: cell {cell}: what was set aside has vanished (evicted, or too late)")

    def _keep(self, cell: int, staged: StagedState) -> None:
        """Everything set aside lives as long as its last piece."""
        now = time.monotonic()
        if now < staged.kept_until:
            return
        staged.kept_until = now + KEPT_SECONDS / 6
        keys = self._keys(cell)
        with calling("keep"):
            for name in staged.sizes:
                self._client().expire(keys.aside(staged.name, name), KEPT_SECONDS)

    def _copied(self, copy: _Copy) -> Iterator[Item | End]:
        drained = time.monotonic()
        for piece in self._scanned(copy):
            yield from piece  # all of it, before changes are read: what was read later must come later
            if time.monotonic() > drained + DRAIN_SECONDS:
                yield from _changes(self._drain(copy, end=False))
                drained = time.monotonic()
        for _ in range(MOST_ROUNDS):
            answer = self._drain(copy, end=True)
            yield from _changes(answer)
            if answer[3] == 0:
                yield from (Item("outputs", end.decode(), value) for end, value in _pairs(answer[5]))
                sizes = {kind: size for kind, size in zip(KINDS, answer[6], strict=True) if size}
                yield End(position=copy.position, items=copy.items, entries=sizes)
                return
        raise CopyError(f"cell {copy.cell}: it changes faster than it can be read; try again when it is calmer")

    def _scanned(self, copy: _Copy) -> Iterator[list[Item]]:
        keys = copy.keys
        for kind in KINDS:
            names, cursor, count = [keys.meta, keys.copying, keys.of(kind)], b"", SCAN_COUNTS[0]
            while cursor != b"0":
                _go_on(copy)
                answer = self._run("copy_scan", names, [copy.name, KEPT_SECONDS, cursor or b"0", count])
                copy.check(answer)
                cursor, count = answer[3], next_count(answer[4][1::2], PIECE_BYTES)
                copy.items += len(answer[4]) // 2
                yield [Item(kind, field.decode(), value) for field, value in _pairs(answer[4])]

    def _drain(self, copy: _Copy, *, end: bool) -> list[Any]:
        _go_on(copy)
        keys = copy.keys
        copy.drains += 1
        names = [keys.meta, keys.copying, keys.outputs, *map(keys.of, KINDS)]
        answer = self._run(
            "copy_drain", names, [copy.name, KEPT_SECONDS, copy.drains, CHANGES, "1" if end else "", *KINDS]
        )
        copy.check(answer)
        copy.items += len(answer[4]) // 3 + len(answer[5]) // 2
        return answer


def _go_on(copy: _Copy) -> None:
    if copy.stopped():
        raise CopyError(f"cell {copy.cell}: copying it was given up")


def _changes(answer: list[Any]) -> Iterator[Item]:
    found = answer[4]
    for kind, name, value in zip(found[::3], found[1::3], found[2::3], strict=True):
        yield Item(cast("Kind", kind.decode()), name.decode(), value)


def _pairs(found: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    return zip(found[::2], found[1::2], strict=True)


def _pieces(items: Iterable[Item]) -> Iterator[tuple[Name, dict[str, Item]]]:
    """Items of one hash each, as they follow each other, up to a size; the last word about a field counts."""
    for name, run in itertools.groupby(items, lambda item: item.name):
        piece, size = dict[str, Item](), 0
        for item in run:
            piece[item.field] = item
            size += len(item.field) + len(item.value or b"")
            if size >= PIECE_BYTES:
                yield name, piece
                piece, size = {}, 0
        if piece:
            yield name, piece
