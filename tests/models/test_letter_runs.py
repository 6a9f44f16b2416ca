"""Runs of letters in common: copies share theirs, other texts do not, and meaning is beyond them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.folded_text import letter_maps
from models.letter_runs import FEWEST, score
from models.synthetic.caption_variants import HELD_OUT, TRAINED
from models.synthetic.captions import generate_caption

TEXT = "Grandmother's recipe: mix the flour with two eggs, let it rest for an hour and bake it until it is golden."


def likeness(one: str, two: str) -> float:
    first, second = letter_maps([one, two], 16, 24)
    return score(first.tobytes(), second.tobytes())


@pytest.mark.parametrize(
    "name", ["homoglyphs", "spaced", "reordered", "appended", "hashtags", "emoji", "abridged", "leetspeak", "typos"]
)
def test_a_copy_shares_most_of_its_runs(name: str) -> None:
    rng = np.random.default_rng(2)
    change = (TRAINED | HELD_OUT)[name]
    found = []
    for _ in range(20):
        text = generate_caption(rng)
        found.append(likeness(text, change(text, rng)))
    assert np.median(found) > 0.8


def test_different_texts_share_few() -> None:
    rng = np.random.default_rng(3)
    texts = [generate_caption(rng) for _ in range(20)]
    found = [likeness(one, two) for number, one in enumerate(texts) for two in texts[:number]]
    assert np.quantile(found, 0.95) < 0.5


def test_a_text_stands_in_a_longer_one() -> None:
    assert likeness(TEXT, f"Look at this! {TEXT} Would you believe it?") == pytest.approx(1.0)


def test_a_few_letters_do_not_stand_in_a_long_text() -> None:
    assert likeness("let it", TEXT) <= 3 / FEWEST
    assert likeness("let it", "let it") == 1.0


def test_what_one_changed_word_means_is_not_seen() -> None:
    assert likeness("these vaccines are safe, ask your doctor", "these vaccines are not safe, ask your doctor") > 0.9


def test_nothing_agrees_with_no_letters() -> None:
    nothing = bytes(16 * 24)
    assert score(nothing, nothing) == -1.0
    assert score(nothing, letter_maps([TEXT], 16, 24)[0].tobytes()) == -1.0


@given(st.text(max_size=80), st.text(max_size=80))
def test_likeness_is_the_same_both_ways_and_full_with_itself(one: str, two: str) -> None:
    assert likeness(one, two) == likeness(two, one)
    assert likeness(one, two) <= 1.0
    assert likeness(one, one) in {1.0, -1.0}
