"""Timbres, pitches and rhythms, and the words for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from models.synthetic.oscillators import (
    RATE,
    TIMBRES,
    Samples,
    oscillate,
    pluck,
    seconds,
    since_onset,
)

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

Made: TypeAlias = tuple[Samples, list[str]]
"""Samples, and English words that are true of them."""

SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9), (0, 3, 5, 7, 10), (0, 1, 4, 5, 7, 8, 10))
_NAMES = tuple(TIMBRES)


def pick(rng: Generator, items: tuple[str, ...]) -> str:
    """One of the names."""
    return items[int(rng.integers(len(items)))]


def timbre(style: Generator) -> tuple[str, tuple[float, ...]]:
    """A timbre's name, and amplitudes of its harmonics that differ from instrument to instrument."""
    name = pick(style, _NAMES)
    amplitudes = np.asarray(TIMBRES[name]) * np.exp(style.normal(0, 0.35, len(TIMBRES[name])))
    return name, tuple(np.round(amplitudes, 2).tolist())


def register(hertz: float) -> str:
    """How high a fundamental is, in a word."""
    return "low" if hertz < 220 else "high" if hertz > 700 else "middle"


def speed(a_second: float) -> str:
    """How fast so many events a second are, in a word."""
    return "slow" if a_second < 2.2 else "fast" if a_second > 5 else "steady"


def pitches(content: Generator, scale: tuple[int, ...], count: int) -> NDArray[np.float64]:
    """A walk on the scale in semitones: mostly small steps, sometimes a leap."""
    steps = content.integers(-2, 3, count)
    steps[content.random(count) < 0.2] *= 3
    degrees = np.clip(np.cumsum(steps) + content.integers(0, 5), -5, 12)
    return np.asarray(np.asarray(scale)[degrees % len(scale)] + 12.0 * (degrees // len(scale)), np.float64)


def rhythm(content: Generator, count: int, a_second: float) -> NDArray[np.int64]:
    """Rising onsets in samples, the first of them 0, about `a_second` each second."""
    beat = RATE / a_second
    lengths = content.choice([0.5, 1.0, 1.0, 1.5, 2.0], size=int(count / beat * 1.6) + 4) * beat
    onsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return onsets[onsets < count - 200]


def line(style: Generator, content: Generator, count: int, root: float, a_second: float) -> Made:
    """One voice on a scale above `root` hertz, and the words for timbre and register."""
    name, amplitudes = timbre(style)
    attack, decay = float(style.uniform(0.004, 0.08)), float(np.exp(style.uniform(-2.2, 1.0)))
    scale = SCALES[int(style.integers(len(SCALES)))]
    depth, speed = float(style.uniform(0, 0.012)), float(style.uniform(4, 7))
    onsets = rhythm(content, count, a_second)
    age, which = since_onset(onsets, count)
    hertz = root * np.exp2(pitches(content, scale, len(onsets)) / 12)
    bend = 1 + np.float32(depth) * np.sin(seconds(count) * np.float32(2 * np.pi * speed))
    wave = oscillate(hertz[which] * bend, count, amplitudes)
    louder = content.uniform(0.5, 1.0, len(onsets)).astype(np.float32)
    return wave * pluck(age, attack, decay, 0.05) * louder[which], [name, register(root)]
