"""Sounds of voices, animals, weather and machines."""

import numpy as np

from models.synthetic.oscillators import RATE
from models.synthetic.surroundings import birds, fire, machine, rain


def centre(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples)) ** 2
    return float((spectrum * np.fft.rfftfreq(len(samples), 1 / RATE)).sum() / spectrum.sum())


def kurtosis(samples: np.ndarray) -> float:
    return float(np.mean(samples**4) / np.mean(samples**2) ** 2)


def test_birds_sing_high() -> None:
    heard = [birds(np.random.default_rng(s), np.random.default_rng(s), RATE)[0] for s in range(10)]
    assert np.median([centre(samples) for samples in heard]) > 1500


def test_fire_crackles_more_than_rain_falls() -> None:
    generators = [(np.random.default_rng(seed), np.random.default_rng(seed + 100)) for seed in range(10)]
    crackling = np.median([kurtosis(fire(style, content, RATE)[0]) for style, content in generators])
    falling = np.median([kurtosis(rain(style, content, RATE)[0]) for style, content in generators])
    assert crackling > 2 * falling


def test_a_machine_repeats_its_cycle() -> None:
    samples, _ = machine(np.random.default_rng(3), np.random.default_rng(4), 4 * RATE)
    spectrum = np.abs(np.fft.rfft(np.abs(samples), 8 * RATE)) ** 2
    correlation = np.fft.irfft(spectrum)[: 2 * RATE]
    assert correlation[RATE // 18 - 10 :].max() > 0.6 * correlation[0]
