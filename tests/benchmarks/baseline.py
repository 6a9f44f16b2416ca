"""The micro-clusters beside river's DBSTREAM on the same vectors: posts a second, and how right they are."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from river.cluster import DBSTREAM
from sklearn.metrics import adjusted_rand_score

from models.clusters import MicroClusters

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

SIZE = 256
DIRECTIONS = 1_000
COSINES = (0.8, 0.95)
"""Of the posts to their direction: variants of one campaign."""

RADII = (0.7, 0.8, 0.9, 1.0)
"""DBSTREAM's clustering_threshold. Its other parameters: no fading that matters over so few posts, as for ours."""

JOINS = (0.5, 0.6, 0.7)
"""Least cosine to a centroid, for the micro-clusters."""

GRID_POSTS = 800
BATCH = 512
LAST = 500
"""Posts at the end that are predicted."""


@dataclass
class BaselineFigures:
    """Posts a second while learning, and the adjusted Rand index of the last posts, predicted at the end."""

    posts: int = 0
    radius: float = 0.0
    join: float = 0.0
    dbstream: float = 0.0
    dbstream_ari: float = 0.0
    ours: float = 0.0
    ours_ari: float = 0.0

    def numbers(self) -> dict[str, Any]:
        """For build/bench.json."""
        return asdict(self) | {"over_dbstream": self.ours / self.dbstream}

    def rows(self) -> Iterator[tuple[str, str]]:
        """For a table."""
        yield f"DBSTREAM, radius {self.radius}", f"{self.dbstream:.0f} posts/s, ARI {self.dbstream_ari:.3f}"
        yield (
            f"micro-clusters, join {self.join}, the same vectors",
            f"{self.ours:.0f} posts/s, ARI {self.ours_ari:.3f}",
        )
        yield "over DBSTREAM", f"{self.ours / self.dbstream:.0f}"


@dataclass
class Frame:
    """As much of a pandas data frame as `learn_many` asks for."""

    columns: list[int]
    values: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.values)

    def to_numpy(self, dtype: Any) -> NDArray[Any]:
        """The values, as `dtype`."""
        return self.values.astype(dtype)


def measure_baseline(posts: int = 4_000) -> BaselineFigures:
    """Measure both in this thread; about a minute. each with the best of its grid on the first posts."""
    rows, truth = _stream(posts)
    figures = BaselineFigures(posts, _best(_dbstream, rows, truth, RADII), _best(_ours, rows, truth, JOINS))
    figures.dbstream, figures.dbstream_ari = _dbstream(rows, truth, figures.radius)
    figures.ours, figures.ours_ari = _ours(rows, truth, figures.join)
    return figures


def _best(
    measure: Callable[[NDArray[np.float32], NDArray[np.int64], float], tuple[float, float]],
    rows: NDArray[np.float32],
    truth: NDArray[np.int64],
    grid: tuple[float, ...],
) -> float:
    """The parameter that is right most, to two places; of several the fastest."""
    tried = {given: measure(rows[:GRID_POSTS], truth[:GRID_POSTS], given) for given in grid}
    return max(grid, key=lambda given: (round(tried[given][1], 2), tried[given][0]))


def _stream(posts: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Unit vectors (posts, SIZE) around directions, and which."""
    rng = np.random.default_rng(3)
    middle = _unit(rng.standard_normal((DIRECTIONS, SIZE)))
    truth = rng.integers(0, DIRECTIONS, posts)
    cosines = rng.uniform(*COSINES, posts)[:, None]
    rows = cosines * middle[truth] + np.sqrt(1 - cosines**2) * _unit(rng.standard_normal((posts, SIZE)))
    return np.asarray(_unit(rows).astype(np.float16), dtype=np.float32), truth


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def _dbstream(rows: NDArray[np.float32], truth: NDArray[np.int64], radius: float) -> tuple[float, float]:
    model: Any = DBSTREAM(clustering_threshold=radius, fading_factor=1e-4, cleanup_interval=1_000, minimum_weight=1.0)
    samples = [dict(enumerate(row.tolist())) for row in rows]
    start = time.perf_counter()
    for sample in samples:
        model.learn_one(sample)
    rate = len(rows) / (time.perf_counter() - start)
    return rate, _rand([model.predict_one(sample) for sample in samples[-LAST:]], truth)


def _ours(rows: NDArray[np.float32], truth: NDArray[np.int64], join: float) -> tuple[float, float]:
    model = MicroClusters(join=join, half_life=1e6)
    start = time.perf_counter()
    for at in range(0, len(rows), BATCH):
        model.learn_many(Frame(list(range(SIZE)), rows[at : at + BATCH]))
    rate = len(rows) / (time.perf_counter() - start)
    return rate, _rand([model.predict_one(dict(enumerate(row.tolist()))) for row in rows[-LAST:]], truth)


def _rand(found: list[int], truth: NDArray[np.int64]) -> float:
    return float(adjusted_rand_score(truth[-LAST:], found))
