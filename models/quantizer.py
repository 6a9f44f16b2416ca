"""The coarse quantizer: which cell a fused vector falls into, and which others its like may fall into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Quantizer:
    """The centres of the cells: float32 (cells, size), unit rows. A vector falls to the centre of largest product."""

    centres: NDArray[np.float32]

    @property
    def cells(self) -> int:
        """How many there are."""
        return len(self.centres)

    def cell_of(self, vectors: NDArray[np.float32]) -> NDArray[np.int32]:
        """The cells of vectors (n, size): int32 (n,)."""
        nearest: NDArray[np.int32] = (vectors @ self.centres.T).argmax(axis=1).astype(np.int32)
        return nearest

    def neighbours(self, vector: NDArray[np.float32], cell: int, *, least: float) -> list[int]:
        """The other cells in which a unit vector with a cosine of `least` or more to this one may fall.

        A vector u falls to cell j instead of i when (c_j - c_i)·u > 0. Between two unit vectors of cosine s that
        product changes by at most |c_j - c_i| times their distance, sqrt(2 - 2s). Checked against all the other
        cells, since u falls to j only if j beats every one of them.

        Args:
            vector: float32 (size,), unit norm.
            cell: in which it counts already; never among the answers.
        """
        distance = float(np.sqrt(max(0.0, 2.0 - 2.0 * least)))
        centres = self.centres.astype(np.float64)
        products = (centres * vector.astype(np.float64)).sum(axis=1)
        behind = products[None, :] - products[:, None]
        apart = np.sqrt(((centres[None, :] - centres[:, None]) ** 2).sum(axis=2))
        reachable = (behind <= apart * distance).all(axis=1)
        return [int(found) for found in np.flatnonzero(reachable) if found != cell]
