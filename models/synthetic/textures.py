"""Scalar fields with natural-image spectra and the coloured textures made of them."""

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Field = NDArray[np.float32]


def as_field(values: object) -> "Field":
    """Read the result of OpenCV or NumPy arithmetic as float32."""
    return np.asarray(values, dtype=np.float32)


def unit(field: "Field") -> "Field":
    """Stretch a field linearly to 0..1 (a constant field gives zeros)."""
    low, high, _, _ = cv2.minMaxLoc(field)
    return as_field((field - np.float32(low)) * np.float32(1.0 / max(high - low, 1e-6)))


def noise(
    rng: np.random.Generator, size: int, gain: float = 0.7, coarsest: int = 2, stretch: float = 1.0, finest: int = 0
) -> "Field":
    """Fractal noise in 0..1: octaves of smoothed random grids.

    Args:
        rng: source of randomness.
        size: side in pixels.
        gain: amplitude ratio of an octave to the coarser one before it; 1 gives the spectrum of natural images,
            .5 smooth clouds.
        coarsest: cells across the image in the first octave.
        stretch: more than 1 draws the grain out horizontally, less vertically.
        finest: cells of the last octave at most (0: half a cell a pixel).
    """
    total = np.zeros((size, size), dtype=np.float32)
    cells, amplitude = float(coarsest), 1.0
    limit = finest or size // 2
    while cells <= limit:
        rows = max(2, min(size, round(cells * max(1.0, stretch)) + 1))
        columns = max(2, min(size, round(cells * max(1.0, 1.0 / stretch)) + 1))
        grid = rng.standard_normal((rows, columns), dtype=np.float32)
        interpolation = cv2.INTER_CUBIC if cells < limit / 4 else cv2.INTER_LINEAR
        cv2.scaleAdd(cv2.resize(grid, (size, size), interpolation=interpolation), amplitude, total, total)
        cells, amplitude = cells * 2, amplitude * gain
    return unit(total)


def plane(rng: np.random.Generator, size: int, warp: float = 0.0) -> "tuple[Field, Field]":
    """Coordinates of every pixel in a randomly turned frame, -1..1 across the image, bent by `warp`."""
    angle = rng.uniform(0, 2 * np.pi)
    if rng.random() < 0.4:  # people build and photograph along the axes
        angle = rng.integers(4) * np.pi / 2
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    across = axis[None, :] * cosine + axis[:, None] * sine
    down = axis[:, None] * cosine - axis[None, :] * sine
    if warp > 0:
        across = across + np.float32(warp) * (noise(rng, size, 0.5, 2, finest=16) - np.float32(0.5))
        down = down + np.float32(warp) * (noise(rng, size, 0.5, 2, finest=16) - np.float32(0.5))
    return as_field(across), as_field(down)


def _wave(values: "Field", frequency: float, sharpness: float) -> "Field":
    return as_field(0.5 + 0.5 * np.tanh(np.float32(sharpness) * np.sin(values * np.float32(np.pi * frequency))))


def _stripes(rng: np.random.Generator, size: int) -> "Field":
    across, _ = plane(rng, size, rng.choice([0.0, 0.1, 0.5]))
    return _wave(across, rng.uniform(3, 24), rng.choice([1.0, 4.0, 12.0]))


def _plaid(rng: np.random.Generator, size: int) -> "Field":
    across, down = plane(rng, size, rng.choice([0.0, 0.1]))
    one, two = rng.uniform(3, 14, 2)
    sharpness = rng.choice([2.0, 8.0])
    mixed = _wave(across, one, sharpness) + _wave(down, two, sharpness)
    return unit(mixed + np.float32(0.4) * _wave(across, one * 3, sharpness))


def _dots(rng: np.random.Generator, size: int) -> "Field":
    across, down = plane(rng, size, rng.choice([0.0, 0.3]))
    frequency = np.float32(np.pi * rng.uniform(3, 14))
    return as_field(np.sin(across * frequency) * np.sin(down * frequency) > np.float32(rng.uniform(0.0, 0.7)))


def _checks(rng: np.random.Generator, size: int) -> "Field":
    across, down = plane(rng, size, rng.choice([0.0, 0.2]))
    one, two = rng.uniform(2, 12, 2)
    return as_field(np.mod(np.floor(across * one) + np.floor(down * two), 2))


def _wood(rng: np.random.Generator, size: int) -> "Field":
    across, down = plane(rng, size, 0.25)
    radius = np.sqrt(across * across + (down * np.float32(rng.uniform(0.05, 0.5))) ** 2)
    rings = np.sin(radius * np.float32(rng.uniform(20, 70)))
    return unit(as_field(rings + 1.5 * noise(rng, size, 0.9, 8, stretch=rng.choice([0.1, 10.0]))))


def _marble(rng: np.random.Generator, size: int) -> "Field":
    across, _ = plane(rng, size)
    bent = across * np.float32(rng.uniform(1, 5)) + np.float32(rng.uniform(2, 8)) * noise(rng, size, 0.6)
    return as_field(1 - np.abs(np.sin(bent * np.float32(np.pi))) ** np.float32(rng.uniform(0.3, 1.5)))


def _cells(rng: np.random.Generator, size: int) -> "Field":
    seeds = np.full((size, size), 255, dtype=np.uint8)
    count = int(rng.integers(10, 160))
    seeds[rng.integers(0, size, count), rng.integers(0, size, count)] = 0
    distance, labels = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    levels = rng.random(int(labels.max()) + 1, dtype=np.float32)
    return unit(as_field(levels[labels] + unit(as_field(distance)) * np.float32(rng.uniform(-1, 1))))


def _weave(rng: np.random.Generator, size: int) -> "Field":
    across, down = plane(rng, size, 0.05)
    frequency = np.float32(np.pi * rng.uniform(12, 36))
    over = np.sin(across * frequency) * np.cos(down * frequency * np.float32(rng.uniform(0.5, 1)))
    return unit(as_field(over + 1.6 * noise(rng, size, 0.7, 3)))


def _bricks(rng: np.random.Generator, size: int) -> "Field":
    across, down = plane(rng, size)
    rows, columns = rng.uniform(4, 12), rng.uniform(2, 6)
    row = np.floor(down * np.float32(rows))
    place = across * np.float32(columns) + np.float32(0.5) * np.mod(row, 2)
    joint = (np.mod(down * np.float32(rows), 1) < 0.12) | (np.mod(place, 1) < 0.07)
    shade = np.mod(np.sin(row * 12.9898 + np.floor(place) * 78.233) * 43758.5, 1) * 0.5 + 0.4
    return as_field(np.where(joint, np.float32(0), shade))


def _ridges(rng: np.random.Generator, size: int) -> "Field":
    rough = noise(rng, size, rng.uniform(0.5, 0.9), int(rng.integers(2, 6)))
    return as_field(1 - np.abs(2 * rough - 1))


def _grain(rng: np.random.Generator, size: int) -> "Field":
    return noise(rng, size, rng.uniform(0.7, 1.1), 4, stretch=rng.choice([0.12, 0.25, 4.0, 8.0]))


def _clouds(rng: np.random.Generator, size: int) -> "Field":
    return noise(rng, size, rng.uniform(0.4, 1.0), int(rng.integers(1, 5)))


def _gradient(rng: np.random.Generator, size: int) -> "Field":
    across, down = plane(rng, size, 0.4)
    return unit(across if rng.random() < 0.6 else as_field(np.sqrt(across * across + down * down)))


def _patches(rng: np.random.Generator, size: int) -> "Field":
    levels = int(rng.integers(2, 6))
    return as_field(np.floor(noise(rng, size, rng.uniform(0.4, 0.8), int(rng.integers(2, 6))) * levels) / levels)


def _blocks(rng: np.random.Generator, size: int) -> "Field":
    grid = rng.random((int(rng.integers(2, 14)), int(rng.integers(2, 14))), dtype=np.float32)
    return as_field(cv2.resize(grid, (size, size), interpolation=cv2.INTER_NEAREST))


FIELDS: "dict[str, Callable[[np.random.Generator, int], Field]]" = {
    "clouds": _clouds,
    "grain": _grain,
    "ridges": _ridges,
    "gradient": _gradient,
    "patches": _patches,
    "cells": _cells,
    "marble": _marble,
    "wood": _wood,
    "weave": _weave,
    "stripes": _stripes,
    "plaid": _plaid,
    "dots": _dots,
    "checks": _checks,
    "bricks": _bricks,
    "blocks": _blocks,
}
_WEIGHTS = np.array([5, 4, 3, 4, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1], dtype=np.float64)


def ramp(field: "Field", colours: "NDArray[np.float32]") -> "Field":
    """Colour a field in 0..1 by interpolating evenly spaced colours.

    Args:
        field: (height, width) float32 in 0..1.
        colours: (count, 3) float32 RGB.

    Returns:
        (height, width, 3) float32 RGB.
    """
    places = np.linspace(0, 255, len(colours))
    table = np.stack([np.interp(np.arange(256), places, colours[:, channel]) for channel in range(3)], axis=-1)
    steps = np.clip(field * np.float32(255), 0, 255).astype(np.uint8)
    return as_field(table.astype(np.float32)[steps])


def texture(rng: np.random.Generator, size: int, palette: "NDArray[np.float32]", kind: str | None = None) -> "Field":
    """A coloured surface: a field through two to four of the palette's colours, with fine grain and stains.

    Returns:
        (size, size, 3) float32 RGB, about 0..255.
    """
    name = kind or str(rng.choice(list(FIELDS), p=_WEIGHTS / _WEIGHTS.sum()))
    field = FIELDS[name](rng, size)
    picked = palette[rng.permutation(len(palette))[: int(rng.integers(2, 5))]]
    closeness = np.float32(rng.choice([0.15, 0.35, 0.6, 1.0], p=[0.3, 0.3, 0.2, 0.2]))
    colours = picked[:1] + closeness * (picked - picked[:1])  # most real surfaces vary in lightness around one colour
    surface = ramp(field, colours)
    depth = np.float32(rng.uniform(0.05, 0.5))
    stains = noise(rng, size, rng.uniform(0.7, 1.0), 3) - np.float32(0.5)
    surface *= (np.float32(1) + depth * stains)[..., None]
    return surface
