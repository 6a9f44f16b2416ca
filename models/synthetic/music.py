"""Sounds with notes: melodies, songs, drums, bells, sirens. `style` fixes the instrument, `content` the notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.synthetic.notes import (
    SCALES,
    Made,
    line,
    pitches,
    register,
    rhythm,
    speed,
    timbre,
)
from models.synthetic.oscillators import (
    RATE,
    Samples,
    band,
    level,
    noise,
    oscillate,
    place,
    pluck,
    seconds,
    shape,
    since_onset,
    wander,
)

if TYPE_CHECKING:
    from numpy.random import Generator


def melody(style: Generator, content: Generator, count: int) -> Made:
    """One voice on a scale."""
    root, a_second = float(np.exp(style.uniform(np.log(110), np.log(900)))), float(style.uniform(1.5, 8))
    samples, words = line(style, content, count, root, a_second)
    return samples, ["melody", *words, speed(a_second)]


def chords(style: Generator, content: Generator, count: int) -> Made:
    """Major and minor triads."""
    name, amplitudes = timbre(style)
    root, a_second = float(np.exp(style.uniform(np.log(90), np.log(400)))), float(style.uniform(0.4, 2.5))
    attack, decay = float(style.uniform(0.01, 0.3)), float(np.exp(style.uniform(-1.0, 1.5)))
    onsets = rhythm(content, count, a_second)
    age, which = since_onset(onsets, count)
    minor = content.random(len(onsets)) < 0.5
    base = content.choice([0, 2, 4, 5, 7, 9, -3], size=len(onsets))
    mixed = np.zeros(count, np.float32)
    for third in (np.zeros(len(onsets)), np.where(minor, 3, 4), np.full(len(onsets), 7)):
        hertz = root * np.exp2((base + third + style.normal(0, 0.03)) / 12)
        mixed += oscillate(hertz[which], count, amplitudes)
    return mixed * pluck(age, attack, decay, 0.15), ["chords", name, register(root), speed(a_second)]


def drone(style: Generator, content: Generator, count: int) -> Made:
    """A long tone of one to three steady notes."""
    name, amplitudes = timbre(style)
    root = float(np.exp(style.uniform(np.log(60), np.log(1500))))
    ratios = content.choice([1.0, 1.25, 1.333, 1.5, 2.0, 2.5, 3.0], size=int(content.integers(1, 4)), replace=False)
    mixed = np.zeros(count, np.float32)
    for ratio in ratios.tolist():
        mixed += oscillate(root * ratio, count, amplitudes) * (0.6 + 0.4 * wander(content, count, 0.8))
    return mixed, ["drone", name, register(root), "long"]


def sweep(style: Generator, content: Generator, count: int) -> Made:
    """Tones that glide up, or down, again and again."""
    _, amplitudes = timbre(style)
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
    return wave, ["sweep", "rising" if rising else "falling", register(low), speed(a_second * 3)]


def siren(style: Generator, content: Generator, count: int) -> Made:
    """A tone that wails between two pitches."""
    _, amplitudes = timbre(style)
    turns, centre = float(np.exp(style.uniform(np.log(0.2), np.log(5)))), float(style.uniform(400, 1400))
    time = seconds(count) + np.float32(content.uniform(0, 5))
    turn = np.sin(time * np.float32(2 * np.pi * turns))
    if style.random() < 0.4:
        turn = np.sign(turn)
    depth = content.uniform(0.2, 0.7) * (1 + 0.3 * wander(content, count, 0.7))
    wave = oscillate(centre * np.exp2(depth * turn), count, amplitudes)
    return wave, ["siren", "loud", register(centre), speed(turns * 3)]


def alarm(style: Generator, content: Generator, count: int) -> Made:
    """A repeating pattern of beeps."""
    _, amplitudes = timbre(style)
    a_second, base = float(style.uniform(2, 12)), float(style.uniform(500, 3200))
    cell = content.random(int(content.integers(3, 11))) < 0.65
    cell[0] = True
    tones = base * np.exp2(content.choice([0, 0, 3, 4, 7, 12], size=len(cell)) / 12)
    age, which = since_onset(np.arange(0, count, RATE / a_second).astype(np.int64), count)
    step = which % len(cell)
    on = cell[step] & (age < 0.75 / a_second)
    wave = oscillate(np.minimum(tones[step], 7000), count, amplitudes)
    return wave * on.astype(np.float32), ["alarm", "beeping", register(base), speed(a_second)]


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


def drums(style: Generator, content: Generator, count: int) -> Made:
    """A bar of bass drum, snare and hi-hat, repeated."""
    a_second = float(style.uniform(3, 11))
    return _drum_track(style, content, count, a_second), ["drums", "rhythm", speed(a_second / 2)]


def song(style: Generator, content: Generator, count: int) -> Made:
    """Drums, bass and a melody or a voice at one tempo."""
    a_second = float(style.uniform(3, 9))
    drums = _drum_track(style, content, count, a_second) * np.float32(style.uniform(0.2, 0.9))
    bass, _ = line(style, content, count, float(style.uniform(50, 110)), a_second / 2)
    lead, words = line(style, content, count, float(style.uniform(220, 700)), a_second / float(style.choice([1, 2])))
    shares = style.uniform(0.25, 0.9, 2).astype(np.float32)
    return drums + bass * shares[0] + lead * shares[1], ["song", "music", *words, speed(a_second / 2)]


def bells(style: Generator, content: Generator, count: int) -> Made:
    """Struck bells or bars with inharmonic partials."""
    root, a_second = float(np.exp(style.uniform(np.log(200), np.log(1800)))), float(style.uniform(0.6, 4))
    ratios = np.sort(style.uniform(0.5, 5.5, 5)) if style.random() < 0.5 else np.array([0.5, 1, 1.19, 1.5, 2.0])
    onsets = rhythm(content, count, a_second)
    age, which = since_onset(onsets, count)
    hertz = (root * np.exp2(pitches(content, SCALES[2], len(onsets)) / 12))[which]
    ringing = float(style.uniform(0.2, 1.6))
    mixed = np.zeros(count, np.float32)
    for order, ratio in enumerate(ratios.tolist()):
        partial = oscillate(np.minimum(hertz * ratio, 7600), count, (1.0,))
        mixed += partial * pluck(age, 0.002, ringing / (1 + 0.7 * order)) / np.float32(1 + 0.5 * order)
    return mixed, ["bells", "ringing", register(root), speed(a_second)]


def frequency_modulated(style: Generator, content: Generator, count: int) -> Made:
    """Notes of an electric piano, brass or metal, by frequency modulation."""
    root, a_second = float(np.exp(style.uniform(np.log(80), np.log(900)))), float(style.uniform(0.8, 7))
    ratio, depth = float(style.choice([0.5, 1, 1.41, 2, 3.5, 5.07])), float(style.uniform(0.5, 6))
    onsets = rhythm(content, count, a_second)
    age, which = since_onset(onsets, count)
    hertz = (root * np.exp2(pitches(content, SCALES[3], len(onsets)) / 12))[which]
    fade = pluck(age, 0.005, float(style.uniform(0.1, 1.5)), 0.1)
    carrier = hertz * (1 + depth * ratio * fade * oscillate(hertz * ratio, count, (1.0,)))
    wave = oscillate(np.clip(carrier, -7500, 7500), count, (1.0,))
    return wave * fade, ["synthesiser", "metallic", register(root), speed(a_second)]


def singing(style: Generator, content: Generator, count: int) -> Made:
    """A held vowel on the notes of a melody."""
    root, a_second = float(style.uniform(110, 500)), float(style.uniform(1.2, 4))
    onsets = rhythm(content, count, a_second)
    age, which = since_onset(onsets, count)
    hertz = (root * np.exp2(pitches(content, SCALES[0], len(onsets)) / 12))[which]
    bend = 1 + np.float32(0.015) * np.sin(seconds(count) * np.float32(2 * np.pi * style.uniform(4.5, 6.5)))
    throat = oscillate(hertz * bend, count, tuple(1.0 / k**1.2 for k in range(1, 40)))
    first, second = style.uniform(300, 850), style.uniform(900, 2300)
    points = np.array([0, first * 0.7, first, first * 1.4, second * 0.85, second, second * 1.2, 2700, 3300, 8000])
    gains = np.array([0.4, 0.5, 2.0, 0.4, 0.2, 1.2, 0.15, 0.5, 0.1, 0.02])
    return shape(throat * pluck(age, 0.06, 1.5, 0.3), points, gains), [
        "singing",
        "voice",
        register(root),
        speed(a_second),
    ]
