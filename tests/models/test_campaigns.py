"""Campaigns: micro-clusters joined by their centroids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import DBSCAN
from sklearn.metrics import adjusted_rand_score

from models.campaigns import join_clusters, split_clusters, usual_count
from tests.vectors import posts_around

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST = 0.75


def joined(rows: NDArray[np.float32], *posts: int) -> list[int]:
    return [int(found) for found in join_clusters(rows, np.array(posts), least=LEAST, core=3)]


def fan(*degrees: float) -> NDArray[np.float32]:
    """Unit vectors in a plane."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_no_clusters_give_no_campaigns() -> None:
    assert joined(np.empty((0, 4), dtype=np.float32)) == []


def test_near_clusters_are_one_campaign_and_far_ones_are_not() -> None:
    assert joined(fan(0, 30, 120), 5, 5, 5) == [0, 0, 2]


def test_a_chain_of_cores_is_one_campaign() -> None:
    assert joined(fan(0, 40, 80, 120), 5, 5, 5, 5) == [0, 0, 0, 0]


def test_small_clusters_do_not_link_what_they_lie_between() -> None:
    assert joined(fan(0, 39, 80), 5, 1, 5) == [0, 0, 2]


def test_a_small_cluster_belongs_to_its_nearest_core() -> None:
    assert joined(fan(0, 39, 60), 5, 1, 5) == [0, 1, 1]


def test_small_clusters_alone_stay_alone() -> None:
    assert joined(fan(0, 10, 20), 1, 2, 2) == [0, 1, 2]


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 60))
def test_with_large_clusters_only_it_is_dbscan(seed: int, count: int) -> None:
    rows = posts_around(np.random.default_rng(seed), count, 4)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    found = join_clusters(rows, np.full(count, 3), least=LEAST)
    other = DBSCAN(eps=1 - LEAST, min_samples=1, metric="cosine").fit_predict(rows)
    assert adjusted_rand_score(found, other) == 1.0


@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_clusters_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, posts = posts_around(rng, 40, 4), rng.integers(1, 6, 40)
    order = rng.permutation(40)
    found = join_clusters(rows, posts, least=LEAST)
    assert adjusted_rand_score(found[order], join_clusters(rows[order], posts[order], least=LEAST)) == 1.0


def test_kmeans_makes_as_many_campaigns_as_asked_for_and_names_them_by_their_first_cluster() -> None:
    rows = fan(0, 5, 90, 95, 180)
    assert split_clusters(rows, np.array([1, 1, 1, 1, 1]), 3).tolist() == [0, 0, 2, 2, 4]


def test_a_cluster_of_many_posts_draws_the_border() -> None:
    rows = fan(0, 40, 80)
    assert split_clusters(rows, np.array([1, 1, 100]), 2).tolist() == [0, 0, 2]
    assert split_clusters(rows, np.array([100, 1, 1]), 2).tolist() == [0, 1, 1]


def test_there_are_no_more_campaigns_than_different_clusters() -> None:
    assert split_clusters(fan(0, 0, 90), np.array([1, 1, 1]), 9).tolist() == [0, 0, 2]
    assert split_clusters(np.empty((0, 4), dtype=np.float32), np.empty(0, dtype=np.int64), 3).tolist() == []


def test_campaigns_of_small_clusters_alone_do_not_count_for_kmeans() -> None:
    posts = np.array([5, 1, 1, 4])
    assert usual_count(np.array([0, 0, 2, 3]), posts) == 2
    assert usual_count(np.array([0, 1]), np.array([1, 2])) == 1
