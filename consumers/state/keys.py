"""Names of the keys. Every key of a cell has the same hash tag, so that a script reaches them all on a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from consumers.names import cell_name
from consumers.state.codec import Kind

if TYPE_CHECKING:
    from consumers.settings import Redis

KINDS: tuple[Kind, ...] = get_args(Kind)


class CellKeys:
    """The keys of one cell: `prefix:{bundle.cells.cell}:name`, each a hash.

    Attributes:
        meta: the layout's version, the owner's token and the position.
        outputs: batches' outputs that may not be committed yet, by the position after the batch.
        copying: who copies the cell, and which fields have changed since; absent while nobody does.
    """

    def __init__(self, redis: Redis, bundle: str, cells: int, cell: int) -> None:
        self._stem = f"{redis.prefix}:{{{cell_name(bundle, cells, cell)}}}"
        self.meta = f"{self._stem}:meta"
        self.outputs = f"{self._stem}:outputs"
        self.copying = f"{self._stem}:copying"

    @property
    def hashes(self) -> dict[str, str]:
        """Every hash that holds a part of the state, by its name: the kinds, and `outputs`."""
        return {kind: self.of(kind) for kind in KINDS} | {"outputs": self.outputs}

    def aside(self, copy: str, name: str) -> str:
        """Where a hash of a state that is being restored waits until all of it is there."""
        return f"{self._stem}:restoring:{copy}:{name}"

    def of(self, kind: Kind) -> str:
        """The hash that holds entries of this kind."""
        return f"{self._stem}:{kind}"
