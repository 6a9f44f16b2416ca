"""Outlines of things, as polygons around the origin that fit into a square of side 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# the right half of each, from top to bottom; the left half mirrors it
_MIRRORED: dict[str, list[tuple[float, float]]] = {
    "shirt": [(0.08, -0.42), (0.2, -0.45), (0.42, -0.28), (0.5, 0.0), (0.38, 0.06), (0.27, -0.12), (0.27, 0.45)],
    "sweater": [(0.1, -0.4), (0.22, -0.43), (0.4, -0.3), (0.5, 0.32), (0.38, 0.36), (0.28, -0.1), (0.3, 0.42)],
    "trousers": [(0.22, -0.5), (0.25, -0.3), (0.3, 0.5), (0.12, 0.5), (0.0, -0.1)],
    "shorts": [(0.3, -0.35), (0.4, 0.3), (0.08, 0.33), (0.0, -0.05)],
    "dress": [(0.1, -0.5), (0.16, -0.5), (0.2, -0.3), (0.13, -0.08), (0.38, 0.5)],
    "skirt": [(0.18, -0.4), (0.4, 0.4)],
    "hat": [(0.1, -0.3), (0.26, -0.26), (0.28, 0.08), (0.5, 0.14), (0.46, 0.2)],
    "bag": [(0.06, -0.45), (0.14, -0.42), (0.18, -0.2), (0.4, -0.2), (0.44, 0.4)],
    "bottle": [(0.07, -0.5), (0.07, -0.28), (0.17, -0.12), (0.17, 0.5)],
}
_WHOLE: dict[str, list[tuple[float, float]]] = {
    "shoe": [(-0.45, -0.2), (-0.2, -0.22), (0.0, -0.02), (0.3, 0.06), (0.48, 0.16), (0.48, 0.25), (-0.46, 0.25)],
    "boot": [(-0.3, -0.5), (0.05, -0.5), (0.06, 0.1), (0.42, 0.24), (0.42, 0.4), (-0.32, 0.4)],
    "car": [
        (-0.5, 0.0),
        (-0.32, -0.05),
        (-0.2, -0.3),
        (0.16, -0.3),
        (0.32, -0.05),
        (0.5, 0.0),
        (0.5, 0.25),
        (-0.5, 0.25),
    ],
}
GARMENTS = ("shirt", "sweater", "trousers", "shorts", "dress", "skirt", "hat", "bag", "shoe", "boot")


def _star() -> list[tuple[float, float]]:
    angles = np.arange(10) * np.pi / 5 - np.pi / 2
    radii = np.where(np.arange(10) % 2 == 0, 0.5, 0.2)
    return [(float(r * np.cos(a)), float(r * np.sin(a))) for r, a in zip(radii, angles, strict=True)]


def polygon(name: str) -> NDArray[np.float32]:
    """Outline of the thing called `name`, float32 (n, 2): x to the right, y down, within -0.5..0.5."""
    if name == "star":
        return np.array(_star(), dtype=np.float32)
    if name in _WHOLE:
        return np.array(_WHOLE[name], dtype=np.float32)
    right = _MIRRORED[name]
    return np.array(right + [(-x, y) for x, y in reversed(right)], dtype=np.float32)
