"""Maps of sounds: what is done to a recording moves them, and little else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.sound_map import HIGHEST, LOWEST, SoundMap
from tests.sounds import BANDS, FRAMES, MAP, RATE, SECONDS, mapped, notes

WINDOW = RATE * SECONDS


def difference(one: np.ndarray, two: np.ndarray) -> float:
    return float(np.abs(one.astype(float) - two.astype(float)).mean())


@pytest.mark.parametrize("place", [5, 20, 40])
def test_a_tone_is_loudest_in_its_band(place: int) -> None:
    hertz = np.geomspace(LOWEST, HIGHEST, BANDS)[place]
    tone = np.sin(2 * np.pi * hertz * np.arange(WINDOW) / RATE).astype(np.float32)
    assert (mapped(tone).argmax(axis=0) == place).all()


def test_volume_leaves_a_map_as_it_is() -> None:
    assert difference(mapped(notes(1)), mapped(notes(1) * np.float32(0.05))) < 0.05


def test_other_notes_give_another_map() -> None:
    assert difference(mapped(notes(1)), mapped(notes(2))) > 30


def test_time_moves_a_map_aside() -> None:
    hop = WINDOW // FRAMES
    samples = notes(3, SECONDS + 1.0)
    late = mapped(samples[7 * hop : 7 * hop + WINDOW])
    inside = slice(2, FRAMES - 10)
    assert difference(late[:, inside], mapped(samples[:WINDOW])[:, 7:][:, inside]) < 1.0


def test_pitch_moves_a_map_up() -> None:
    step = (HIGHEST / LOWEST) ** (2 / (BANDS - 1))
    low, high = mapped(notes(4)), mapped(notes(4, pitch=step))
    moved = difference(low[10:40], high[12:42])
    assert moved < 0.6 * difference(low[10:40], high[10:40])


def test_silence_is_flat() -> None:
    assert len(np.unique(mapped(np.zeros(WINDOW, dtype=np.float32)))) == 1


def test_maps_of_several_windows_are_those_of_each() -> None:
    windows = np.stack([notes(1), notes(2)])
    assert np.array_equal(MAP(windows), np.stack([mapped(notes(1)), mapped(notes(2))]))


@pytest.mark.parametrize(
    ("rate", "window", "frames"), [(48_000, 480_000, 160), (2_000, 2_001, 20), (16_000, 480_000, 255)]
)
def test_any_rate_and_window_gives_the_sides_asked_for(rate: int, window: int, frames: int) -> None:
    noise = np.random.default_rng(1).standard_normal((1, window)).astype(np.float32)
    found = SoundMap(rate, window, 16, frames)(noise)
    assert found.shape == (1, 16, frames)
    assert found.std() > 1


@given(arrays(np.float32, (4_000,), elements=st.floats(-1, 1, width=32)))
@settings(max_examples=20, deadline=None)
def test_any_window_has_a_map_that_reaches_the_top(samples: np.ndarray) -> None:
    found = SoundMap(4_000, 4_000, 16, 16)(samples[None])
    assert found.max() == 255
