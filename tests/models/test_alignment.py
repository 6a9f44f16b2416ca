"""Two maps where they run along each other best: copies do, other sounds do not, and no processor may differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.alignment import SOUND, _contrasts, score
from models.synthetic import sound_variants
from tests.sounds import BANDS, FRAMES, mapped, notes

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

ENOUGH = 0.6


def agreement(one: Samples, two: Samples, enough: float = 2.0) -> float:
    return score(mapped(one).tobytes(), mapped(two).tobytes(), (BANDS, FRAMES), SOUND, enough=enough)


def rng() -> np.random.Generator:
    return np.random.default_rng(9)


COPIES: dict[str, Callable[[Samples], Samples]] = {
    "same": lambda samples: samples,
    "quiet": lambda samples: samples * np.float32(0.1),
    "half": lambda samples: samples[23_456:63_456],
    "late": lambda samples: np.roll(samples, 31_000),
    "higher": lambda samples: sound_variants.pitch_shifted(samples, 2.0),
    "lower": lambda samples: sound_variants.pitch_shifted(samples, -2.0),
    "faster": lambda samples: sound_variants.stretched(samples, 1.1),
    "slower": lambda samples: sound_variants.stretched(samples, 0.9),
    "noisy": lambda samples: sound_variants.with_noise(samples, rng(), 10.0),
    "in a room": lambda samples: sound_variants.reverberated(samples, rng()),
    "with another": lambda samples: sound_variants.mixed(samples, notes(77), 6.0),
}


@pytest.mark.parametrize("name", COPIES)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_copy_runs_along_its_original_either_way(name: str, seed: int) -> None:
    original = notes(seed)
    copy = COPIES[name](original)
    assert agreement(original, copy) >= ENOUGH
    assert agreement(copy, original) >= ENOUGH


@pytest.mark.parametrize("seed", range(10, 16))
def test_other_sounds_do_not_run_along_each_other(seed: int) -> None:
    assert agreement(notes(seed), notes(seed + 100)) < 0.5


def test_the_same_tune_under_another_does_not_hide_that_most_is_different() -> None:
    tune = notes(1)
    assert agreement(tune + notes(2), tune + notes(3)) < agreement(tune, tune + notes(2) * np.float32(0.5))


def test_silence_runs_along_nothing() -> None:
    silent = np.zeros(80_000, dtype=np.float32)
    assert agreement(silent, notes(1)) == pytest.approx(0.0)
    assert agreement(silent, silent) == pytest.approx(0.0)


def test_what_is_enough_ends_the_search_and_changes_no_answer() -> None:
    for one, two in ((notes(1), COPIES["higher"](notes(1))), (notes(1), notes(2))):
        assert (agreement(one, two, ENOUGH) >= ENOUGH) == (agreement(one, two) >= ENOUGH)
        assert agreement(one, two, ENOUGH) <= agreement(one, two)


MAPS = st.tuples(st.integers(16, 30), st.integers(16, 40)).flatmap(
    lambda shape: st.tuples(arrays(np.uint8, shape), arrays(np.uint8, shape))
)


@given(MAPS)
@settings(max_examples=25, deadline=None)
def test_any_two_maps_have_a_finite_score_of_at_most_one(maps: tuple[np.ndarray, np.ndarray]) -> None:
    one, two = maps
    found = score(one.tobytes(), two.tobytes(), one.shape)
    assert -1.0 <= found <= 1.0


@given(MAPS)
@settings(max_examples=10, deadline=None)
def test_the_order_of_two_maps_does_not_matter(maps: tuple[np.ndarray, np.ndarray]) -> None:
    one, two = (side.tobytes() for side in maps)
    assert score(one, two, maps[0].shape) == pytest.approx(score(two, one, maps[0].shape), abs=1e-6)


def test_sums_over_the_largest_maps_are_whole_numbers_that_float32_holds() -> None:
    most = round(max(-SOUND.low, SOUND.high) * SOUND.steps * (1.0 + SOUND.steady))
    assert most * most * 255 * 255 < 2**24
    rng = np.random.default_rng(3)
    values = _contrasts(rng.integers(0, 256, (255, 255)).astype(np.float64) * 255, 255, SOUND)
    assert np.abs(values).max() <= most
    assert np.array_equal(values, np.rint(values))
