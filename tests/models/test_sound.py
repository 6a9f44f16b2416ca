"""Cutting sound into windows, and telling silence."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.sound import filled, repaired, silent, to_windows

RATE = 100


def ramp(count: int) -> np.ndarray:
    return np.linspace(-0.5, 0.5, count, dtype=np.float32)


def test_short_sound_is_repeated_to_one_window() -> None:
    windows = to_windows(ramp(30), RATE, 1.0, 4)
    assert windows.shape == (1, 100)
    np.testing.assert_array_equal(windows[0, 30:60], ramp(30))


def test_a_last_piece_shorter_than_half_a_window_is_dropped() -> None:
    assert to_windows(ramp(249), RATE, 1.0, 9).shape == (2, 100)


def test_a_last_piece_of_half_a_window_is_completed_with_what_precedes_it() -> None:
    windows = to_windows(ramp(250), RATE, 1.0, 9)
    assert windows.shape == (3, 100)
    np.testing.assert_array_equal(windows[2], ramp(250)[150:])


def test_maximum_bounds_the_windows_of_long_sound() -> None:
    windows = to_windows(ramp(100_000), RATE, 1.0, 3)
    np.testing.assert_array_equal(windows.reshape(-1), ramp(100_000)[:300])


def test_samples_that_are_not_finite_become_zero() -> None:
    damaged = ramp(100)
    damaged[[3, 50]] = np.nan, np.inf
    windows = to_windows(damaged, RATE, 1.0, 1)
    assert np.isfinite(windows).all()
    assert windows[0, 3] == windows[0, 50] == 0
    assert np.isnan(damaged[3])


@pytest.mark.parametrize("samples", [np.zeros(0, np.float32), np.zeros((2, 100), np.float32)])
def test_no_samples_or_several_channels_are_refused(samples: np.ndarray) -> None:
    with pytest.raises(ValueError, match="mono signal"):
        to_windows(samples, RATE, 1.0, 1)


@pytest.mark.parametrize(("window", "maximum"), [(0.0, 1), (1.0, 0)])
def test_windows_of_no_length_or_number_are_refused(window: float, maximum: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        to_windows(ramp(100), RATE, window, maximum)


@given(st.integers(1, 1500), st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_every_window_is_a_stretch_of_the_sound(count: int, maximum: int) -> None:
    sound = ramp(count)
    windows = to_windows(sound, RATE, 1.0, maximum)
    assert 1 <= len(windows) <= maximum
    assert windows.dtype == np.float32
    assert windows.flags.c_contiguous
    if count >= 100:
        step = float(sound[1] - sound[0])
        np.testing.assert_allclose(np.diff(windows, axis=1), step, atol=1e-6)
        assert len(windows) == min(maximum, count // 100 + (count % 100 >= 50))


def test_silence_is_below_sixty_decibels_of_full_scale() -> None:
    time = np.arange(16_000) / 16_000
    tone = np.sin(2 * np.pi * 440 * time) * np.sqrt(2)
    assert silent((tone * 10 ** (-61 / 20)).astype(np.float32))
    assert not silent((tone * 10 ** (-59 / 20)).astype(np.float32))


@pytest.mark.parametrize("samples", [np.zeros(0), np.full(50, np.nan), np.full(50, np.inf), np.zeros(50)])
def test_nothing_finite_or_nothing_at_all_is_silent(samples: np.ndarray) -> None:
    assert silent(samples)


def test_a_few_broken_samples_do_not_make_a_sound_silent() -> None:
    damaged = ramp(100)
    damaged[0] = np.nan
    assert not silent(damaged)


def test_repairing_clips_to_full_scale() -> None:
    np.testing.assert_array_equal(repaired(np.array([2.0, -3.0, 0.5, np.nan])), np.array([1, -1, 0.5, 0], np.float32))


@pytest.mark.parametrize(
    ("fill", "wanted"), [("repeat", [1, 2, 1, 2, 1]), ("repeat-zeros", [1, 2, 1, 2, 0]), ("zeros", [1, 2, 0, 0, 0])]
)
def test_a_short_recording_fills_its_window_as_the_encoder_wants(fill: Any, wanted: list[float]) -> None:
    assert filled(np.array([1, 2], dtype=np.float32), 5, fill).tolist() == wanted


@pytest.mark.parametrize("fill", ["repeat", "repeat-zeros", "zeros"])
def test_a_whole_window_stays_as_it_is(fill: Any) -> None:
    whole = ramp(100).astype(np.float32)
    assert (filled(whole, 100, fill) == whole).all()
