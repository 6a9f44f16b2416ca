"""What reposting does to a caption."""

import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.synthetic.caption_variants import HELD_OUT, TRAINED, view

TABLES = {**TRAINED, **HELD_OUT}
TEXT = "Claim the guaranteed prize today, tell your friends. Never verify a secret voucher! #bonus #money"


@pytest.mark.parametrize("name", TABLES)
def test_a_variant_changes_the_caption(name: str) -> None:
    assert sum(TABLES[name](TEXT, np.random.default_rng(seed)) != TEXT for seed in range(10)) >= 9


@pytest.mark.parametrize("name", TABLES)
@given(text=st.text(max_size=80), seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_a_variant_takes_any_text(name: str, text: str, seed: int) -> None:
    assert isinstance(TABLES[name](text, np.random.default_rng(seed)), str)


@pytest.mark.parametrize("name", TABLES)
def test_a_variant_repeats_for_the_same_state(name: str) -> None:
    first, second = (TABLES[name](TEXT, np.random.default_rng(3)) for _ in range(2))
    assert first == second


def test_invisible_and_combining_marks_leave_the_letters() -> None:
    for name in ("zero-width", "combining"):
        varied = TRAINED[name](TEXT, np.random.default_rng(0))
        bare = "".join(letter for letter in varied if unicodedata.category(letter) not in {"Cf", "Mn"})
        assert bare == TEXT


def test_reordering_keeps_the_words() -> None:
    varied = TRAINED["reordered"](TEXT, np.random.default_rng(0))
    assert sorted(varied.split()) == sorted(TEXT.split())


def test_synonyms_replace_words_of_the_vocabulary() -> None:
    varied = TRAINED["synonyms"](TEXT, np.random.default_rng(0))
    assert "guaranteed" not in varied
    assert "Never" in varied


def test_held_out_variants_are_not_trained_ones() -> None:
    assert len(HELD_OUT) >= 2
    assert not set(HELD_OUT) & set(TRAINED)


def test_light_views_change_less_than_heavy_ones() -> None:
    kept = {
        strength: np.mean([view(TEXT, np.random.default_rng(seed), strength) == TEXT for seed in range(200)])
        for strength in ("light", "heavy")
    }
    assert kept["light"] > 0.3
    assert kept["heavy"] < 0.05
