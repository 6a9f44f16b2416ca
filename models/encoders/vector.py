"""Named vectors that come with a post -> embeddings, through a graph or as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from models.encoders.batches import Looked, run_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class VectorEncoder:
    """A vector graph; without a session the vectors are only brought to unit length."""

    kind = "vector"

    def __init__(self, session: Any | None, size: int) -> None:
        self._session = session
        self.size = size

    def embed(self, items: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Embed n vectors float32 (size,), none all zeros: float32 (n, d), unit rows."""
        rows = np.stack(items).astype(np.float32, copy=False)
        if self._session is not None:
            return run_rows(self._session, {"vector": rows})
        wide = rows.astype(np.float64)  # the square of a float32 need not fit into one
        unit: NDArray[np.float32] = (wide / np.linalg.norm(wide, axis=1, keepdims=True)).astype(np.float32)
        return unit

    def look(self, items: Sequence[NDArray[np.float32]]) -> Looked:
        """Embed n such vectors; they have no features."""
        return Looked(self.embed(items))

    def example(self) -> NDArray[np.float32]:
        """Ones."""
        return np.ones(self.size, dtype=np.float32)
