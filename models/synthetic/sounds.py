"""Procedural sounds: music-like, speech-like and environmental, each with words that are true of it.

Every kind takes two generators: `style` fixes timbre, voice, tempo and register, `content` the notes, syllables and
moments. Siblings share the style and differ in the content: the same jingle under other notes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.random import Generator

from models.synthetic import music, surroundings
from models.synthetic.notes import Made, pick
from models.synthetic.oscillators import (
    RATE,
    Samples,
    band,
    level,
    noise,
    room,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["RATE", "SOUNDS", "SyntheticSound", "generate_siblings", "generate_sound"]


@dataclass(frozen=True, slots=True)
class SyntheticSound:
    """A mono clip at `RATE`: samples (n,) float32 in [-1, 1], its kind, and English words that are true of it."""

    samples: NDArray[np.float32]
    kind: str
    qualities: tuple[str, ...]


_Kind: TypeAlias = Callable[[Generator, Generator, int], Made]


def _two(first: _Kind, second: _Kind, style: Generator, content: Generator, count: int) -> Made:
    one, words = first(style, content, count)
    other, more = second(style, content, count)
    quieter = np.float32(style.uniform(0.15, 0.7))
    return level(one) + level(other) * quieter, [*words[:2], "with", *more[:2]]


def _talk_over_music(style: Generator, content: Generator, count: int) -> Made:
    return _two(surroundings.speech, music.chords if style.random() < 0.5 else music.melody, style, content, count)


_PLACES = (
    surroundings.wind,
    surroundings.rain,
    surroundings.engine,
    surroundings.waves,
    surroundings.machine,
    surroundings.noise_band,
)
_EVENTS = (
    surroundings.steps,
    surroundings.animal,
    surroundings.birds,
    music.bells,
    surroundings.speech,
    music.alarm,
    music.siren,
)


def _scene(style: Generator, content: Generator, count: int) -> Made:
    event, background = _EVENTS[int(style.integers(len(_EVENTS)))], _PLACES[int(style.integers(len(_PLACES)))]
    samples, words = _two(event, background, style, content, count)
    return samples, ["outdoors", *words]


_KINDS: dict[str, _Kind] = {
    "melody": music.melody,
    "chords": music.chords,
    "drone": music.drone,
    "sweep": music.sweep,
    "siren": music.siren,
    "alarm": music.alarm,
    "noise-band": surroundings.noise_band,
    "drums": music.drums,
    "song": music.song,
    "bells": music.bells,
    "synthesiser": music.frequency_modulated,
    "engine": surroundings.engine,
    "machine": surroundings.machine,
    "wind": surroundings.wind,
    "waves": surroundings.waves,
    "rain": surroundings.rain,
    "fire": surroundings.fire,
    "steps": surroundings.steps,
    "birds": surroundings.birds,
    "insects": surroundings.insects,
    "animal": surroundings.animal,
    "speech": surroundings.speech,
    "singing": music.singing,
    "crowd": surroundings.crowd,
    "speech-over-music": _talk_over_music,
    "scene": _scene,
}
SOUNDS: tuple[str, ...] = tuple(_KINDS)
# Kinds whose content can be told apart by ear; two takes of the same rain cannot.
_TELLING: tuple[str, ...] = (
    *("melody", "chords", "alarm", "drums", "song", "song", "bells", "synthesiser", "machine", "birds", "animal"),
    *("speech", "speech", "speech", "singing", "speech-over-music"),
)
_WEIGHTS = np.array(
    [{"speech": 4.0, "song": 2.5, "scene": 2.5, "speech-over-music": 2.0}.get(k, 1.0) for k in SOUNDS]
)
_EDGES = np.cumsum(_WEIGHTS / _WEIGHTS.sum())


def _any_kind(rng: Generator) -> str:
    return SOUNDS[min(int(np.searchsorted(_EDGES, rng.random())), len(SOUNDS) - 1)]


def _recorded(content: Generator, samples: Samples) -> Samples:
    """What the place and the microphone add, and a level; silence gets a trace of noise so that it is a sound."""
    samples = level(np.nan_to_num(samples), 1.0)
    if content.random() < 0.3:
        samples = room(content, samples, float(content.uniform(0.1, 0.9)), float(content.uniform(0.05, 0.5)))
    if content.random() < 0.4:
        floor = noise(content, len(samples)) * np.float32(10 ** content.uniform(-4, -1.6))
        samples = samples + (floor if content.random() < 0.5 else band(floor, 0, 1500, order=1))
    return level(samples.astype(np.float32), float(10 ** content.uniform(-0.7, -0.02)))


def _generate(style: Generator, content: Generator, duration: float, kind: str) -> SyntheticSound:
    count = round(duration * RATE)
    samples, words = _KINDS[kind](style, content, count)
    return SyntheticSound(_recorded(content, samples), kind, tuple(dict.fromkeys(words)))


def generate_sound(rng: Generator, seconds: float = 5.0, kind: str | None = None) -> SyntheticSound:
    """One random sound.

    Args:
        rng: source of every choice; the same state gives the same sound.
        seconds: duration, at least a tenth of a second.
        kind: one of `SOUNDS`; None draws one.

    Raises:
        ValueError: an unknown kind, or a duration below a tenth of a second.
    """
    return _checked(rng, seconds, kind, rng)


def _checked(style: Generator, duration: float, kind: str | None, content: Generator) -> SyntheticSound:
    if duration < 0.1:
        raise ValueError(f"a sound of {duration} s is too short to synthesise; ask for at least 0.1 s")
    chosen = _any_kind(style) if kind is None else kind
    if chosen not in _KINDS:
        raise ValueError(f"unknown kind of sound {chosen!r}; the kinds are {', '.join(SOUNDS)}")
    return _generate(style, content, duration, chosen)


def generate_siblings(rng: Generator, count: int, seconds: float = 5.0) -> list[SyntheticSound]:
    """`count` sounds of one kind, timbre and tempo with different content: they must not count as the same sound."""
    kind, seed = pick(rng, _TELLING), int(rng.integers(2**62))
    return [_checked(np.random.default_rng(seed), seconds, kind, rng) for _ in range(count)]
