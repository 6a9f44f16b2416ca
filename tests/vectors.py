"""Unit vectors around a few directions, and cluster features of them by their definition."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.cluster_features import ClusterFeature

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE = 24


def posts_around(rng: np.random.Generator, count: int, centres: int, spread: float = 0.6) -> NDArray[np.float32]:
    """Vectors around a few directions, as the log holds them."""
    middle = rng.standard_normal((centres, SIZE))
    middle /= np.linalg.norm(middle, axis=1, keepdims=True)
    rows = middle[rng.integers(0, centres, count)] + spread * rng.standard_normal((count, SIZE)) / np.sqrt(SIZE)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows.astype(np.float16), dtype=np.float32)


def single(row: NDArray[np.float32], time: int) -> ClusterFeature:
    return ClusterFeature(1.0, 1.0, row.astype(np.float64), time)


def same_feature(one: ClusterFeature, two: ClusterFeature) -> bool:
    return (
        one.time == two.time
        and one.weight == pytest.approx(two.weight)
        and one.squares == pytest.approx(two.squares)
        and np.allclose(one.sums, two.sums, atol=1e-9)
    )
