"""Colours: palettes that look chosen together, and plain English names for the colours of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

COLOUR_NAMES = (
    "black", "grey", "white", "red", "orange", "yellow", "green", "turquoise", "blue", "purple", "pink", "brown",
    "beige", "navy",
)  # fmt: skip
_BLACK, _GREY, _WHITE, _RED, _ORANGE, _YELLOW, _GREEN = range(7)
_TURQUOISE, _BLUE, _PURPLE, _PINK, _BROWN, _BEIGE, _NAVY = range(7, 14)
_LEVELS = 16


def _name_table() -> NDArray[np.uint8]:
    """Name index of every colour of a 16 x 16 x 16 RGB grid."""
    axis = (np.arange(_LEVELS, dtype=np.float32) + 0.5) / _LEVELS
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(1, -1, 3)
    hue, saturation, value = (channel[0] for channel in cv2.split(cv2.cvtColor(grid, cv2.COLOR_RGB2HSV)))
    names = np.digitize(hue, [14, 42, 68, 160, 195, 256, 296, 344])
    names = np.array([_RED, _ORANGE, _YELLOW, _GREEN, _TURQUOISE, _BLUE, _PURPLE, _PINK, _RED])[names]
    warm = (hue < 50) | (hue >= 344)
    names[warm & (value < 0.62) & (hue >= 10) & (hue < 50)] = _BROWN
    names[(hue >= 18) & (hue < 60) & (saturation < 0.42) & (value >= 0.62)] = _BEIGE
    names[((hue < 18) | (hue >= 296)) & (saturation < 0.55) & (value >= 0.68)] = _PINK
    names[(names == _BLUE) & (value < 0.42)] = _NAVY
    plain = saturation * value < 0.11
    names[plain] = _GREY
    names[plain & (value > 0.8)] = _WHITE
    names[(value < 0.17) | (plain & (value < 0.22))] = _BLACK
    table: NDArray[np.uint8] = names.astype(np.uint8).reshape(_LEVELS, _LEVELS, _LEVELS)
    return table


_TABLE = _name_table()


def dominant_colours(pixels: NDArray[np.uint8], share: float = 0.2) -> tuple[str, ...]:
    """Name the one to three colours that cover most of an image, largest first.

    Args:
        pixels: (height, width, 3) uint8 RGB.
        share: least part of the area a colour after the first must cover.
    """
    small = np.asarray(cv2.resize(pixels, (32, 32), interpolation=cv2.INTER_AREA), dtype=np.uint8) >> 4
    counts = np.bincount(_TABLE[small[..., 0], small[..., 1], small[..., 2]].ravel(), minlength=len(COLOUR_NAMES))
    order = np.argsort(-counts, kind="stable")[:3]
    return tuple(
        COLOUR_NAMES[index] for rank, index in enumerate(order) if rank == 0 or counts[index] >= share * 32 * 32
    )


def make_palette(rng: np.random.Generator, count: int = 6) -> NDArray[np.float32]:
    """Draw colours that share a scheme (one hue, neighbours, opposites, three corners or unrelated).

    Returns:
        (count, 3) float32 RGB in 0..255, in no order of lightness.
    """
    first = rng.uniform(0, 360)
    scheme = rng.integers(5)
    spread = (8.0, 30.0, 14.0, 14.0, 180.0)[scheme]
    corners = ((0.0,), (0.0,), (0.0, 180.0), (0.0, 120.0, 240.0), (0.0,))[scheme]
    hue = (first + rng.choice(corners, count) + rng.normal(0, spread, count)) % 360
    vividness = rng.beta(1.6, 1.8)
    saturation = np.clip(rng.normal(vividness, 0.18, count), 0.0, 1.0)
    value = np.clip(rng.permutation(np.linspace(0.18, 0.97, count)) + rng.normal(0, 0.08, count), 0.05, 1.0)
    neutral = rng.random(count) < 0.25
    saturation[neutral] *= 0.15
    hsv = np.stack([hue, saturation, value], axis=-1).astype(np.float32)[None]
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0] * 255.0, dtype=np.float32)
