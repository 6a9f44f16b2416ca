"""What is done to an image before it is posted again: the list that docs/quality.md reports."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from models.synthetic import image_variants, images

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]
    Transform = Callable[[Pixels, np.random.Generator], Pixels]

NEIGHBOURS = 12
"""Pictures that fill the rest of a collage."""


@functools.cache
def _neighbours() -> list[Pixels]:
    rng = np.random.default_rng(20_261)
    return [images.generate_image(rng, 160).pixels for _ in range(NEIGHBOURS)]


def _collage(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    return image_variants.collage(pixels, rng, _neighbours(), 0.4)


TRANSFORMS: dict[str, Transform] = image_variants.TRAINED | image_variants.HELD_OUT | {"collage-40": _collage}
"""Each takes and gives uint8 (height, width, 3) RGB."""

UNSEEN: frozenset[str] = frozenset({*image_variants.HELD_OUT, "down-to-64"})
"""Those of no training view: `image_variants.light` and `heavy` never use them."""
