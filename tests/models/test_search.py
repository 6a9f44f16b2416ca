"""Similarity of a query to posts, part by part."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.search import compare
from tests.cells.small_cells import directions, layout

LAYOUT = layout()


def only(row: np.ndarray, *names: str) -> np.ndarray:
    """The row without its other parts, as the fusion gives it."""
    kept = np.zeros_like(row)
    for name in names:
        kept[LAYOUT.block(name)] = row[LAYOUT.block(name)]
    return np.asarray(kept / np.linalg.norm(kept))


def test_a_part_finds_itself_whatever_else_a_post_holds() -> None:
    rows = directions(5)
    found = compare(LAYOUT, only(rows[3], "image"), rows)
    assert found.similarity.argmax() == 3
    assert found.similarity[3] == pytest.approx(1.0)
    assert list(found.cosines) == ["image"]


def test_a_part_that_a_post_lacks_counts_as_zero() -> None:
    row = directions(1)[0]
    found = compare(LAYOUT, row, np.stack([row, only(row, "text", "audio"), only(row, "text")]))
    assert found.similarity.tolist() == pytest.approx([1.0, 2 / 3, 1 / 3])
    assert np.isnan(found.cosines["image"]).tolist() == [False, True, True]


def test_a_post_with_no_part_in_common_has_no_similarity() -> None:
    row = directions(1)[0]
    assert np.isnan(compare(LAYOUT, only(row, "text"), only(row, "image")[None]).similarity).all()


def test_a_text_is_compared_with_images() -> None:
    rows = directions(4)
    rows[2, LAYOUT.block("image")] = rows[0, LAYOUT.block("text")]
    found = compare(LAYOUT, only(rows[0], "text"), rows, within="image")
    assert found.similarity.argmax() == 2
    assert found.similarity[2] == pytest.approx(1.0)


def test_a_modality_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="tuple"):
        compare(LAYOUT, directions(1)[0], directions(2), within="smell")


@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(0.01, 100))
def test_the_length_of_a_row_does_not_matter(seed: int, scale: float) -> None:
    """A cluster's sums are compared as its centroid is."""
    rows = directions(6, seed)
    one, two = compare(LAYOUT, rows[0], rows), compare(LAYOUT, rows[0], rows * np.float32(scale))
    assert np.allclose(one.similarity, two.similarity, atol=1e-5)
    assert (np.abs(one.similarity) <= 1.0 + 1e-5).all()
