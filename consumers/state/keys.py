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
    """

    def __init__(self, redis: Redis, bundle: str, cells: int, cell: int) -> None:
        self._stem = f"{redis.prefix}:{{{cell_name(bundle, cells, cell)}}}"
        self.meta = f"{self._stem}:meta"
        self.outputs = f"{self._stem}:outputs"

    def of(self, kind: Kind) -> str:
        """The hash that holds entries of this kind."""
        return f"{self._stem}:{kind}"
