"""The sound synthesiser's bench: wave tables, filtered noise, impacts, rooms.

Everything is float32 at `RATE` and vectorised over the whole clip, because training asks for thousands of clips.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import fft, signal

RATE = 16_000
"""Samples a second of every synthetic sound."""

Samples: TypeAlias = NDArray[np.float32]

_TABLE = 2048
_RAMP = 64
TIMBRES: dict[str, tuple[float, ...]] = {
    "pure": (1.0,),
    "soft": (1.0, 0.35, 0.1, 0.04),
    "hollow": (1.0, 0.0, 0.5, 0.0, 0.3, 0.0, 0.18, 0.0, 0.1),
    "bright": tuple(1.0 / k for k in range(1, 17)),
    "nasal": (0.4, 0.6, 0.9, 1.0, 0.7, 0.5, 0.2, 0.15, 0.1, 0.05),
    "organ": (1.0, 0.8, 0.0, 0.6, 0.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.3),
    "reed": (0.6, 1.0, 0.5, 0.8, 0.4, 0.6, 0.3, 0.4, 0.2, 0.3, 0.1, 0.2),
    "buzzing": tuple(1.0 / k**0.5 for k in range(1, 25)),
}


@lru_cache(maxsize=256)
def _table(amplitudes: tuple[float, ...]) -> Samples:
    spectrum = np.zeros(_TABLE // 2 + 1, np.complex64)
    spectrum[1 : len(amplitudes) + 1] = -1j * np.asarray(amplitudes, np.float32)
    wave = np.asarray(fft.irfft(spectrum, _TABLE), np.float32)
    return np.asarray(wave / np.abs(wave).max(), np.float32)


def oscillate(frequency: float | NDArray[np.floating], count: int, amplitudes: tuple[float, ...]) -> Samples:
    """A periodic wave of `count` samples.

    Args:
        frequency: hertz, one number or one per sample.
        count: samples.
        amplitudes: of the harmonics, first the fundamental; those above the Nyquist frequency are left out.

    Returns:
        (count,) float32 within [-1, 1].
    """
    steps = np.broadcast_to(np.asarray(frequency, np.float64) * (_TABLE / RATE), (count,))
    highest = float(steps.max()) * RATE / _TABLE if count else 1.0
    audible = max(1, int(0.5 * RATE / max(highest, 1.0)))
    phase = np.cumsum(steps).astype(np.int64) & (_TABLE - 1)
    return np.asarray(_table(amplitudes[:audible])[phase], np.float32)


def seconds(count: int) -> Samples:
    """(count,) float32: the time of each sample."""
    return np.arange(count, dtype=np.float32) / np.float32(RATE)


def since_onset(onsets: NDArray[np.integer], count: int) -> tuple[Samples, NDArray[np.integer]]:
    """For every sample the seconds since the latest onset and that onset's index.

    Args:
        onsets: rising sample positions, the first of them 0.
        count: samples.
    """
    lengths = np.diff(np.append(onsets, count))
    which = np.repeat(np.arange(len(onsets)), lengths)
    return seconds(count) - np.repeat(onsets.astype(np.float32) / np.float32(RATE), lengths), which


def pluck(age: Samples, attack: float, decay: float, floor: float = 0.0) -> Samples:
    """An envelope over the seconds since the onset: linear attack, exponential decay towards `floor`."""
    rise = np.minimum(age / np.float32(max(attack, 1e-3)), np.float32(1.0))
    falling = np.exp(age * np.float32(-1.0 / decay))
    return np.asarray(rise * (np.float32(floor) + np.float32(1.0 - floor) * falling), np.float32)


def wander(rng: np.random.Generator, count: int, hertz: float) -> Samples:
    """A smooth random curve in [-1, 1] that turns about `hertz` times a second."""
    coarse = count // _RAMP + 2
    points = max(4, int(count / RATE * hertz * 2) + 3)
    knots = rng.uniform(-1, 1, points)
    at = np.linspace(0, points - 1.001, coarse)
    left = at.astype(np.int64)
    share = at - left
    share = share * share * (3 - 2 * share)
    return lines((knots[left] * (1 - share) + knots[left + 1] * share).astype(np.float32), count)


def lines(points: Samples, count: int) -> Samples:
    """Straight lines through `points`, which stand 64 samples apart: (count,) float32."""
    rise = np.diff(points)[:, None] * (np.arange(_RAMP, dtype=np.float32) / np.float32(_RAMP))
    return (points[:-1, None] + rise).reshape(-1)[:count]


def noise(rng: np.random.Generator, count: int) -> Samples:
    """White Gaussian noise with a standard deviation of one."""
    return rng.standard_normal(count, dtype=np.float32)


def band(samples: Samples, low: float, high: float, order: int = 2) -> Samples:
    """Keep `low` to `high` hertz (low 0: low-pass; high at or above the Nyquist frequency: high-pass)."""
    top = 0.49 * RATE
    if low <= 0 and high >= top:
        return samples
    if low <= 0:
        sections = signal.butter(order, min(high, top), "lowpass", fs=RATE, output="sos")
    elif high >= top:
        sections = signal.butter(order, min(low, top), "highpass", fs=RATE, output="sos")
    else:
        low = min(low, 0.9 * top)
        edges = (low, min(max(high, 1.05 * low), top))
        sections = signal.butter(order, edges, "bandpass", fs=RATE, output="sos")
    return np.asarray(signal.sosfilt(sections.astype(np.float32), samples), np.float32)


def shape(samples: Samples, hertz: NDArray[np.floating], gain: NDArray[np.floating]) -> Samples:
    """Filter with the gain curve drawn through the points (hertz, gain), without changing phases."""
    size = fft.next_fast_len(len(samples), real=True)
    curve = np.interp(np.linspace(0, RATE / 2, size // 2 + 1), hertz, gain).astype(np.float32)
    filtered = fft.irfft(fft.rfft(samples, size) * curve, size)
    return np.asarray(filtered[: len(samples)], np.float32)


def convolve(samples: Samples, response: Samples) -> Samples:
    """Convolution cut to the length of `samples`."""
    size = fft.next_fast_len(len(samples) + len(response), real=True)
    product = fft.rfft(samples, size) * fft.rfft(response, size)
    return np.asarray(fft.irfft(product, size)[: len(samples)], np.float32)


def room(rng: np.random.Generator, samples: Samples, decay: float, wet: float) -> Samples:
    """Play it in a room whose reverberation falls by 60 dB in `decay` seconds; `wet` is its energy share."""
    count = max(64, int(min(decay, 1.2) * RATE))
    tail = noise(rng, count) * np.exp(seconds(count) * np.float32(-6.9 / decay))
    tail[: int(rng.integers(16, 480))] = 0
    tail = band(tail, 0, rng.uniform(2000, 7900), order=1)
    tail *= np.float32(np.sqrt(wet / max(float(np.dot(tail, tail)), 1e-9)))
    tail[0] = np.float32(np.sqrt(1 - wet))
    return convolve(samples, tail)


def scatter(rng: np.random.Generator, count: int, a_second: float, spread: float) -> Samples:
    """A sparse train of impulses at random times, their levels log-normal with deviation `spread`."""
    hits = max(1, int(rng.poisson(a_second * count / RATE)))
    train = np.zeros(count, np.float32)
    np.add.at(train, rng.integers(0, count, hits), np.exp(rng.normal(0, spread, hits)).astype(np.float32))
    return train


def place(hit: Samples, onsets: NDArray[np.integer], levels: NDArray[np.floating], count: int) -> Samples:
    """Add `hit` at every onset with its level."""
    track = np.zeros(count + len(hit), np.float32)
    for onset, level in zip(onsets.tolist(), levels.tolist(), strict=True):
        track[onset : onset + len(hit)] += hit * np.float32(level)
    return track[:count]


def level(samples: Samples, peak: float = 0.8) -> Samples:
    """Scale to a peak; silence stays silence."""
    highest = float(np.abs(samples).max(initial=0.0))
    return samples if highest < 1e-9 else samples * np.float32(peak / highest)
