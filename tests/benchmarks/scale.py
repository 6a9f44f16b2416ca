"""The cost of a post by the number of clusters, in one core and one cell, exactly and by lists, with a picture.

    python -m tests.benchmarks.scale [--most 1000000] [--size 768] [--picture docs/pictures/assign-scale.svg]

A million clusters of 768 dimensions take 3.3 GB here.
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from threadpoolctl import threadpool_limits

from consumers.changes.kept_posts import MOST_POSTS
from consumers.changes.lists import Learned, learn_lists
from models.candidates import CHUNK
from models.cluster_features import ClusterFeature
from models.cluster_table import ClusterTable
from models.fusion import FusionLayout
from models.lists import Lists, Sample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

STEPS = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
COSINE = 0.9
HALF_LIFE = 1e9
JOIN, COHESION = 0.7, 0.5
ROUNDS = 3
"""The best counts."""

LISTED = 30_000
"""From so many clusters on, search by lists is measured too, in turns with the exact one."""

RECALL = 0.999
LISTED_CHUNKS = 15
"""Of posts in each round, after one that sorts the clusters into their lists. Recall is that of all of them, which
the lists were not chosen on."""

FILL = 5_000


@dataclass
class ScaleFigures:
    """What was measured, by the number of clusters.

    Attributes:
        microseconds: of processor time a post, compared with all clusters.
        listed: the same by lists.
        recall: share of the posts that found their nearest cluster by lists.
        posts: how many those were.
        lists: (lists that a post looks into, all of them).
        bytes: a cluster.
    """

    size: int = 0
    microseconds: dict[int, float] = field(default_factory=dict)
    listed: dict[int, float] = field(default_factory=dict)
    recall: dict[int, float] = field(default_factory=dict)
    posts: dict[int, int] = field(default_factory=dict)
    lists: dict[int, tuple[int, int]] = field(default_factory=dict)
    bytes: dict[int, float] = field(default_factory=dict)

    def numbers(self) -> dict[str, Any]:
        """For build/bench.json."""
        return asdict(self)

    def rows(self) -> Iterator[tuple[str, str]]:
        """For a table."""
        for clusters, cost in self.microseconds.items():
            memory = f"{self.bytes[clusters]:.0f} bytes a cluster"
            yield f"a post among {clusters} clusters", f"{cost:.0f} µs at {self.size} dimensions; {memory}"
            if clusters in self.listed:
                probes, lists = self.lists[clusters]
                found = f"recall {self.recall[clusters]:.4f} of {self.posts[clusters]} by {probes} of {lists} lists"
                yield f"by lists among {clusters}", f"{self.listed[clusters]:.0f} µs; {found}"


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
    table = ClusterTable(layout, half_life=HALF_LIFE, join=JOIN, cohesion=COHESION, attention=1.0)
    fresh = itertools.count(10**9)
    for clusters in STEPS:
        if clusters > most:
            break
        while len(table) < clusters:
            _fill(table, rng, min(FILL, clusters - len(table)), size)
        figures.bytes[clusters] = (process.memory_info().rss - before) / clusters
        if clusters < LISTED:
            figures.microseconds[clusters] = min(_exact_cost(table, rng, clusters, fresh) for _ in range(ROUNDS))
        else:
            _measure_both(figures, table, rng, clusters, fresh)
    return figures


def _measure_both(
    figures: ScaleFigures, table: ClusterTable, rng: np.random.Generator, clusters: int, fresh: Iterator[int]
) -> None:
    """Exact search and search by lists in turns; the table compares with all clusters before and after."""
    learned = _learn(table, rng, clusters)
    directions = np.frombuffer(learned.lists.directions, dtype="<f2").astype(np.float32).reshape(-1, figures.size)
    lists = Lists(directions, learned.lists.probes)
    exact, listed, found = [], [], 0
    for _ in range(ROUNDS):
        exact.append(_exact_cost(table, rng, clusters, fresh))
        _search(table, lists)
        first, *others = [_cost(table, rng, clusters, fresh) for _ in range(1 + LISTED_CHUNKS)]
        listed += [cost for cost, _ in others]
        found += first[1] + sum(number for _, number in others)
        _search(table, None)
    figures.microseconds[clusters], figures.listed[clusters] = min(exact), min(listed)
    figures.posts[clusters] = CHUNK * ROUNDS * (1 + LISTED_CHUNKS)
    figures.recall[clusters] = found / figures.posts[clusters]
    figures.lists[clusters] = (lists.probes, len(lists))


def _learn(table: ClusterTable, rng: np.random.Generator, clusters: int) -> Learned:
    """Lists as `shoal settings lists` learns them."""
    centroids = np.empty((clusters, table.layout.size), dtype=np.float32)
    for key in range(clusters):
        centroids[key] = table.centroid(key)
    posts = _near(centroids[rng.integers(0, clusters, MOST_POSTS)], rng)
    learned = learn_lists(centroids, Sample.to_come(posts), join=JOIN, recall=RECALL)
    assert learned is not None  # so many posts can tell
    return learned


def _search(table: ClusterTable, lists: Lists | None) -> None:
    table.retune(half_life=HALF_LIFE, join=JOIN, cohesion=COHESION, attention=1.0, clock=0, lists=lists)


def _fill(table: ClusterTable, rng: np.random.Generator, count: int, size: int) -> None:
    for row in _unit(rng.standard_normal((count, size), dtype=np.float32)):
        table.insert(len(table), ClusterFeature(1.0, 1.0, row, 0), count=1, opened=0, seen=0, watched=False)


def _exact_cost(table: ClusterTable, rng: np.random.Generator, clusters: int, fresh: Iterator[int]) -> float:
    cost, found = _cost(table, rng, clusters, fresh)
    if found < CHUNK:
        raise SystemExit("a post did not join its cluster")
    return cost


def _cost(table: ClusterTable, rng: np.random.Generator, clusters: int, fresh: Iterator[int]) -> tuple[float, int]:
    """Microseconds a post, of a chunk near clusters drawn evenly, and how many of the posts joined those."""
    drawn = rng.integers(0, clusters, CHUNK).tolist()
    rows = _near(np.stack([table.centroid(key) for key in drawn]), rng)
    vectors = np.asarray(rows.astype(np.float16), dtype=np.float32)
    keys = list(itertools.islice(fresh, CHUNK))
    start = time.thread_time()
    placed = table.learn_many(vectors, keys, [0] * CHUNK)
    spent = time.thread_time() - start
    found = sum(placement.cluster == key for placement, key in zip(placed, drawn, strict=True))
    for key in [placement.cluster for placement in placed if placement.opened]:
        table.remove(key)
    return 1e6 * spent / CHUNK, found


def _near(centres: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """A unit vector at a cosine of COSINE, nearly, to each of these."""
    noise = _unit(rng.standard_normal(centres.shape, dtype=np.float32))
    return _unit(COSINE * centres + np.float32(np.sqrt(1 - COSINE**2)) * noise)


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def draw(figures: ScaleFigures, path: Path) -> None:
    """The picture, with the line of the matrix product alone."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    clusters, cost = list(figures.microseconds), list(figures.microseconds.values())
    plane, axes = plt.subplots(figsize=(6, 4))
    axes.loglog(clusters, cost, "o-", label="compared with all")
    if figures.listed:
        axes.loglog(list(figures.listed), list(figures.listed.values()), "s-", label="by lists")
    slope = cost[-1] / clusters[-1]
    axes.loglog(clusters, [slope * count for count in clusters], "--", label="in proportion to the clusters")
    axes.set_xlabel("micro-clusters of the cell")
    axes.set_ylabel("µs a post, one core")
    axes.set_title(f"Assigning a post, {figures.size} dimensions")
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
