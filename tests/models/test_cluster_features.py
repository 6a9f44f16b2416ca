"""Cluster features: merging, fading and cohesion."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.cluster_features import ClusterFeature, cohesion
from tests.vectors import posts_around, same_feature, single

if TYPE_CHECKING:
    import random

    from numpy.typing import NDArray

HALF_LIFE = 1000.0

seeds = st.integers(min_value=0, max_value=2**32 - 1)
times = st.integers(min_value=0, max_value=20_000)


def _feature(rows: NDArray[np.float32], at: list[int]) -> ClusterFeature:
    """The definition: every vector decayed from its own time to the latest."""
    latest = max(at)
    weights = np.array([2.0 ** ((time - latest) / HALF_LIFE) for time in at])
    return ClusterFeature(weights.sum(), (weights**2).sum(), weights @ rows.astype(np.float64), latest)


@given(seeds, st.lists(times, min_size=3, max_size=3))
def test_merging_is_commutative_and_associative(seed: int, at: list[int]) -> None:
    a, b, c = (single(row, t) for row, t in zip(posts_around(np.random.default_rng(seed), 3, 2), at, strict=True))
    assert same_feature(a.merged(b, HALF_LIFE), b.merged(a, HALF_LIFE))
    left = a.merged(b, HALF_LIFE).merged(c, HALF_LIFE)
    assert same_feature(left, a.merged(b.merged(c, HALF_LIFE), HALF_LIFE))


@given(seeds, st.lists(times, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_a_feature_does_not_depend_on_the_order_of_merging(seed: int, at: list[int], order: random.Random) -> None:
    rows = posts_around(np.random.default_rng(seed), len(at), 2)
    singles = [single(row, time) for row, time in zip(rows, at, strict=True)]
    order.shuffle(singles)
    merged = singles[0]
    for other in singles[1:]:
        merged = merged.merged(other, HALF_LIFE)
    assert same_feature(merged, _feature(rows, at))


@given(seeds, st.integers(min_value=2, max_value=30))
def test_cohesion_is_the_mean_cosine_of_pairs(seed: int, count: int) -> None:
    rows = posts_around(np.random.default_rng(seed), count, 3)
    pairs = [float(x.astype(np.float64) @ y) for x, y in combinations(rows, 2)]
    assert _feature(rows, [0] * count).cohesion == pytest.approx(np.mean(pairs), abs=2e-3)


def test_cohesion_is_the_same_for_two_and_for_two_hundred() -> None:
    """Each direction half and half: the mean pairwise cosine differs, but not by the size of the cluster alone."""
    few = cohesion(2.0, 2.0, 2.0 * np.sqrt((1 + 0.6) / 2))
    # n vectors with all pairwise cosines .6 have |sum|^2 = n + n(n-1) * .6
    many = cohesion(200.0, 200.0, np.sqrt(200 + 200 * 199 * 0.6))
    assert few == pytest.approx(0.6)
    assert many == pytest.approx(0.6)


@given(seeds, st.integers(min_value=2, max_value=9), times)
def test_cohesion_does_not_change_with_age(seed: int, count: int, later: int) -> None:
    feature = _feature(posts_around(np.random.default_rng(seed), count, 2), list(range(0, 100 * count, 100)))
    aged = feature.aligned(feature.time + later, HALF_LIFE)
    assert aged.weight <= feature.weight
    assert aged.cohesion == pytest.approx(feature.cohesion, abs=1e-6)


def test_a_single_vector_is_cohesive() -> None:
    assert single(posts_around(np.random.default_rng(0), 1, 1)[0], 0).cohesion == 1.0
