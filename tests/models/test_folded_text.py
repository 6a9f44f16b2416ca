"""Letters as people read them: what a text is typed with does not matter, what it says does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.folded_text import folded, letter_maps
from models.synthetic.caption_variants import TRAINED
from models.synthetic.captions import generate_caption

ROWS, COLUMNS = 16, 24


@pytest.mark.parametrize(
    "written",
    ["Free money now", "FREE MONEY NOW", "f r e e money n.o.w", "frее mоnеу nоw", "fr3e m0n3y n0w",
     "free mo\u200bney now", "fre\u0301e money now", "free 🔥 money 🔥 now", "ｆｒｅｅ money now"],
)  # fmt: skip
def test_a_disguise_is_read_as_what_it_disguises(written: str) -> None:
    assert folded(written) == folded("free money now")


@pytest.mark.parametrize("name", ["case", "zero-width", "combining"])
def test_disguises_of_training_leave_the_letters_as_they_are(name: str) -> None:
    rng = np.random.default_rng(1)
    texts = [generate_caption(rng) for _ in range(20)]
    assert [folded(TRAINED[name](text, rng)) for text in texts] == [folded(text) for text in texts]


def test_other_words_stay_other_words() -> None:
    assert folded("not safe") != folded("safe")


def test_other_alphabets_keep_their_letters() -> None:
    assert folded("買一送一 優惠") == "買一送一優惠"


@pytest.mark.parametrize(("one", "two"), [("🔥🔥🔥", "💀💀💀"), ("!!!", "???")])
def test_a_text_of_signs_alone_is_its_signs(one: str, two: str) -> None:
    assert folded(one) != folded(two)
    assert folded(f" {one}\u200b ") == folded(one)


def test_a_map_holds_the_letters_row_by_row() -> None:
    [shown] = letter_maps(["ab " * 20], ROWS, COLUMNS)
    assert shown.shape == (ROWS, COLUMNS)
    assert bytes(shown.ravel()).rstrip(b"\0") == b"ab" * 20


@given(st.text(max_size=600))
def test_any_text_has_a_map_that_ends_at_a_letter(text: str) -> None:
    [shown] = letter_maps([text], ROWS, COLUMNS)
    held = bytes(shown.ravel()).rstrip(b"\0").decode()
    assert folded(text).rstrip("\0").startswith(held)
    assert len(held.encode()) > ROWS * COLUMNS - 4 or held == folded(text).rstrip("\0")
