"""Pitches, rhythms and the words for them."""

import numpy as np

from models.synthetic.notes import SCALES, pitches, register, rhythm, speed, timbre
from models.synthetic.oscillators import RATE


def test_pitches_stay_on_the_scale() -> None:
    for scale in SCALES:
        notes = pitches(np.random.default_rng(0), scale, 200)
        assert {int(note) % 12 for note in notes} <= set(scale)


def test_a_rhythm_starts_at_once_and_keeps_its_pace() -> None:
    onsets = rhythm(np.random.default_rng(0), 60 * RATE, 4.0)
    assert onsets[0] == 0
    assert (np.diff(onsets) > 0).all()
    assert 2.5 < len(onsets) / 60 < 4.5


def test_words_follow_the_numbers() -> None:
    assert [register(hertz) for hertz in (80, 400, 2000)] == ["low", "middle", "high"]
    assert [speed(a_second) for a_second in (1, 3, 9)] == ["slow", "steady", "fast"]


def test_instruments_of_one_timbre_differ() -> None:
    drawn = [timbre(np.random.default_rng(seed)) for seed in range(60)]
    assert len({name for name, _ in drawn}) > 4
    assert len({amplitudes for _, amplitudes in drawn}) > 55  # a pure tone has one number to differ in
