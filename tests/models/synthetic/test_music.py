"""Sounds with notes."""

import numpy as np

from models.synthetic.music import drums, singing, sweep
from models.synthetic.oscillators import RATE


def test_drums_strike_on_a_grid() -> None:
    samples, words = drums(np.random.default_rng(0), np.random.default_rng(1), 4 * RATE)
    loudness = np.abs(samples).reshape(-1, 160).max(axis=1)
    assert np.percentile(loudness, 95) > 4 * np.percentile(loudness, 20)
    assert words[:2] == ["drums", "rhythm"]


def test_a_rising_sweep_rises() -> None:
    seed = next(
        s for s in range(50) if "rising" in sweep(np.random.default_rng(s), np.random.default_rng(s), RATE)[1]
    )
    samples, _ = sweep(np.random.default_rng(seed), np.random.default_rng(seed), 8 * RATE)
    frames = np.abs(np.fft.rfft(samples[: 8 * RATE].reshape(-1, 400) * np.hanning(400), axis=1))
    heard = frames.sum(axis=1) > 0.2 * frames.sum(axis=1).max()
    centre = (frames * np.arange(201)).sum(axis=1) / frames.sum(axis=1).clip(1e-9)
    steps = np.diff(centre)[heard[1:] & heard[:-1]]
    assert np.mean(steps > 0) > 0.6


def test_style_alone_decides_the_singers_words() -> None:
    first = singing(np.random.default_rng(5), np.random.default_rng(0), RATE)
    second = singing(np.random.default_rng(5), np.random.default_rng(1), RATE)
    assert first[1] == second[1]
    assert not np.array_equal(first[0], second[0])
