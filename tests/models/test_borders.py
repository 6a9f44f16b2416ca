from __future__ import annotations

import numpy as np

from models.borders import CHUNK, link_over_borders
from tests.cells.small_cells import directions, near

A, B = directions(2)
LEAST = 0.8


def groups(rows: list[np.ndarray[tuple[int], np.dtype[np.float32]]], cells: list[int]) -> list[int]:
    centroids = np.stack([row / np.linalg.norm(row) for row in rows]).astype(np.float32)
    found: list[int] = link_over_borders(centroids, np.array(cells), least=LEAST).tolist()
    return found


def test_clusters_of_two_cells_are_one_group_under_the_first() -> None:
    assert groups([B, A, near(A, 0.9), near(B, 0.7)], [0, 0, 1, 1]) == [0, 1, 1, 3]


def test_within_a_cell_the_fold_has_decided_already() -> None:
    assert groups([A, near(A, 0.9)], [0, 0]) == [0, 1]


def test_links_to_one_cluster_over_the_border_hold_two_of_a_cell_together() -> None:
    assert groups([near(A, 0.9, 1), A, near(A, 0.9, 2)], [0, 1, 0]) == [0, 0, 0]


def test_links_are_found_however_many_clusters_there_are() -> None:
    rng = np.random.default_rng(0)
    one = rng.standard_normal((CHUNK + 5, 64)).astype(np.float32)
    one /= np.linalg.norm(one, axis=1, keepdims=True)
    cells = np.repeat([0, 1], len(one))
    assert link_over_borders(np.concatenate([one, one]), cells, least=0.99).tolist() == [*range(len(one))] * 2


def test_no_clusters_are_no_groups() -> None:
    assert link_over_borders(np.empty((0, 8), np.float32), np.empty(0, np.int64), least=LEAST).size == 0
