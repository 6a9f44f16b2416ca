"""Speech-like sound from a source and a filter: a voice speaks syllables that mean nothing.

The source is a glottal wave and breath; the filter moves through formants, frame by frame, in the frequency domain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import fft

from models.synthetic.oscillators import RATE, Samples, lines, noise, oscillate, wander

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FRAME = 512
_HOP = 256
_WINDOW = np.sqrt(np.hanning(_FRAME + 1)[:-1]).astype(np.float32)
_HERTZ = np.linspace(0, RATE / 2, _FRAME // 2 + 1, dtype=np.float32)
_GLOTTIS = tuple(1.0 / k**1.3 for k in range(1, 49))

# First three formants in hertz of an average adult voice, our rounding.
_VOWELS = np.array(
    [
        [280, 2300, 3000],
        [400, 2000, 2550],
        [550, 1800, 2500],
        [690, 1650, 2450],
        [750, 1150, 2500],
        [580, 880, 2500],
        [450, 1030, 2350],
        [310, 870, 2250],
        [500, 1450, 2450],
        [300, 1750, 2200],
        [450, 1500, 2300],
    ],
    np.float32,
)
_Consonant = Literal["stop", "fricative", "nasal", "liquid", "none"]
_CONSONANTS: tuple[_Consonant, ...] = ("stop", "stop", "fricative", "fricative", "nasal", "liquid", "none")


@dataclass(frozen=True, slots=True)
class Voice:
    """Who speaks: pitch in hertz, tract length factor, syllables a second, breath and melody between 0 and 1."""

    pitch: float
    tract: float
    pace: float
    breath: float
    melody: float


def draw_voice(rng: np.random.Generator) -> Voice:
    """A random adult's or child's voice."""
    high = bool(rng.random() < 0.5)
    pitch = float(rng.uniform(160, 300) if high else rng.uniform(75, 160))
    tract = float(rng.uniform(1.05, 1.3) if high else rng.uniform(0.88, 1.08))
    breath = float(rng.beta(1.5, 5))
    return Voice(pitch, tract, float(rng.uniform(2.6, 6.5)), breath, float(rng.uniform(0.05, 0.5)))


@dataclass(slots=True)
class _Track:
    """Controls, one row a frame: formants (frames, 3), level of voice and of hiss, centre of the hiss in hertz."""

    formants: NDArray[np.float32]
    voiced: Samples
    hiss: Samples
    centre: Samples


def _syllable(rng: np.random.Generator, track: _Track, start: int, stop: int, stress: float) -> None:
    kind = _CONSONANTS[int(rng.integers(len(_CONSONANTS)))]
    vowels = _VOWELS[rng.integers(len(_VOWELS), size=2)]
    onset = 0 if kind == "none" else max(1, int((stop - start) * rng.uniform(0.18, 0.4)))
    share = np.linspace(0, 1, stop - start - onset, dtype=np.float32)[:, None] ** 2
    glide = np.float32(rng.choice([0.15, 0.9], p=[0.7, 0.3])) * share
    track.formants[start + onset : stop] = vowels[0] * (1 - glide) + vowels[1] * glide
    track.formants[start : start + onset] = vowels[0]
    fall = np.linspace(1, rng.uniform(0.3, 0.9), stop - start - onset, dtype=np.float32)
    track.voiced[start + onset : stop] = stress * fall
    head = slice(start, start + onset)
    if kind == "stop" and onset:
        track.voiced[head] = 0.05 if rng.random() < 0.5 else 0.0
        track.hiss[start + onset - 1] = rng.uniform(0.4, 1.0)
        track.centre[head] = rng.uniform(800, 4500)
    elif kind == "fricative" and onset:
        track.hiss[head] = rng.uniform(0.15, 0.7)
        track.voiced[head] = 0.25 if rng.random() < 0.35 else 0.0
        track.centre[head] = rng.uniform(2200, 7000)
    elif kind in {"nasal", "liquid"} and onset:
        low = (260, 1150, 2300) if kind == "nasal" else (360, float(rng.uniform(900, 1500)), 2300)
        track.formants[head] = low
        track.voiced[head] = stress * (0.35 if kind == "nasal" else 0.5)


def _script(rng: np.random.Generator, voice: Voice, frames: int) -> _Track:
    track = _Track(
        np.full((frames, 3), 500, np.float32),
        np.zeros(frames, np.float32),
        np.zeros(frames, np.float32),
        np.full(frames, 3000, np.float32),
    )
    per_syllable = RATE / _HOP / voice.pace
    at = float(rng.uniform(0, 3))
    while at < frames - 4:
        for _ in range(int(rng.integers(1, 5))):
            length = max(4.0, per_syllable * float(np.exp(rng.normal(0, 0.25))))
            stop = min(int(at + length), frames)
            if stop - int(at) < 3:
                break
            _syllable(rng, track, int(at), stop, float(rng.uniform(0.5, 1.0)))
            at += length
        at += float(rng.uniform(1, 4)) if rng.random() < 0.8 else per_syllable * float(rng.uniform(1, 3))
    return track


def _envelopes(track: _Track, voice: Voice) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Gains (frames, bins) for the voice (a product of resonances) and for the hiss (one wide band)."""
    squared = _HERTZ * _HERTZ
    response = np.ones((len(track.voiced), len(_HERTZ)), np.float32)
    for index, width in enumerate((90.0, 120.0, 180.0)):
        centre = (track.formants[:, index] * np.float32(voice.tract))[:, None]
        target = centre * centre
        difference = target - squared
        response *= target * target / (difference * difference + squared * np.float32((1.6 * width) ** 2))
    gain = np.sqrt(response)
    gain *= track.voiced[:, None]
    spread = (_HERTZ[None, :] - track.centre[:, None]) / (0.35 * track.centre[:, None] + 300)
    hiss = track.hiss[:, None] / (1 + spread**4)
    return gain, hiss.astype(np.float32)


def speak(voice: Voice, rng: np.random.Generator, count: int) -> Samples:
    """Syllables in `voice`: (count,) float32, not scaled to a peak."""
    frames = count // _HOP + 2
    track = _script(rng, voice, frames)
    padded = (frames + 1) * _HOP
    grid = padded // 64 + 2
    fall = np.linspace(0.1, -0.1, grid, dtype=np.float32)
    curve = voice.melody * (wander(rng, grid * 64, 1.6)[::64] + fall) + 0.015 * wander(rng, grid * 64, 9)[::64]
    pitch = lines((voice.pitch * np.exp2(curve)).astype(np.float32), padded)
    source = oscillate(pitch, padded, _GLOTTIS)
    air = noise(rng, padded) * np.float32(0.12)
    voiced = source * np.float32(1 - voice.breath) + air * np.float32(voice.breath)
    gain, hiss = _envelopes(track, voice)
    spectrum = _frames(voiced, frames) * gain + _frames(air, frames) * hiss * np.float32(8)
    pieces = np.asarray(fft.irfft(spectrum, _FRAME, axis=1), np.float32) * _WINDOW
    joined = np.zeros((frames + 1, _HOP), np.float32)
    joined[:-1] += pieces[:, :_HOP]
    joined[1:] += pieces[:, _HOP:]
    return joined.reshape(-1)[_HOP : _HOP + count]


def _frames(samples: Samples, frames: int) -> NDArray[np.complex64]:
    view = np.lib.stride_tricks.sliding_window_view(samples, _FRAME)[::_HOP][:frames]
    return np.asarray(fft.rfft(view * _WINDOW, axis=1), np.complex64)
