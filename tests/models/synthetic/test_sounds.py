"""Procedural sounds of every kind."""

import numpy as np
import pytest
from numpy.typing import NDArray

from models.sound import silent
from models.synthetic.sounds import RATE, SOUNDS, generate_siblings, generate_sound


def fingerprint(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """The long-term spectrum in 32 bands, of unit length."""
    spectrum = np.abs(np.fft.rfft(samples))
    bands = np.array([part.mean() for part in np.array_split(spectrum, 32)])
    unit: NDArray[np.float64] = bands / np.linalg.norm(bands)
    return unit


@pytest.mark.parametrize("kind", SOUNDS)
def test_every_kind_makes_sound_within_full_scale(kind: str) -> None:
    for seed in range(4):
        sound = generate_sound(np.random.default_rng(seed), 1.5, kind)
        assert sound.kind == kind
        assert sound.samples.shape == (1.5 * RATE,)
        assert sound.samples.dtype == np.float32
        assert np.abs(sound.samples).max() <= 1
        assert not silent(sound.samples)
        assert sound.qualities


def test_the_same_state_gives_the_same_sound() -> None:
    first, second = (generate_sound(np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first.samples, second.samples)
    assert first.qualities == second.qualities


def test_kinds_vary_without_being_asked_for() -> None:
    assert len({generate_sound(np.random.default_rng(seed), 0.3).kind for seed in range(120)}) > len(SOUNDS) // 2


def test_qualities_tell_a_rising_sweep_from_a_falling_one() -> None:
    for seed in range(20):
        sound = generate_sound(np.random.default_rng(seed), 1.0, "sweep")
        assert ("rising" in sound.qualities) != ("falling" in sound.qualities)


def test_siblings_share_the_kind_and_differ_in_content() -> None:
    for seed in range(12):
        siblings = generate_siblings(np.random.default_rng(seed), 3, 2.0)
        assert len({sound.kind for sound in siblings}) == 1
        assert abs(np.corrcoef(siblings[0].samples, siblings[1].samples)[0, 1]) < 0.6


def test_siblings_are_closer_in_timbre_than_strangers() -> None:
    near, far = [], []
    before = fingerprint(generate_sound(np.random.default_rng(999), 2.0).samples)
    for seed in range(40):
        first, second = (
            fingerprint(sound.samples) for sound in generate_siblings(np.random.default_rng(seed), 2, 2.0)
        )
        near.append(first @ second)
        far.append(first @ before)
        before = first
    assert np.median(near) > np.median(far) + 0.1


def test_unknown_kinds_and_tiny_durations_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown kind of sound 'polka'"):
        generate_sound(np.random.default_rng(0), 1.0, "polka")
    with pytest.raises(ValueError, match="too short"):
        generate_sound(np.random.default_rng(0), 0.01)
