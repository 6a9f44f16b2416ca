"""A recording as a small map of loudness by band and time: what tells a copy of a sound from one of its kind.

Bands are spaced by equal intervals, so that another pitch moves the map up or down; time runs evenly, so that a crop
moves it aside and another tempo stretches it a little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import fft, signal

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOWEST, HIGHEST = 150.0, 7_000.0
"""Hertz of the outermost bands; of a recording at a low rate only what it holds."""
OF_NYQUIST = 0.95
SECONDS = 0.128
"""That one spectrum looks at."""
RANGE = 64.0
"""Decibels below the loudest value of a map that it still tells apart."""


class SoundMap:
    """Makes the maps of windows of one length.

    Args:
        rate: samples a second.
        window: samples of a window.
        bands, frames: sides of the map, each at most 255.
    """

    def __init__(self, rate: int, window: int, bands: int, frames: int) -> None:
        self._hop = window // frames
        self._frames = frames
        self._size = fft.next_fast_len(max(round(SECONDS * rate), self._hop), real=True)
        self._taper = signal.windows.hann(self._size, sym=False).astype(np.float32)
        self._bands = _bands(rate, self._size, bands)

    def __call__(self, windows: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Maps uint8 (n, bands, frames) of windows float32 (n, window)."""
        return np.stack([self._map(one) for one in windows])

    def _map(self, samples: NDArray[np.float32]) -> NDArray[np.uint8]:
        before = max(self._size - self._hop, 0) // 2
        framed = np.pad(samples, (before, self._size))
        pieces = np.lib.stride_tricks.sliding_window_view(framed, self._size)[:: self._hop][: self._frames]
        spectrum = fft.rfft(pieces * self._taper)
        power = (np.square(spectrum.real) + np.square(spectrum.imag)) @ self._bands
        levels = 10.0 * np.log10(np.maximum(power, 1e-12))
        steps = np.rint((levels - levels.max() + RANGE) * (255.0 / RANGE))
        return np.ascontiguousarray(np.clip(steps, 0, 255).astype(np.uint8).T)


def _bands(rate: int, size: int, count: int) -> NDArray[np.float32]:
    """The share of each of the frequencies of a spectrum in each band, float32 (size // 2 + 1, count).

    Bands are triangles from neighbour to neighbour, and at least as wide as the spectrum is fine.
    """
    middles = np.geomspace(LOWEST, min(HIGHEST, OF_NYQUIST * rate / 2.0), count)
    hertz = np.arange(size // 2 + 1) * (rate / size)
    octaves = np.log2(np.maximum(hertz, 1e-3))[:, None] - np.log2(middles)
    near = 1.0 - np.abs(octaves) / np.log2(middles[1] / middles[0])
    close = 1.0 - np.abs(hertz[:, None] - middles) / (rate / size)
    shares = np.maximum(np.maximum(near, close), 0.0)
    return np.asarray(shares / shares.sum(axis=0), dtype=np.float32)
