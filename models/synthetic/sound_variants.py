"""What people do to a recording before they post it again.

`TRAINED` variants make training pairs; `HELD_OUT` ones are never used in training and only measure what was learnt.
Each takes mono float32 samples at `RATE` and may change their number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import numpy as np
import soxr
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import signal

from models.synthetic import oscillators
from models.synthetic.encoding import decode_mp3, encode_mp3
from models.synthetic.oscillators import RATE, Samples
from models.synthetic.sounds import generate_sound

Variant: TypeAlias = Callable[[NDArray[np.float32], Generator], NDArray[np.float32]]
_STEP = 640
_SEARCH = 160


def _power(samples: Samples) -> float:
    return float(np.dot(samples, samples)) / max(len(samples), 1)


def _bounded(samples: NDArray[np.floating]) -> Samples:
    """Lower the level if the peak is above one, as a phone does."""
    peak = float(np.abs(samples).max(initial=0.0))
    return np.asarray(samples / peak if peak > 1 else samples, np.float32)


def with_noise(samples: Samples, rng: Generator, decibels: float) -> Samples:
    """Add noise, white or dull, that lies `decibels` below the sound."""
    hiss = rng.standard_normal(len(samples), dtype=np.float32)
    if rng.random() < 0.5:
        hiss = np.asarray(
            signal.lfilter(np.array([1], np.float32), np.array([1, -0.9], np.float32), hiss), np.float32
        )
    scale = np.sqrt(_power(samples) / max(_power(hiss), 1e-12)) * 10 ** (-decibels / 20)
    return _bounded(samples + hiss * np.float32(scale))


def mixed(samples: Samples, other: Samples, decibels: float) -> Samples:
    """Add another recording, repeated to the length, `decibels` below the sound."""
    beside = np.resize(other, len(samples))
    scale = np.sqrt(_power(samples) / max(_power(beside), 1e-12)) * 10 ** (-decibels / 20)
    return _bounded(samples + beside * np.float32(min(scale, 30.0)))


def cropped(samples: Samples, rng: Generator, share: float) -> Samples:
    """A random part of the recording, `share` of its length."""
    count = max(1, round(len(samples) * share))
    start = int(rng.integers(0, len(samples) - count + 1))
    return samples[start : start + count]


def stretched(samples: Samples, tempo: float) -> Samples:
    """Play `tempo` times as fast at the same pitch, by overlapping pieces where they fit best."""
    size = 2 * _STEP
    hop = _STEP * tempo
    pieces = int((len(samples) - size - _SEARCH) / hop)
    if pieces < 2:
        return samples
    fade = np.linspace(0, 1, _STEP, dtype=np.float32)
    result = np.empty((pieces + 1) * _STEP, np.float32)
    result[:_STEP] = samples[:_STEP]
    tail = samples[_STEP:size]
    for piece in range(1, pieces + 1):
        start = max(0, int(piece * hop) - _SEARCH // 2)
        region = samples[start : start + _SEARCH + _STEP : 4]
        start += 4 * int(np.correlate(region, tail[::4], "valid").argmax())
        fresh = samples[start : start + size]
        result[piece * _STEP : (piece + 1) * _STEP] = tail + (fresh[:_STEP] - tail) * fade[: len(fresh)]
        tail = fresh[_STEP:]
        if len(tail) < _STEP:
            return result[: (piece + 1) * _STEP]
    return result


def speed_changed(samples: Samples, factor: float) -> Samples:
    """Play `factor` times as fast, the pitch with it."""
    return np.asarray(soxr.resample(samples, RATE * factor, RATE, quality="LQ"), np.float32)


def pitch_shifted(samples: Samples, semitones: float) -> Samples:
    """Shift the pitch and keep the tempo."""
    factor = 2 ** (semitones / 12)
    return stretched(speed_changed(samples, factor), 1 / factor)


def equalised(samples: Samples, rng: Generator, decibels: float) -> Samples:
    """A smooth random gain curve of a few bands within +-`decibels`."""
    hertz = np.array([0, 150, 400, 1000, 2500, 5000, 8000])
    return _bounded(oscillators.shape(samples, hertz, 10 ** (rng.uniform(-decibels, decibels, len(hertz)) / 20)))


def thinned(samples: Samples, rng: Generator) -> Samples:
    """Without about an octave somewhere between 100 Hz and 6 kHz; both ends of the spectrum stay."""
    low = float(np.exp(rng.uniform(np.log(100), np.log(2500))))
    high = low * 2 ** float(rng.uniform(0.5, 1.25))
    hertz = np.array([0, low * 0.9, low, high, high * 1.1, 8000])
    return _bounded(oscillators.shape(samples, hertz, np.array([1, 1, 0.01, 0.01, 1, 1])))


def reverberated(samples: Samples, rng: Generator) -> Samples:
    """Play it in a random room."""
    return _bounded(oscillators.room(rng, samples, float(rng.uniform(0.2, 1.0)), float(rng.uniform(0.1, 0.5))))


def shifted(samples: Samples, rng: Generator) -> Samples:
    """Start somewhere else; what is cut off in front comes at the end."""
    return np.roll(samples, int(rng.integers(len(samples))) if len(samples) else 0)


def compressed(samples: Samples, bits_a_second: int) -> Samples:
    """Through an MP3 encoder and back, at the same length."""
    heard = decode_mp3(encode_mp3(samples, RATE, bits_a_second))
    return np.pad(heard, (0, max(0, len(samples) - len(heard))))[: len(samples)]


def nudged(samples: Samples, rng: Generator) -> Samples:
    """Up to 1% faster or slower, through a curve within 1 dB, with noise 35 dB below it."""
    played = speed_changed(samples, float(rng.uniform(0.99, 1.01)))
    return with_noise(equalised(played, rng, 1.0), rng, 35.0)


def _low_pass(samples: Samples, rng: Generator) -> Samples:
    return oscillators.band(samples, 0, float(rng.uniform(2000, 3000)), order=4)


def _spoken_over(samples: Samples, rng: Generator) -> Samples:
    return mixed(samples, generate_sound(rng, len(samples) / RATE, "speech").samples, 5.0)


def _overdriven(samples: Samples, rng: Generator) -> Samples:
    peak = max(float(np.abs(samples).max(initial=0.0)), 1e-6)
    return np.asarray(np.tanh(samples * np.float32(rng.uniform(4, 8) / peak)) * np.float32(0.9), np.float32)


def _other(samples: Samples, rng: Generator) -> Samples:
    return mixed(samples, generate_sound(rng, min(len(samples) / RATE + 0.1, 5.0)).samples, 6.0)


TRAINED: dict[str, Variant] = {
    "noise-10-decibels": lambda samples, rng: with_noise(samples, rng, 10.0),
    "mp3-32-kilobits": lambda samples, _: compressed(samples, 32_000),
    "crop-half": lambda samples, rng: cropped(samples, rng, 0.5),
    "crop-65-percent": lambda samples, rng: cropped(samples, rng, 0.65),
    "pitch-up": lambda samples, _: pitch_shifted(samples, 2.0),
    "pitch-down": lambda samples, _: pitch_shifted(samples, -2.0),
    "tempo-faster": lambda samples, _: stretched(samples, 1.1),
    "tempo-slower": lambda samples, _: stretched(samples, 0.9),
    "volume": lambda samples, rng: samples * np.float32(10 ** rng.uniform(-1.0, -0.2)),
    "reverberation": reverberated,
    "equaliser": lambda samples, rng: equalised(samples, rng, 10.0),
    "other-recording": _other,
    "time-shift": shifted,
}
HELD_OUT: dict[str, Variant] = {"low-pass": _low_pass, "speech-over": _spoken_over, "overdrive": _overdriven}


def _fitted(samples: Samples, rng: Generator, length: int) -> Samples:
    """A random piece of `length`; what is shorter is repeated, as the serving windows are."""
    if len(samples) > length:
        start = int(rng.integers(0, len(samples) - length + 1))
        return samples[start : start + length]
    return np.resize(samples, length)


def view(
    samples: NDArray[np.float32],
    rng: Generator,
    length: int,
    strength: Literal["light", "heavy"],
    others: Sequence[NDArray[np.float32]] = (),
) -> NDArray[np.float32]:
    """A random training view, made of `TRAINED` variants with random strengths.

    Args:
        samples: (n,) mono at `RATE`, n at least 2.
        rng: source of every choice.
        length: samples of the view.
        strength: "light" keeps most of the sound as it is, "heavy" combines several changes.
        others: recordings to mix in (heavy views only).

    Returns:
        (length,) float32 in [-1, 1].
    """
    if strength == "heavy" and rng.random() < 0.5:
        return _bounded(_fitted(_single(samples, rng, length, others), rng, length))
    heavy = strength == "heavy"
    chance = rng.random(10)
    share = float(rng.uniform(0.45, 1.0)) if heavy and chance[0] < 0.55 else float(rng.uniform(0.85, 1.0))
    made = _fitted(samples, rng, int(length * 1.25)) if len(samples) >= length else samples
    made = cropped(made, rng, min(1.0, share * length / len(made))) if len(made) * share > 1 else made
    if heavy:
        made = _played(made, rng, chance)
    made = _fitted(made, rng, length)
    if chance[4] < (0.5 if heavy else 0.15):
        made = equalised(made, rng, float(rng.uniform(3, 14)))
    if heavy and chance[5] < 0.25:
        made = reverberated(made, rng)
    if heavy and others and chance[6] < 0.3:
        made = mixed(made, others[int(rng.integers(len(others)))], float(rng.uniform(3, 18)))
    if chance[7] < (0.5 if heavy else 0.2):
        made = with_noise(made, rng, float(rng.uniform(4, 30) if heavy else rng.uniform(20, 40)))
    if heavy and chance[8] < 0.03:
        made = compressed(made, int(rng.choice([16_000, 24_000, 32_000, 48_000])))
    if chance[9] < 0.3:
        made = shifted(made, rng)
    return _bounded(made * np.float32(10 ** rng.uniform(-1.0 if heavy else -0.3, 0.1)))


def _single(samples: Samples, rng: Generator, length: int, others: Sequence[Samples]) -> Samples:
    """One or two strong changes, and another volume."""
    made = _fitted(samples, rng, length) if len(samples) > length else samples
    for _ in range(1 if rng.random() < 0.7 else 2):
        made = _STRONG[int(rng.choice(len(_STRONG), p=_WEIGHTS))](made, rng, others)
    return np.asarray(made * np.float32(10 ** rng.uniform(-0.8, 0.0)), np.float32)


def _beside(samples: Samples, rng: Generator, others: Sequence[Samples]) -> Samples:
    if not others:
        return samples
    return mixed(samples, others[int(rng.integers(len(others)))], float(rng.uniform(2.0, 9.0)))


_STRONG: tuple[Callable[[Samples, Generator, Sequence[Samples]], Samples], ...] = (
    lambda samples, rng, _: pitch_shifted(samples, float(rng.choice([-1, 1]) * rng.uniform(0.8, 3.0))),
    _beside,
    lambda samples, rng, _: cropped(samples, rng, float(rng.uniform(0.4, 0.7))),
    lambda samples, rng, _: thinned(samples, rng),
    lambda samples, rng, _: stretched(samples, float(rng.uniform(0.85, 1.18))),
    lambda samples, rng, _: speed_changed(samples, float(rng.uniform(0.88, 1.13))),
    lambda samples, rng, _: reverberated(samples, rng),
    lambda samples, rng, _: with_noise(samples, rng, float(rng.uniform(4, 14))),
    lambda samples, rng, _: equalised(samples, rng, float(rng.uniform(8, 18))),
)
_WEIGHTS = np.array([5, 5, 2.5, 2, 1, 1, 1.5, 1.5, 1.5])
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def _played(samples: Samples, rng: Generator, chance: NDArray[np.float64]) -> Samples:
    """Sometimes another pitch, tempo or speed."""
    if chance[1] < 0.25:
        return pitch_shifted(samples, float(rng.uniform(-3.0, 3.0)))
    if chance[2] < 0.2:
        return stretched(samples, float(rng.uniform(0.85, 1.18)))
    if chance[3] < 0.15:
        return speed_changed(samples, float(rng.uniform(0.9, 1.11)))
    return samples
