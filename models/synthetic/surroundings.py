"""Sounds of voices, animals, weather and machines. `style` fixes who or what sounds, `content` when and how."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.synthetic.notes import (
    Made,
    register,
    rhythm,
    speed,
)
from models.synthetic.oscillators import (
    RATE,
    Samples,
    band,
    convolve,
    level,
    noise,
    oscillate,
    place,
    pluck,
    scatter,
    seconds,
    shape,
    since_onset,
    wander,
)
from models.synthetic.speech import draw_voice, speak

if TYPE_CHECKING:
    from numpy.random import Generator


def noise_band(style: Generator, content: Generator, count: int) -> Made:
    """A band of noise in pulses or swells."""
    low = float(np.exp(style.uniform(np.log(60), np.log(4000))))
    wide = float(style.uniform(1.15, 4))
    source = band(noise(content, count), low, low * wide)
    a_second = float(np.exp(style.uniform(np.log(0.3), np.log(8))))
    if style.random() < 0.5:
        onsets = rhythm(content, count, a_second)
        age, _ = since_onset(onsets, count)
        source = source * pluck(age, 0.01, float(np.exp(style.uniform(-3, 0))), 0.02)
    else:
        source = source * (0.55 + 0.45 * wander(content, count, a_second))
    return source, ["noise", register(low), speed(a_second), "wide" if wide > 2 else "narrow"]


def engine(style: Generator, content: Generator, count: int) -> Made:
    """A motor whose turns wander."""
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
        register(base * 3),
    ]


def wind(style: Generator, content: Generator, count: int) -> Made:
    """Gusts, higher and louder together."""
    centre, gust = float(style.uniform(150, 900)), float(style.uniform(0.15, 1.0))
    source = noise(content, count)
    low, high = band(source, centre * 0.4, centre), band(source, centre, centre * 2.6)
    slow = 0.5 + 0.5 * wander(content, count, gust)
    mixed = low * (1.2 - slow) + high * slow**2 + np.float32(0.02) * source
    return mixed * (0.35 + 0.65 * slow), ["wind", "blowing", "slow" if gust < 0.5 else "gusty"]


def waves(style: Generator, content: Generator, count: int) -> Made:
    """Surf that swells and falls."""
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


def rain(style: Generator, content: Generator, count: int) -> Made:
    """Many drops over a bed of hiss."""
    a_second = float(np.exp(style.uniform(np.log(40), np.log(1500))))
    drops = _grains(style, content, count, a_second, (1200, 5000))
    bed = band(noise(content, count), style.uniform(400, 1500), 7900, order=1) * np.float32(style.uniform(0.01, 0.12))
    return drops + bed, ["rain", "water", "heavy" if a_second > 300 else "light"]


def fire(style: Generator, content: Generator, count: int) -> Made:
    """Crackles over a roar."""
    a_second = float(np.exp(style.uniform(np.log(4), np.log(60))))
    crackle = _grains(style, content, count, a_second, (1500, 6500))
    roar = band(noise(content, count), 40, style.uniform(200, 900)) * (0.6 + 0.4 * wander(content, count, 2))
    mixed = np.asarray(crackle + roar * style.uniform(0.02, 0.25), np.float32)
    return mixed, ["fire", "crackling", speed(a_second / 4)]


def steps(style: Generator, content: Generator, count: int) -> Made:
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
    return place(level(hit), onsets, levels, count), ["knocking", "steps", register(ring), speed(a_second)]


def birds(style: Generator, content: Generator, count: int) -> Made:
    """A motif of fast glides, repeated with rests."""
    base, a_second = float(style.uniform(1600, 4800)), float(style.uniform(3, 14))
    notes = int(content.integers(2, 6))
    motif = content.uniform(-0.6, 0.6, (notes, 2)).astype(np.float32)
    onsets = rhythm(content, count, a_second)
    age, which = since_onset(onsets, count)
    note = which % notes
    length = float(style.uniform(0.4, 0.95)) / a_second
    share = np.minimum(age / np.float32(length), np.float32(1))
    trill = np.float32(style.uniform(0, 0.12)) * np.sin(age * np.float32(2 * np.pi * style.uniform(15, 60)))
    hertz = base * np.exp2(motif[note, 0] + motif[note, 1] * share + trill)
    singing = (content.random(len(onsets)) < 0.75)[which]
    gate = np.sin(np.float32(np.pi) * share) * singing
    wave = oscillate(np.minimum(hertz, 7600), count, (1.0, float(style.uniform(0, 0.3))))
    return wave * gate.astype(np.float32), ["birds", "singing", "high", speed(a_second / 2)]


def insects(style: Generator, content: Generator, count: int) -> Made:
    """A high tone in pulses."""
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


def animal(style: Generator, content: Generator, count: int) -> Made:
    """Barks, moos and mews: a gliding throat with one or two resonances."""
    base, length = float(np.exp(style.uniform(np.log(90), np.log(700)))), float(style.uniform(0.12, 1.1))
    onsets = rhythm(content, count, float(style.uniform(0.5, 0.9)) / length)
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
    return voiced, ["animal", "calling", register(base), "short" if length < 0.4 else "long"]


def crowd(style: Generator, content: Generator, count: int) -> Made:
    """Many voices at once."""
    voices = speak(draw_voice(style), content, count)
    shift = content.integers(count // 8, max(count // 8 + 1, count - count // 8), size=int(style.integers(3, 8)))
    mixed = voices.copy()
    for move in shift.tolist():
        mixed += np.roll(voices[::-1] if move & 1 else voices, move) * np.float32(content.uniform(0.3, 0.9))
    return mixed + band(noise(content, count), 200, 3000) * np.float32(0.03), ["crowd", "voices", "people"]


def machine(style: Generator, content: Generator, count: int) -> Made:
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
    return track + hum * np.float32(style.uniform(0, 0.3)), ["machine", "mechanical", speed(a_second)]


def speech(style: Generator, content: Generator, count: int) -> Made:
    """One voice that says nothing."""
    voice = draw_voice(style)
    words = ["speech", "voice", "high" if voice.pitch > 160 else "low", speed(voice.pace)]
    return speak(voice, content, count), words
