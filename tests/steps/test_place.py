from __future__ import annotations

import numpy as np
import pytest

from consumers.cells.cell import CellState
from consumers.steps.place import place, read_vector
from tests.cells.small_cells import SIZE, directions, manifest, near, post, rules

A, B = directions(2)


def test_a_vector_of_the_log_is_read_as_it_stands() -> None:
    vector = read_vector(A.astype("<f2").tobytes(), SIZE)
    assert vector is not None
    assert vector.dtype == np.float32
    assert np.array_equal(vector, A.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        A.astype("<f2").tobytes()[:-1],
        A.astype("<f4").tobytes(),
        (2 * A).astype("<f2").tobytes(),
        np.zeros(SIZE, "<f2").tobytes(),
        np.full(SIZE, np.inf, "<f2").tobytes(),
        np.full(SIZE, np.nan, "<f2").tobytes(),
    ],
)
def test_anything_else_is_no_vector(data: bytes) -> None:
    assert read_vector(data, SIZE) is None


def test_posts_are_placed_in_order_and_keep_their_record() -> None:
    state = CellState(rules(), manifest(), 0)
    posts = [(offset, post(offset, vector)) for offset, vector in ((4, A), (6, B), (9, near(A, 0.9)))]
    posts.insert(1, (5, post(5, 2 * A)))
    placed = place(posts, state.clusters, [0, 0, 7, 8])
    assert [(found.offset, found.record.post_id, found.placement.cluster, clock) for found, clock in placed] == [
        (4, "post-4", 4, 0),
        (6, "post-6", 6, 7),
        (9, "post-9", 4, 8),
    ], "the one whose vector is not of unit length is left out"


def test_no_posts_are_placed_nowhere() -> None:
    assert place([], CellState(rules(), manifest(), 0).clusters, []) == []
