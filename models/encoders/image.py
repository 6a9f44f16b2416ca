"""Images -> squares of pixels -> embeddings. Normalising is in the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from models.encoders.batches import run_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class ImageEncoder:
    """An image graph. `size` is the side of the squares that it takes."""

    kind = "image"

    def __init__(self, session: Any, size: int) -> None:
        self._session = session
        self.size = size

    def embed(self, items: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Embed n images uint8 (size, size, 3): float32 (n, d), unit rows."""
        return run_rows(self._session, {"pixels": np.stack(items)})

    def example(self) -> NDArray[np.uint8]:
        """A grey square."""
        return np.full((self.size, self.size, 3), 127, dtype=np.uint8)
