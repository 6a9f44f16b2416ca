"""What reposting does to a recording."""

import numpy as np
import pytest
from numpy.typing import NDArray

from models.synthetic.oscillators import RATE, oscillate
from models.synthetic.sound_variants import HELD_OUT, TRAINED, pitch_shifted, stretched, view, with_noise
from models.synthetic.sounds import generate_sound

TABLES = {**TRAINED, **HELD_OUT}


def hertz(samples: NDArray[np.float32]) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.fft.rfftfreq(len(samples), 1 / RATE)[spectrum.argmax()])


@pytest.mark.parametrize("name", TABLES)
def test_a_variant_changes_the_sound_and_stays_within_full_scale(name: str) -> None:
    sound = generate_sound(np.random.default_rng(1), 2.0, "song").samples
    before = sound.copy()
    varied = TABLES[name](sound, np.random.default_rng(2))
    assert varied.dtype == np.float32
    assert np.isfinite(varied).all()
    assert np.abs(varied).max() <= 1.0001
    assert varied.shape != sound.shape or not np.array_equal(varied, sound)
    np.testing.assert_array_equal(sound, before)


@pytest.mark.parametrize("name", TABLES)
def test_a_variant_repeats_for_the_same_state(name: str) -> None:
    sound = generate_sound(np.random.default_rng(1), 1.0, "melody").samples
    first, second = (TABLES[name](sound, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_held_out_variants_are_not_trained_ones() -> None:
    assert len(HELD_OUT) >= 2
    assert not set(HELD_OUT) & set(TRAINED)


def test_pitch_moves_and_the_tempo_stays() -> None:
    shifted = pitch_shifted(oscillate(440.0, 3 * RATE, (1.0,)), 2.0)
    assert abs(hertz(shifted) - 440 * 2 ** (2 / 12)) < 6
    assert abs(len(shifted) / (3 * RATE) - 1) < 0.06


def test_the_tempo_moves_and_the_pitch_stays() -> None:
    faster = stretched(oscillate(440.0, 3 * RATE, (1.0,)), 1.25)
    assert abs(hertz(faster) - 440) < 4
    assert abs(len(faster) / (3 * RATE) - 0.8) < 0.05


def test_noise_lies_the_asked_decibels_below() -> None:
    tone = oscillate(440.0, RATE, (1.0,)) * np.float32(0.3)
    added = with_noise(tone, np.random.default_rng(0), 10.0) - tone
    assert abs(10 * np.log10(np.mean(tone**2) / np.mean(added**2)) - 10) < 0.5


@pytest.mark.parametrize("strength", ["light", "heavy"])
@pytest.mark.parametrize("seconds", [0.5, 2.0, 5.0])
def test_views_have_the_asked_length(strength: str, seconds: float) -> None:
    sound = generate_sound(np.random.default_rng(3), seconds).samples
    for seed in range(25):
        seen = view(sound, np.random.default_rng(seed), 2 * RATE, strength, [sound[::-1].copy()])  # type: ignore[arg-type]
        assert seen.shape == (2 * RATE,)
        assert seen.dtype == np.float32
        assert np.abs(seen).max() <= 1.0001


def test_light_views_stay_closer_than_heavy_ones() -> None:
    def spectrum(samples: NDArray[np.float32]) -> NDArray[np.float64]:
        bands = np.log(np.array([part.mean() for part in np.array_split(np.abs(np.fft.rfft(samples)), 40)]) + 1e-3)
        levelled: NDArray[np.float64] = bands - bands.mean()
        return levelled

    moved: dict[str, list[float]] = {"light": [], "heavy": []}
    for seed in range(30):
        sound = generate_sound(np.random.default_rng(seed), 3.0).samples
        for strength, distances in moved.items():
            seen = view(sound, np.random.default_rng(seed), 2 * RATE, strength)  # type: ignore[arg-type]
            distances.append(float(np.linalg.norm(spectrum(seen) - spectrum(sound))))
    assert np.median(moved["light"]) < np.median(moved["heavy"])
