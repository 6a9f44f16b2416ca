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

from models.synthetic.oscillators import (
    RATE,
    TIMBRES,
    Samples,
    band,
    convolve,
    level,
    noise,
    oscillate,
    place,
    pluck,
    room,
    scatter,
    seconds,
    shape,
    since_onset,
    wander,
)
from models.synthetic.speech import draw_voice, speak

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["RATE", "SOUNDS", "SyntheticSound", "generate_siblings", "generate_sound"]


@dataclass(frozen=True, slots=True)
class SyntheticSound:
    """A mono clip at `RATE`: samples (n,) float32 in [-1, 1], its kind, and English words that are true of it."""

    samples: NDArray[np.float32]
    kind: str
    qualities: tuple[str, ...]


_Made: TypeAlias = tuple[Samples, list[str]]
_Kind: TypeAlias = Callable[[Generator, Generator, int], _Made]
_SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9), (0, 3, 5, 7, 10), (0, 1, 4, 5, 7, 8, 10))
_NAMES = tuple(TIMBRES)


def _pick(rng: Generator, items: tuple[str, ...]) -> str:
    return items[int(rng.integers(len(items)))]


def _timbre(style: Generator) -> tuple[str, tuple[float, ...]]:
    name = _pick(style, _NAMES)
    amplitudes = np.asarray(TIMBRES[name]) * np.exp(style.normal(0, 0.35, len(TIMBRES[name])))
    return name, tuple(np.round(amplitudes, 2).tolist())


def _register(hertz: float) -> str:
    return "low" if hertz < 220 else "high" if hertz > 700 else "middle"


def _speed(a_second: float) -> str:
    return "slow" if a_second < 2.2 else "fast" if a_second > 5 else "steady"


def _pitches(content: Generator, scale: tuple[int, ...], count: int) -> NDArray[np.float64]:
    """A walk on the scale in semitones: mostly small steps, sometimes a leap."""
    steps = content.integers(-2, 3, count)
    steps[content.random(count) < 0.2] *= 3
    degrees = np.clip(np.cumsum(steps) + content.integers(0, 5), -5, 12)
    return np.asarray(np.asarray(scale)[degrees % len(scale)] + 12.0 * (degrees // len(scale)), np.float64)


def _rhythm(content: Generator, count: int, a_second: float) -> NDArray[np.int64]:
    beat = RATE / a_second
    lengths = content.choice([0.5, 1.0, 1.0, 1.5, 2.0], size=int(count / beat * 1.6) + 4) * beat
    onsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return onsets[onsets < count - 200]


def _line(style: Generator, content: Generator, count: int, root: float, a_second: float) -> _Made:
    name, amplitudes = _timbre(style)
    attack, decay = float(style.uniform(0.004, 0.08)), float(np.exp(style.uniform(-2.2, 1.0)))
    scale = _SCALES[int(style.integers(len(_SCALES)))]
    depth, speed = float(style.uniform(0, 0.012)), float(style.uniform(4, 7))
    onsets = _rhythm(content, count, a_second)
    age, which = since_onset(onsets, count)
    hertz = root * np.exp2(_pitches(content, scale, len(onsets)) / 12)
    bend = 1 + np.float32(depth) * np.sin(seconds(count) * np.float32(2 * np.pi * speed))
    wave = oscillate(hertz[which] * bend, count, amplitudes)
    louder = content.uniform(0.5, 1.0, len(onsets)).astype(np.float32)
    return wave * pluck(age, attack, decay, 0.05) * louder[which], [name, _register(root)]


def _melody(style: Generator, content: Generator, count: int) -> _Made:
    root, a_second = float(np.exp(style.uniform(np.log(110), np.log(900)))), float(style.uniform(1.5, 8))
    samples, words = _line(style, content, count, root, a_second)
    return samples, ["melody", *words, _speed(a_second)]


def _chords(style: Generator, content: Generator, count: int) -> _Made:
    name, amplitudes = _timbre(style)
    root, a_second = float(np.exp(style.uniform(np.log(90), np.log(400)))), float(style.uniform(0.4, 2.5))
    attack, decay = float(style.uniform(0.01, 0.3)), float(np.exp(style.uniform(-1.0, 1.5)))
    onsets = _rhythm(content, count, a_second)
    age, which = since_onset(onsets, count)
    minor = content.random(len(onsets)) < 0.5
    base = content.choice([0, 2, 4, 5, 7, 9, -3], size=len(onsets))
    mixed = np.zeros(count, np.float32)
    for third in (np.zeros(len(onsets)), np.where(minor, 3, 4), np.full(len(onsets), 7)):
        hertz = root * np.exp2((base + third + style.normal(0, 0.03)) / 12)
        mixed += oscillate(hertz[which], count, amplitudes)
    return mixed * pluck(age, attack, decay, 0.15), ["chords", name, _register(root), _speed(a_second)]


def _drone(style: Generator, content: Generator, count: int) -> _Made:
    name, amplitudes = _timbre(style)
    root = float(np.exp(style.uniform(np.log(60), np.log(1500))))
    ratios = content.choice([1.0, 1.25, 1.333, 1.5, 2.0, 2.5, 3.0], size=int(content.integers(1, 4)), replace=False)
    mixed = np.zeros(count, np.float32)
    for ratio in ratios.tolist():
        mixed += oscillate(root * ratio, count, amplitudes) * (0.6 + 0.4 * wander(content, count, 0.8))
    return mixed, ["drone", name, _register(root), "long"]


def _sweep(style: Generator, content: Generator, count: int) -> _Made:
    _, amplitudes = _timbre(style)
    a_second = float(np.exp(style.uniform(np.log(0.25), np.log(6))))
    low = float(np.exp(style.uniform(np.log(120), np.log(1500))))
    rising = bool(style.random() < 0.5)
    period = RATE / a_second
    onsets = np.arange(0, count, period).astype(np.int64)
    age, which = since_onset(onsets, count)
    share = np.minimum(age * np.float32(a_second), np.float32(1))
    octaves = content.uniform(0.5, 2.6, len(onsets)) if content.random() < 0.5 else content.uniform(0.5, 2.6)
    octaves = np.broadcast_to(octaves, onsets.shape)[which]
    bow = np.float32(np.exp(content.uniform(-0.9, 0.9)))
    hertz = low * np.exp2(octaves * (share if rising else 1 - share) ** bow)
    gate = np.minimum(1, (1 - share) * 12) * np.minimum(1, share * 30)
    wave = oscillate(np.minimum(hertz, 7500), count, amplitudes) * gate.astype(np.float32)
    return wave, ["sweep", "rising" if rising else "falling", _register(low), _speed(a_second * 3)]


def _siren(style: Generator, content: Generator, count: int) -> _Made:
    _, amplitudes = _timbre(style)
    speed, centre = float(np.exp(style.uniform(np.log(0.2), np.log(5)))), float(style.uniform(400, 1400))
    time = seconds(count) + np.float32(content.uniform(0, 5))
    turn = np.sin(time * np.float32(2 * np.pi * speed))
    if style.random() < 0.4:
        turn = np.sign(turn)
    depth = content.uniform(0.2, 0.7) * (1 + 0.3 * wander(content, count, 0.7))
    wave = oscillate(centre * np.exp2(depth * turn), count, amplitudes)
    return wave, ["siren", "loud", _register(centre), _speed(speed * 3)]


def _alarm(style: Generator, content: Generator, count: int) -> _Made:
    _, amplitudes = _timbre(style)
    a_second, base = float(style.uniform(2, 12)), float(style.uniform(500, 3200))
    cell = content.random(int(content.integers(3, 11))) < 0.65
    cell[0] = True
    tones = base * np.exp2(content.choice([0, 0, 3, 4, 7, 12], size=len(cell)) / 12)
    age, which = since_onset(np.arange(0, count, RATE / a_second).astype(np.int64), count)
    step = which % len(cell)
    on = cell[step] & (age < 0.75 / a_second)
    wave = oscillate(np.minimum(tones[step], 7000), count, amplitudes)
    return wave * on.astype(np.float32), ["alarm", "beeping", _register(base), _speed(a_second)]


def _noise_band(style: Generator, content: Generator, count: int) -> _Made:
    low = float(np.exp(style.uniform(np.log(60), np.log(4000))))
    wide = float(style.uniform(1.15, 4))
    source = band(noise(content, count), low, low * wide)
    a_second = float(np.exp(style.uniform(np.log(0.3), np.log(8))))
    if style.random() < 0.5:
        onsets = _rhythm(content, count, a_second)
        age, _ = since_onset(onsets, count)
        source = source * pluck(age, 0.01, float(np.exp(style.uniform(-3, 0))), 0.02)
    else:
        source = source * (0.55 + 0.45 * wander(content, count, a_second))
    return source, ["noise", _register(low), _speed(a_second), "wide" if wide > 2 else "narrow"]


def _kit(style: Generator) -> tuple[Samples, Samples, Samples]:
    """A bass drum, a snare and a hi-hat."""
    size = RATE // 4
    time = seconds(size)
    fall = style.uniform(40, 75) * (1 + style.uniform(1, 4) * np.exp(time * np.float32(-style.uniform(15, 40))))
    kick = oscillate(fall, size, (1.0, 0.2)) * np.exp(time * np.float32(-style.uniform(8, 25)))
    hiss = band(noise(style, size), style.uniform(700, 2500), 7900) * np.exp(
        time * np.float32(-style.uniform(14, 40))
    )
    snare = hiss * 0.5 + 0.5 * oscillate(style.uniform(150, 320), size, (1.0, 0.4)) * np.exp(time * np.float32(-25))
    hat = band(noise(style, size), style.uniform(3500, 6500), 9000) * np.exp(
        time * np.float32(-style.uniform(25, 90))
    )
    return level(kick), level(snare), level(hat)


def _drum_track(style: Generator, content: Generator, count: int, a_second: float) -> Samples:
    pattern = int(content.choice([8, 12, 16]))
    steps = np.arange(0, count, RATE / a_second)
    mixed = np.zeros(count, np.float32)
    for hit, share, louder in zip(_kit(style), (0.3, 0.25, 0.6), (1.0, 0.8, 0.4), strict=True):
        bar = content.random(pattern) < share
        if louder == 1.0:
            bar[0] = True
        chosen = np.flatnonzero(bar[np.arange(len(steps)) % pattern])
        onsets = (steps[chosen] + content.normal(0, 30, len(chosen))).clip(0, count - 1).astype(np.int64)
        mixed += place(hit, onsets, louder * content.uniform(0.6, 1, len(chosen)), count)
    return mixed


def _drums(style: Generator, content: Generator, count: int) -> _Made:
    a_second = float(style.uniform(3, 11))
    return _drum_track(style, content, count, a_second), ["drums", "rhythm", _speed(a_second / 2)]


def _song(style: Generator, content: Generator, count: int) -> _Made:
    """Drums, bass and a melody or a voice at one tempo."""
    a_second = float(style.uniform(3, 9))
    drums = _drum_track(style, content, count, a_second) * np.float32(style.uniform(0.2, 0.9))
    bass, _ = _line(style, content, count, float(style.uniform(50, 110)), a_second / 2)
    lead, words = _line(style, content, count, float(style.uniform(220, 700)), a_second / float(style.choice([1, 2])))
    shares = style.uniform(0.25, 0.9, 2).astype(np.float32)
    return drums + bass * shares[0] + lead * shares[1], ["song", "music", *words, _speed(a_second / 2)]


def _bells(style: Generator, content: Generator, count: int) -> _Made:
    root, a_second = float(np.exp(style.uniform(np.log(200), np.log(1800)))), float(style.uniform(0.6, 4))
    ratios = np.sort(style.uniform(0.5, 5.5, 5)) if style.random() < 0.5 else np.array([0.5, 1, 1.19, 1.5, 2.0])
    onsets = _rhythm(content, count, a_second)
    age, which = since_onset(onsets, count)
    hertz = (root * np.exp2(_pitches(content, _SCALES[2], len(onsets)) / 12))[which]
    ringing = float(style.uniform(0.2, 1.6))
    mixed = np.zeros(count, np.float32)
    for order, ratio in enumerate(ratios.tolist()):
        partial = oscillate(np.minimum(hertz * ratio, 7600), count, (1.0,))
        mixed += partial * pluck(age, 0.002, ringing / (1 + 0.7 * order)) / np.float32(1 + 0.5 * order)
    return mixed, ["bells", "ringing", _register(root), _speed(a_second)]


def _frequency_modulated(style: Generator, content: Generator, count: int) -> _Made:
    root, a_second = float(np.exp(style.uniform(np.log(80), np.log(900)))), float(style.uniform(0.8, 7))
    ratio, depth = float(style.choice([0.5, 1, 1.41, 2, 3.5, 5.07])), float(style.uniform(0.5, 6))
    onsets = _rhythm(content, count, a_second)
    age, which = since_onset(onsets, count)
    hertz = (root * np.exp2(_pitches(content, _SCALES[3], len(onsets)) / 12))[which]
    fade = pluck(age, 0.005, float(style.uniform(0.1, 1.5)), 0.1)
    carrier = hertz * (1 + depth * ratio * fade * oscillate(hertz * ratio, count, (1.0,)))
    wave = oscillate(np.clip(carrier, -7500, 7500), count, (1.0,))
    return wave * fade, ["synthesiser", "metallic", _register(root), _speed(a_second)]


def _engine(style: Generator, content: Generator, count: int) -> _Made:
    base = float(np.exp(style.uniform(np.log(18), np.log(160))))
    turns = base * np.exp2(float(style.uniform(0.05, 0.7)) * wander(content, count, float(style.uniform(0.2, 1.2))))
    harmonics = tuple(np.round(np.exp(style.normal(0, 0.7, 40)) / np.arange(1, 41) ** style.uniform(0.3, 1.2), 2))
    wave = oscillate(turns, count, harmonics)
    rumble = band(noise(content, count), 40, style.uniform(600, 4000), order=1)
    pulse = 1 + np.float32(0.7) * oscillate(turns, count, (1.0,))
    mixed = np.asarray(wave + rumble * pulse * style.uniform(0.05, 0.6), np.float32)
    points = np.linspace(0, 8000, 10)
    return shape(mixed, points, np.exp(style.normal(0, 0.8, 10)) * np.exp(-points / 3500)), [
        "engine",
        "motor",
        "rumbling" if base < 50 else "humming",
        _register(base * 3),
    ]


def _wind(style: Generator, content: Generator, count: int) -> _Made:
    centre, gust = float(style.uniform(150, 900)), float(style.uniform(0.15, 1.0))
    source = noise(content, count)
    low, high = band(source, centre * 0.4, centre), band(source, centre, centre * 2.6)
    slow = 0.5 + 0.5 * wander(content, count, gust)
    mixed = low * (1.2 - slow) + high * slow**2 + np.float32(0.02) * source
    return mixed * (0.35 + 0.65 * slow), ["wind", "blowing", "slow" if gust < 0.5 else "gusty"]


def _waves(style: Generator, content: Generator, count: int) -> _Made:
    period = float(style.uniform(1.2, 5))
    turn = np.sin(seconds(count) * np.float32(2 * np.pi / period) + np.float32(content.uniform(0, 6.28)))
    swell = np.exp(1.6 * (turn + 0.5 * wander(content, count, 0.8)) - 1.6)
    source = shape(noise(content, count), np.array([0, 200, 900, 3000, 8000]), style.uniform(0.05, 1, 5))
    return source * swell.astype(np.float32), ["waves", "water", "sea", "slow" if period > 2.5 else "steady"]


def _grains(style: Generator, content: Generator, count: int, a_second: float, hertz: tuple[float, float]) -> Samples:
    size = int(style.uniform(0.004, 0.05) * RATE)
    ring = style.uniform(*hertz)
    grain = band(noise(style, size), ring * 0.6, ring * 1.8) * np.exp(seconds(size) * np.float32(-6 * RATE / size))
    return level(convolve(scatter(content, count, a_second, float(style.uniform(0.3, 1.1))), grain))


def _rain(style: Generator, content: Generator, count: int) -> _Made:
    a_second = float(np.exp(style.uniform(np.log(40), np.log(1500))))
    drops = _grains(style, content, count, a_second, (1200, 5000))
    bed = band(noise(content, count), style.uniform(400, 1500), 7900, order=1) * np.float32(style.uniform(0.01, 0.12))
    return drops + bed, ["rain", "water", "heavy" if a_second > 300 else "light"]


def _fire(style: Generator, content: Generator, count: int) -> _Made:
    a_second = float(np.exp(style.uniform(np.log(4), np.log(60))))
    crackle = _grains(style, content, count, a_second, (1500, 6500))
    roar = band(noise(content, count), 40, style.uniform(200, 900)) * (0.6 + 0.4 * wander(content, count, 2))
    mixed = np.asarray(crackle + roar * style.uniform(0.02, 0.25), np.float32)
    return mixed, ["fire", "crackling", _speed(a_second / 4)]


def _steps(style: Generator, content: Generator, count: int) -> _Made:
    """Footsteps, knocks, a clock: alike impacts in time."""
    a_second, ring = float(style.uniform(0.8, 6)), float(np.exp(style.uniform(np.log(90), np.log(3500))))
    size = int(style.uniform(0.03, 0.2) * RATE)
    time = seconds(size)
    body = oscillate(ring, size, (1.0, 0.4, 0.3)) * np.float32(style.uniform(0.1, 1))
    hit = (body + band(noise(style, size), ring * 0.5, ring * 3)) * np.exp(time * np.float32(-6 * RATE / size))
    gaps = (
        RATE / a_second * np.exp(content.normal(0, float(style.uniform(0, 0.35)), int(count * a_second / RATE) + 3))
    )
    onsets = (np.cumsum(gaps) - gaps[0]).astype(np.int64)
    onsets = onsets[onsets < count]
    levels = content.uniform(0.4, 1.0, len(onsets))
    return place(level(hit), onsets, levels, count), ["knocking", "steps", _register(ring), _speed(a_second)]


def _birds(style: Generator, content: Generator, count: int) -> _Made:
    base, a_second = float(style.uniform(1600, 4800)), float(style.uniform(3, 14))
    notes = int(content.integers(2, 6))
    motif = content.uniform(-0.6, 0.6, (notes, 2)).astype(np.float32)
    onsets = _rhythm(content, count, a_second)
    age, which = since_onset(onsets, count)
    note = which % notes
    length = float(style.uniform(0.4, 0.95)) / a_second
    share = np.minimum(age / np.float32(length), np.float32(1))
    trill = np.float32(style.uniform(0, 0.12)) * np.sin(age * np.float32(2 * np.pi * style.uniform(15, 60)))
    hertz = base * np.exp2(motif[note, 0] + motif[note, 1] * share + trill)
    singing = (content.random(len(onsets)) < 0.75)[which]
    gate = np.sin(np.float32(np.pi) * share) * singing
    wave = oscillate(np.minimum(hertz, 7600), count, (1.0, float(style.uniform(0, 0.3))))
    return wave * gate.astype(np.float32), ["birds", "singing", "high", _speed(a_second / 2)]


def _insects(style: Generator, content: Generator, count: int) -> _Made:
    hertz, a_second = float(style.uniform(2200, 6500)), float(style.uniform(8, 60))
    carrier = oscillate(hertz * (1 + 0.01 * wander(content, count, 3)), count, (1.0, 0.2))
    turn = np.sin(seconds(count) * np.float32(2 * np.pi * a_second))
    burst = np.maximum(0, turn) ** 2 * (
        wander(content, count, float(style.uniform(0.5, 3))) > content.uniform(-0.9, 0.2)
    )
    return carrier * burst.astype(np.float32) + np.float32(0.02) * noise(content, count), [
        "insects",
        "chirping",
        "high",
    ]


def _animal(style: Generator, content: Generator, count: int) -> _Made:
    """Barks, moos and mews: a gliding throat with one or two resonances."""
    base, length = float(np.exp(style.uniform(np.log(90), np.log(700)))), float(style.uniform(0.12, 1.1))
    onsets = _rhythm(content, count, float(style.uniform(0.5, 0.9)) / length)
    age, which = since_onset(onsets, count)
    share = np.minimum(age / np.float32(length), np.float32(1))
    rise = content.uniform(-0.5, 0.5, (len(onsets), 2)).astype(np.float32)
    hertz = base * np.exp2(rise[which, 0] + rise[which, 1] * share + 0.7 * np.sin(np.float32(np.pi) * share))
    throat = oscillate(hertz, count, tuple(1.0 / k**0.8 for k in range(1, 33)))
    rough = throat * (1 + np.float32(style.uniform(0, 0.8)) * noise(content, count))
    heard = (content.random(len(onsets)) < 0.7)[which]
    heard[: onsets[1] if len(onsets) > 1 else count] = True
    points = np.array([0, base, 3 * base, 6 * base, 12 * base, 20000])
    voiced = shape(rough * np.sin(np.float32(np.pi) * share) * heard, points, style.uniform(0.02, 1, 6))
    return voiced, ["animal", "calling", _register(base), "short" if length < 0.4 else "long"]


def _speech(style: Generator, content: Generator, count: int) -> _Made:
    voice = draw_voice(style)
    words = ["speech", "voice", "high" if voice.pitch > 160 else "low", _speed(voice.pace)]
    return speak(voice, content, count), words


def _singing(style: Generator, content: Generator, count: int) -> _Made:
    """A held vowel on the notes of a melody."""
    root, a_second = float(style.uniform(110, 500)), float(style.uniform(1.2, 4))
    onsets = _rhythm(content, count, a_second)
    age, which = since_onset(onsets, count)
    hertz = (root * np.exp2(_pitches(content, _SCALES[0], len(onsets)) / 12))[which]
    bend = 1 + np.float32(0.015) * np.sin(seconds(count) * np.float32(2 * np.pi * style.uniform(4.5, 6.5)))
    throat = oscillate(hertz * bend, count, tuple(1.0 / k**1.2 for k in range(1, 40)))
    first, second = style.uniform(300, 850), style.uniform(900, 2300)
    points = np.array([0, first * 0.7, first, first * 1.4, second * 0.85, second, second * 1.2, 2700, 3300, 8000])
    gains = np.array([0.4, 0.5, 2.0, 0.4, 0.2, 1.2, 0.15, 0.5, 0.1, 0.02])
    return shape(throat * pluck(age, 0.06, 1.5, 0.3), points, gains), [
        "singing",
        "voice",
        _register(root),
        _speed(a_second),
    ]


def _crowd(style: Generator, content: Generator, count: int) -> _Made:
    voices = speak(draw_voice(style), content, count)
    shift = content.integers(count // 8, max(count // 8 + 1, count - count // 8), size=int(style.integers(3, 8)))
    mixed = voices.copy()
    for move in shift.tolist():
        mixed += np.roll(voices[::-1] if move & 1 else voices, move) * np.float32(content.uniform(0.3, 0.9))
    return mixed + band(noise(content, count), 200, 3000) * np.float32(0.03), ["crowd", "voices", "people"]


def _machine(style: Generator, content: Generator, count: int) -> _Made:
    """A short random grain repeated in a cycle: printers, presses, washing machines, keyboards."""
    a_second = float(np.exp(style.uniform(np.log(1), np.log(18))))
    period = int(RATE / a_second)
    cycle = np.zeros(period, np.float32)
    for _ in range(int(content.integers(2, 6))):
        ring, size = float(np.exp(style.uniform(np.log(120), np.log(6000)))), int(style.uniform(0.15, 0.7) * period)
        grain = band(noise(content, max(size, 64)), ring * 0.7, ring * 1.5)
        grain *= np.exp(seconds(len(grain)) * np.float32(-4 * RATE / len(grain)))
        start = int(content.integers(0, period))
        cut = grain[: period - start]
        cycle[start : start + len(cut)] += level(cut, float(content.uniform(0.3, 1)))
    track = np.resize(cycle, count) * (0.75 + 0.25 * wander(content, count, 2))
    hum = oscillate(float(style.choice([50, 60, 100, 120, 240])), count, (1.0, 0.5, 0.3, 0.2))
    return track + hum * np.float32(style.uniform(0, 0.3)), ["machine", "mechanical", _speed(a_second)]


def _two(first: _Kind, second: _Kind, style: Generator, content: Generator, count: int) -> _Made:
    one, words = first(style, content, count)
    other, more = second(style, content, count)
    quieter = np.float32(style.uniform(0.15, 0.7))
    return level(one) + level(other) * quieter, [*words[:2], "with", *more[:2]]


def _talk_over_music(style: Generator, content: Generator, count: int) -> _Made:
    return _two(_speech, _chords if style.random() < 0.5 else _melody, style, content, count)


_PLACES = (_wind, _rain, _engine, _waves, _machine, _noise_band)
_EVENTS = (_steps, _animal, _birds, _bells, _speech, _alarm, _siren)


def _scene(style: Generator, content: Generator, count: int) -> _Made:
    event, background = _EVENTS[int(style.integers(len(_EVENTS)))], _PLACES[int(style.integers(len(_PLACES)))]
    samples, words = _two(event, background, style, content, count)
    return samples, ["outdoors", *words]


_KINDS: dict[str, _Kind] = {
    "melody": _melody,
    "chords": _chords,
    "drone": _drone,
    "sweep": _sweep,
    "siren": _siren,
    "alarm": _alarm,
    "noise-band": _noise_band,
    "drums": _drums,
    "song": _song,
    "bells": _bells,
    "synthesiser": _frequency_modulated,
    "engine": _engine,
    "machine": _machine,
    "wind": _wind,
    "waves": _waves,
    "rain": _rain,
    "fire": _fire,
    "steps": _steps,
    "birds": _birds,
    "insects": _insects,
    "animal": _animal,
    "speech": _speech,
    "singing": _singing,
    "crowd": _crowd,
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
    kind, seed = _pick(rng, _TELLING), int(rng.integers(2**62))
    return [_checked(np.random.default_rng(seed), seconds, kind, rng) for _ in range(count)]
