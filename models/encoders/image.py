"""Images -> squares of pixels, or rows of patches -> embeddings. Normalising is in the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from models.encoders.batches import look_at_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from models.encoders.batches import Looked
    from models.manifest import ImageInput


class ImageEncoder:
    """An image graph. `form` says how large its images are, `features` whether it gives such too."""

    kind = "image"

    def __init__(self, session: Any, form: ImageInput, *, features: bool = False) -> None:
        self._session = session
        self._features = features
        self.form = form

    def embed(self, items: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Embed n images as `models.imagery.fit_image` gives them: float32 (n, d), unit rows."""
        return self.look(items).embeddings

    def look(self, items: Sequence[NDArray[np.uint8]]) -> Looked:
        """Embed n such images, with their features."""
        if self.form.patch is not None:
            given: Mapping[str, NDArray[Any]] = patched(items, self.form.patch, self.form.patches)
        else:
            given = {"pixels": np.stack(items)}
        return look_at_rows(self._session, given, features=self._features)

    def example(self) -> NDArray[np.uint8]:
        """A grey square."""
        return np.full((self.form.size, self.form.size, 3), 127, dtype=np.uint8)


def patched(items: Sequence[NDArray[np.uint8]], patch: int, most: int) -> dict[str, NDArray[Any]]:
    """Images (h, w, 3) of whole patches as the inputs of a graph.

    Returns:
        `pixels` uint8 (n, most, patch * patch * 3), row by row and then zeros, and `shapes` int64 (n, 2): the patches
        down and across.
    """
    pixels = np.zeros((len(items), most, patch * patch * 3), dtype=np.uint8)
    shapes = np.array([(image.shape[0] // patch, image.shape[1] // patch) for image in items], dtype=np.int64)
    for row, image, (down, across) in zip(pixels, items, shapes.tolist(), strict=True):
        cut = image.reshape(down, patch, across, patch, 3).transpose(0, 2, 1, 3, 4)
        row[: down * across] = cut.reshape(down * across, -1)
    return {"pixels": pixels, "shapes": shapes}
