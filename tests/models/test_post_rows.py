"""Posts item by item."""

from __future__ import annotations

import numpy as np
import pytest

from models.fusion import FusionLayout
from models.post_rows import PostRows, group_posts

LAYOUT = FusionLayout(("image",), 3, np.ones(1, dtype=np.float32), np.zeros((1, 3), dtype=np.float32))
X, Y, Z = np.eye(3, dtype=np.float32)


def rows() -> PostRows:
    """Three posts of two views: two items and one; none and one; one and one."""
    items = np.stack([X, Y, Z, Y, X, Z])
    return PostRows(("a", "b", "c"), {"image": items}, {"image": np.array([[2, 1], [0, 1], [1, 1]])}, np.arange(3))


def test_items_of_a_view_are_averaged_as_consumers_do() -> None:
    found = rows().embeddings("image")
    assert found[0, 0] == pytest.approx((X + Y) / np.sqrt(2))
    assert not found[1, 0].any()
    assert np.array_equal(found[2, 1], Z)


def test_chosen_posts_and_views_keep_their_items() -> None:
    chosen = rows().of(np.array([2, 0]))
    assert chosen.post_ids == ("c", "a")
    assert np.array_equal(chosen.embeddings("image"), rows().embeddings("image")[[2, 0]])
    assert np.array_equal(rows().of_views((1,)).embeddings("image"), rows().embeddings("image")[:, 1:])


def test_places_name_the_items_and_their_owners() -> None:
    places, owner = rows().places("image", np.array([0, 1, 2]), np.array([0, 0, 1]))
    assert places.tolist() == [0, 1, 5]
    assert owner.tolist() == [0, 0, 2]


def test_posts_are_grouped_as_told_or_when_they_are_all_but_equal() -> None:
    items = np.stack([X, Y, X, Z, Y])
    five = PostRows(tuple("abcde"), {"image": items}, {"image": np.ones((5, 1), dtype=np.int64)}, np.arange(5))
    assert group_posts(five, LAYOUT, {}).tolist() == [0, 1, 0, 3, 1]
    assert group_posts(five, LAYOUT, {"b": "same", "d": "same"}).tolist() == [0, 1, 0, 1, 1]
