"""Sounds of random notes and their maps, as features are: what the tests of verified sounds are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.sound_map import SoundMap
from models.verification import pack

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE, SECONDS = 16_000, 5
BANDS, FRAMES = 48, 80
MAP = SoundMap(RATE, RATE * SECONDS, BANDS, FRAMES)


def notes(seed: int, seconds: float = SECONDS, pitch: float = 1.0) -> NDArray[np.float32]:
    """Five plucked notes a second of four overtones, at moments of their own."""
    rng = np.random.default_rng(seed)
    samples = np.zeros(round(seconds * RATE))
    times = np.arange(RATE) / RATE
    for _ in range(round(5 * seconds)):
        hertz, start = pitch * 200.0 * 2 ** rng.uniform(0, 3), int(rng.integers(len(samples)))
        note = sum(np.sin(2 * np.pi * hertz * tone * times) / tone for tone in range(1, 5))
        note *= np.exp(-times * rng.uniform(3, 12)) * rng.uniform(0.3, 1.0)
        end = min(len(samples), start + len(times))
        samples[start:end] += note[: end - start]
    return np.asarray(samples / np.abs(samples).max(), dtype=np.float32)


def mapped(samples: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The map of the first window, repeated where the sound is shorter, uint8 (BANDS, FRAMES)."""
    return np.asarray(MAP(np.resize(samples, RATE * SECONDS)[None])[0])


def sound_features(seed: int) -> dict[str, bytes]:
    """Features of a post whose recording has the notes of number `seed`."""
    return {"audio": pack(mapped(notes(seed))[None], "sound")}
