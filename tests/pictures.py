"""Grey pictures with shapes in them, as features are: what the tests of verification are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from models.verification import pack

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE = 40


def picture(seed: int, size: int = 4 * SIDE) -> NDArray[np.uint8]:
    """A large picture, uint8 (size, size), of ellipses in many greys."""
    rng = np.random.default_rng(seed)
    drawn = np.full((size, size), rng.integers(60, 200), dtype=np.uint8)
    for _ in range(25):
        centre, axes = rng.integers(0, size, 2), rng.integers(size // 20, size // 4, 2)
        angle, grey = float(rng.uniform(0, 180)), float(rng.integers(0, 256))
        cv2.ellipse(drawn, centre.tolist(), axes.tolist(), angle, 0, 360, grey, -1)
    return drawn


def small(drawn: NDArray[np.uint8], side: int = SIDE) -> NDArray[np.uint8]:
    """The picture as a map."""
    return np.asarray(cv2.resize(drawn, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def features(seed: int) -> dict[str, bytes]:
    """Features of a post whose image shows picture number `seed`."""
    return {"image": pack(small(picture(seed))[None], "image")}
