"""Micro-clusters as points of a map."""

from __future__ import annotations

import numpy as np
import pytest

from models.cluster_map import map_clusters
from tests.vectors import posts_around


@pytest.mark.parametrize("count", [0, 1, 2, 5, 9, 60])
def test_any_number_of_clusters_gives_points_between_0_and_1(count: int) -> None:
    rows = posts_around(np.random.default_rng(count), count, 3)
    points = map_clusters(rows)
    assert points.shape == (count, 2)
    assert ((points >= 0) & (points <= 1)).all()
    assert np.array_equal(points, map_clusters(rows))


def test_clusters_in_one_place_are_no_trouble() -> None:
    assert np.isfinite(map_clusters(np.repeat(posts_around(np.random.default_rng(1), 1, 1), 12, axis=0))).all()


def test_groups_stay_together() -> None:
    rng = np.random.default_rng(3)
    rows = np.concatenate([posts_around(rng, 20, 1, spread=0.2) for _ in range(3)])
    points = map_clusters(rows).reshape(3, 20, 2)
    middles = points.mean(axis=1)
    spread = np.linalg.norm(points - middles[:, None], axis=2).max()
    apart = min(np.linalg.norm(middles[one] - middles[two]) for one, two in ((0, 1), (0, 2), (1, 2)))
    assert spread < apart
