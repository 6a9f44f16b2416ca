"""Exact search beside indexes, and beside an exact search that first looks at a few dimensions.

    python -m tests.benchmarks.index [--clusters 20000,100000,300000] [--indexes hnswlib,faiss-lists]

Vectors are drawn evenly, or like ours: fused embeddings of the simulated stream by the bundle, each disturbed along
other posts and a little in every direction. Costs are processor time of one thread.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from threadpoolctl import threadpool_limits

from consumers.bundles import find_bundle
from consumers.demo.encoder_rate import decoded_post
from consumers.demo.feed import post_of
from consumers.settings import Settings
from consumers.steps.embed import embed
from consumers.steps.fuse import fuse
from models.bundle import open_bundle
from models.candidates import BLOCK, CHUNK, find_candidates, slack
from models.synthetic.posts import StreamPlan, generate_stream
from tests.benchmarks.indexes import INDEXES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Draw = Callable[[int], Vectors]

POSTS = 1500
ALONG_POSTS, EVERYWHERE = 0.35, 0.3
"""How far a vector like ours is moved: along other posts, and along all directions alike."""

NOISE = 0.4
"""Of a post beside its cluster."""

KEPT = (32, 64, 96, 128, 192)
SEARCHES = 2048
"""Posts that an index is asked for."""

RECALL = 0.999
ROUNDS = 3
"""The best counts."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clusters", default="20000,100000,300000")
    parser.add_argument("--indexes", default=",".join(INDEXES), help="some of them, or none")
    options = parser.parse_args()
    names = [name for name in options.indexes.split(",") if name in INDEXES]
    rng = np.random.default_rng(75)
    posts, join = embedded_posts()
    draws: dict[str, Draw] = {
        "like ours": lambda n: like(posts, n, rng),
        "even": lambda n: even(n, posts.shape[1], rng),
    }
    with threadpool_limits(1):
        for count in map(int, options.clusters.split(",")):
            for name, draw in draws.items():
                centroids = draw(count)
                units = unit(centroids[rng.integers(0, count, SEARCHES)] + NOISE * draw(SEARCHES))
                print(f"{count} clusters, {name}, {posts.shape[1]} dimensions, join {join}", flush=True)
                for line in measure(centroids, units, join, names):
                    print(f"    {line}", flush=True)


def measure(centroids: Vectors, posts: Vectors, join: float, names: list[str]) -> Iterator[str]:
    """All ways to find the clusters near some posts: exactly, in chunks as in the fold, and by these indexes."""
    units = posts[:CHUNK]
    bounds = np.full(len(centroids), join - slack(units.shape[1]), dtype=np.float32)
    exact = cost(lambda: find_candidates(units, units, centroids, bounds), len(units))
    near = np.flatnonzero(reached(units, centroids, join))
    share = len(near) / len(centroids)
    yield f"exact: {exact:.0f} µs a post; {share:.1%} of the clusters are near one of {CHUNK} posts"
    rotation = principal(centroids)
    for kept in KEPT:
        pruned = Pruned(centroids, rotation[:, :kept], join)
        found = pruned.near(units)
        if not np.isin(near, found).all():
            raise SystemExit("the pruned search missed a cluster")
        spent = cost(partial(pruned.near, units), len(units))
        told = f"{spent:.0f} µs a post ({exact / spent:.2f} times as fast)"
        yield f"{kept} dimensions first: {told}; {pruned.left / len(centroids):.1%} of the clusters are left"
    for name in names:
        yield from measure_index(name, centroids, posts)


class Pruned:
    """An exact search that multiplies the first rotated dimensions, and all of them only where that may reach.

    By Cauchy and Schwarz a cosine is at most the product over those plus the product of the lengths of the rest: one
    more column.
    """

    def __init__(self, centroids: Vectors, rotation: Vectors, join: float) -> None:
        self._centroids, self._rotation, self._join = centroids, rotation, join
        self._first = self._bounding(centroids)
        self.left = 0

    def near(self, units: Vectors) -> NDArray[np.intp]:
        """The clusters at a cosine of `join` or more to any of the posts, and some within the rounding of it."""
        least = self._join - slack(units.shape[1])
        first = self._bounding(units)
        slots: list[NDArray[np.intp]] = []
        self.left = 0
        for start in range(0, len(self._centroids), BLOCK):
            most = (first @ self._first[start : start + BLOCK].T).max(axis=0)
            left = np.flatnonzero(most >= least) + start
            self.left += len(left)
            if len(left):
                slots.append(left[reached(units, self._centroids[left], least)])
        return np.concatenate(slots or [np.empty(0, dtype=np.intp)])

    def _bounding(self, rows: Vectors) -> Vectors:
        parts = rows @ self._rotation
        rest = np.sqrt(np.maximum(1.0 - (parts * parts).sum(axis=1), 0.0))
        return np.ascontiguousarray(np.hstack([parts, rest[:, None]]), dtype=np.float32)


def measure_index(name: str, centroids: Vectors, units: Vectors) -> Iterator[str]:
    """An index at the smallest effort that finds the nearest cluster often enough."""
    spent = time.process_time()
    made = INDEXES[name](centroids)
    building = 1e6 * (time.process_time() - spent) / len(centroids)
    yield f"{name}: {building:.0f} µs to add a cluster"
    best = np.concatenate([(part @ centroids.T).max(axis=1) for part in np.array_split(units, len(units) // 32)])
    for effort in made.efforts:
        spent = time.process_time()
        found = made.found(units, effort)
        searching = 1e6 * (time.process_time() - spent) / len(units)
        recall = float(((units * centroids[found]).sum(axis=1) >= best - 1e-5).mean())
        yield f"{name}: recall {recall:.4f} at effort {effort}, {searching:.0f} µs a post"
        if recall >= RECALL:
            break
    moved = np.arange(0, len(centroids), max(1, len(centroids) // CHUNK))[:CHUNK]
    rows = unit(9 * centroids[moved] + units[: len(moved)])
    spent = time.process_time()
    for key, row in zip(moved.tolist(), rows, strict=True):
        made.move(key, row)
    yield f"{name}: {1e6 * (time.process_time() - spent) / len(moved):.0f} µs to follow a centroid that moved"


def cost(work: Callable[[], object], count: int) -> float:
    """Microseconds of processor time for each of `count`."""
    least = float("inf")
    for _ in range(ROUNDS):
        before = time.process_time()
        work()
        least = min(least, time.process_time() - before)
    return 1e6 * least / count


def reached(units: Vectors, rows: Vectors, join: float) -> NDArray[np.bool_]:
    """Which rows are at this cosine to any of the posts."""
    parts = [(units @ rows[start : start + BLOCK].T).max(axis=0) for start in range(0, len(rows), BLOCK)]
    return np.concatenate(parts) >= join


def principal(rows: Vectors) -> Vectors:
    """A rotation whose first columns say most."""
    some = rows[:20_000].astype(np.float64)
    return np.ascontiguousarray(np.linalg.eigh(some.T @ some)[1][:, ::-1], dtype=np.float32)


def embedded_posts() -> tuple[Vectors, float]:
    """Fused vectors of posts of the simulated stream, and the bundle's `join`."""
    settings = Settings()
    bundle = open_bundle(find_bundle(settings.bundle), provider="cpu", intra_op_threads=1)
    stream = generate_stream(StreamPlan(seed=75, posts=POSTS))
    made = [decoded_post(settings, bundle, msgspec.json.encode(post_of(post))) for post in stream]
    works = [work for work in made if work.failure is None]
    for start in range(0, len(works), 64):
        embed(works[start : start + 64], bundle)
    fuse(works, bundle.layout)
    vectors = [work.vector for work in works if work.vector is not None]
    return np.stack(vectors).astype(np.float32), bundle.manifest.thresholds.join


def like(posts: Vectors, count: int, rng: np.random.Generator) -> Vectors:
    """Vectors like these posts: (count, size)."""
    found = posts[rng.integers(0, len(posts), count)]
    for _ in range(4):
        weights = rng.standard_normal((count, 1), dtype=np.float32) * np.float32(ALONG_POSTS / 2)
        found += weights * posts[rng.integers(0, len(posts), count)]
    return unit(found + EVERYWHERE * even(count, posts.shape[1], rng))


def even(count: int, size: int, rng: np.random.Generator) -> Vectors:
    """Directions drawn evenly: (count, size)."""
    return unit(rng.standard_normal((count, size), dtype=np.float32))


def unit(rows: Vectors) -> Vectors:
    """The rows at unit length."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


if __name__ == "__main__":
    main()
