from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.candidates import BLOCK, CHUNK, find_candidates, slack

LEAST = 0.3


def _units(rng: np.random.Generator, count: int, size: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    rows = rng.standard_normal((count, size))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def test_every_cluster_at_the_bound_is_proposed_in_every_block() -> None:
    rng = np.random.default_rng(0)
    posts, sums = _units(rng, 7, 8), 3.0 * _units(rng, 2 * BLOCK + 50, 8)
    bounds = np.full(len(sums), 3.0 * LEAST, np.float32)
    bounds[5] = np.inf
    candidates = find_candidates(posts, posts, sums, bounds)
    for n, post in enumerate(posts):
        slots, products = candidates.near(n)
        assert np.array_equal(slots, np.flatnonzero(sums @ post >= bounds))
        assert np.allclose(products, sums[slots] @ post, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([-0.6, 0.0, 0.5]), st.sampled_from([1.0, 0.7, 1e-3]))
def test_what_posts_add_is_followed_within_the_slack(seed: int, turned: float, factor: float) -> None:
    """Also where posts point against the cluster that they join, so that its sum becomes short and errors long."""
    rng = np.random.default_rng(seed)
    size, count = 48, CHUNK
    posts = _units(rng, count, size)
    centre = posts[0].copy()
    posts[1::2] = turned * centre + np.sqrt(1 - turned**2) * posts[1::2]
    sums = _units(rng, 3, size)
    candidates = find_candidates(posts, posts, sums, np.full(3, -np.inf, np.float32))
    candidates.opened(0, 3, -np.inf)
    sums = np.concatenate([sums, posts[:1]])
    for n in range(1, count):
        slots, products = candidates.near(n)
        norms = np.linalg.norm(sums.astype(np.float64), axis=1)
        exact = (sums.astype(np.float64) @ posts[n].astype(np.float64)) / norms
        assert np.abs(products / norms[slots] - exact[slots]).max() < slack(size) / 2
        slot = int(rng.integers(0, 4))
        before = float(norms[slot])
        sums[slot] = sums[slot] * np.float32(factor) + posts[n]
        norm = float(np.linalg.norm(sums[slot].astype(np.float64)))
        candidates.joined(n, slot, factor, sums[slot], before=before, norm=norm, bound=-np.inf)


@pytest.mark.parametrize("size", [24, 768, 4096])
def test_the_slack_is_far_below_what_tells_clusters_apart(size: int) -> None:
    assert size * 2.0**-24 < slack(size) < 2e-3


def test_no_clusters_propose_nothing() -> None:
    posts = _units(np.random.default_rng(0), 3, 8)
    candidates = find_candidates(posts, posts, np.empty((0, 8), np.float32), np.empty(0, np.float32))
    assert candidates.near(0)[0].size == 0
