"""The cost of a post by the number of clusters, in one core and one cell, with a picture.

    python -m tests.benchmarks.scale [--most 1000000] [--size 768] [--picture docs/pictures/assign-scale.svg]

A million clusters of 768 dimensions take 3.3 GB here.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from threadpoolctl import threadpool_limits

from models.candidates import CHUNK
from models.cluster_features import ClusterFeature
from models.cluster_table import ClusterTable
from models.fusion import FusionLayout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

STEPS = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
COSINE = 0.9
ROUNDS = 3
"""The best counts."""

FILL = 5_000


@dataclass
class ScaleFigures:
    """Microseconds of processor time a post, and bytes a cluster, by the number of clusters."""

    size: int = 0
    microseconds: dict[int, float] = field(default_factory=dict)
    bytes: dict[int, float] = field(default_factory=dict)

    def numbers(self) -> dict[str, Any]:
        """For build/bench.json."""
        return asdict(self)

    def rows(self) -> Iterator[tuple[str, str]]:
        """For a table."""
        for clusters, cost in self.microseconds.items():
            memory = f"{self.bytes[clusters]:.0f} bytes a cluster"
            yield f"a post among {clusters} clusters", f"{cost:.0f} µs at {self.size} dimensions; {memory}"


def measure_scale(most: int = 100_000, size: int = 768) -> ScaleFigures:
    """Place posts among more and more clusters, in this thread; the way to a million takes some minutes."""
    with threadpool_limits(1, "blas"):
        return _measure(most, size)


def _measure(most: int, size: int) -> ScaleFigures:
    figures = ScaleFigures(size)
    layout = FusionLayout(("all",), size, np.ones(1, np.float32), np.zeros((1, size), np.float32))
    rng = np.random.default_rng(0)
    process = psutil.Process(os.getpid())
    before = process.memory_info().rss
    table = ClusterTable(layout, half_life=1e9, join=0.7, cohesion=0.5, attention=1.0)
    for clusters in STEPS:
        if clusters > most:
            break
        while len(table) < clusters:
            _fill(table, rng, min(FILL, clusters - len(table)), size)
        figures.bytes[clusters] = (process.memory_info().rss - before) / clusters
        figures.microseconds[clusters] = min(_cost(table, rng, size, number) for number in range(ROUNDS))
    return figures


def _fill(table: ClusterTable, rng: np.random.Generator, count: int, size: int) -> None:
    for row in _unit(rng.standard_normal((count, size), dtype=np.float32)):
        table.insert(len(table), ClusterFeature(1.0, 1.0, row, 0), count=1, opened=0, seen=0, watched=False)


def _cost(table: ClusterTable, rng: np.random.Generator, size: int, number: int) -> float:
    """Microseconds a post, of a chunk that joins clusters drawn evenly."""
    centres = np.stack([table.centroid(key) for key in rng.integers(0, len(table), CHUNK).tolist()])
    rows = COSINE * centres + np.sqrt(1 - COSINE**2) * _unit(rng.standard_normal((CHUNK, size), dtype=np.float32))
    vectors = np.asarray(_unit(rows).astype(np.float16), dtype=np.float32)
    start = time.thread_time()
    placed = table.learn_many(vectors, range(10**9 + CHUNK * number, 10**9 + CHUNK * (number + 1)), [0] * CHUNK)
    spent = time.thread_time() - start
    if any(placement.opened for placement in placed):
        raise SystemExit("a post did not join")
    return 1e6 * spent / CHUNK


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def draw(figures: ScaleFigures, path: Path) -> None:
    """The picture, with the line of the matrix product alone."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    clusters, cost = list(figures.microseconds), list(figures.microseconds.values())
    plane, axes = plt.subplots(figsize=(6, 4))
    axes.loglog(clusters, cost, "o-", label="a post, measured")
    slope = cost[-1] / clusters[-1]
    axes.loglog(clusters, [slope * count for count in clusters], "--", label="in proportion to the clusters")
    axes.set_xlabel("micro-clusters of the cell")
    axes.set_ylabel("µs a post, one core")
    axes.set_title(f"Assigning, exact search, {figures.size} dimensions")
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend()
    plane.tight_layout()
    plane.savefig(path, metadata={"Date": None})
    plt.close(plane)


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=100_000, help="clusters, at most (default 100000)")
    parser.add_argument("--size", type=int, default=768, help="dimensions (default 768)")
    parser.add_argument("--picture", type=Path, help="where the picture goes")
    options = parser.parse_args()
    figures = measure_scale(options.most, options.size)
    for name, told in figures.rows():
        print(f"{name:34} {told}")
    if options.picture is not None:
        options.picture.parent.mkdir(parents=True, exist_ok=True)
        draw(figures, options.picture)


if __name__ == "__main__":
    main()
