"""The cells' state in Redis: one owner a cell, one guarded script call a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.settings import Redis
    from consumers.state.codec import Entry, StateChanges


class StateUnavailable(RuntimeError):  # noqa: N818  # a state of the world more than a mistake
    """Redis is unreachable, out of memory, read-only or slow; the message says which. Nothing is lost: try again.

    A write may have happened all the same; repeating it with the same arguments is safe.
    """


class StaleOwner(RuntimeError):  # noqa: N818  # it tells who is asking, not what went wrong
    """The token or the position in Redis is not the expected one, and nothing was changed: the cell is another's."""


class StateVersionError(RuntimeError):
    """The state was written by a version of Shoal that this one cannot read; the message says what to do."""


@dataclass(frozen=True, slots=True)
class StoredOutputs:
    """The outputs of one batch, kept until they are known to be committed.

    Attributes:
        start, end: positions before and after the batch.
        data: opaque to the store.
    """

    start: int
    end: int
    data: bytes


@dataclass(frozen=True, slots=True)
class StoredState:
    """A cell as Redis holds it.

    Attributes:
        position: offset after the last record folded.
        outputs: of batches not yet known to be committed, ascending.
        entries: everything else, read from Redis in pieces while it is iterated (once); feed it to Fold.restore.
            Iterating raises StateUnavailable.
    """

    position: int
    outputs: list[StoredOutputs]
    entries: Iterator[Entry]


class StateStore:
    """Reads and writes the state of a bundle's cells. Safe to use from one thread at a time."""

    def __init__(self, redis: Redis, bundle: str, cells: int) -> None:
        """Connect lazily: the first call reaches for Redis. `bundle` is the bundle's id, `cells` their number."""

    def claim(self, cell: int, token: str) -> None:
        """Make `token` the cell's owner: every write with another token is refused from now on.

        Raises:
            StateUnavailable: Redis does not take writes. StateVersionError: the state is of another version.
        """

    def read(self, cell: int) -> StoredState | None:
        """The cell's state, or None when Redis holds none. Claim the cell first, so that nobody writes meanwhile.

        Raises:
            StateUnavailable, StateVersionError.
        """

    def write(
        self,
        cell: int,
        token: str,
        expected: int | None,
        position: int,
        changes: StateChanges,
        outputs: bytes,
        *,
        committed: int | None = None,
    ) -> Literal["written", "done"]:
        """Apply one batch: changes, outputs and the new position, all or nothing.

        Args:
            expected: the position before the batch; None for a cell that has none yet.
            position: the position after it.
            outputs: stored under (expected, position); empty bytes store nothing.
            committed: stored outputs of batches that end here or before are dropped. Left out, it is `expected`: whoever
                writes the next batch has committed the last one.

        Returns:
            `done` when this very batch had been written before (the reply was lost), else `written`.

        Raises:
            StaleOwner: token or position do not match. StateUnavailable: Redis does not take writes.
        """

    def forget_outputs(self, cell: int, token: str, committed: int) -> None:
        """Drop stored outputs of batches that end at `committed` or before.

        Raises:
            StaleOwner, StateUnavailable.
        """

    def close(self) -> None:
        """Close the connections."""
