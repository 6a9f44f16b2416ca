"""Lists of clusters by direction: a post is compared only with the clusters of the lists nearest to it.

The inverted lists of Jégou, Douze and Schmid, "Product Quantization for Nearest Neighbor Search" (PAMI 2011), over
whole vectors. The directions stay as they are, and the list of a cluster depends on its sum alone: not on the order
in which clusters came, as the links of a graph would. Both are decided exactly (models.exact), so which clusters a
post is compared with is the same on every processor, and after every restart.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
from scipy.special import betaincinv
from sklearn.cluster import MiniBatchKMeans

from models.exact import dot, lengths

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

BLOCK = 2048
"""Vectors that are sorted into lists at a time."""

POSTS = 128
"""Compared with all clusters at a time."""

LEARNED_FROM = 64
"""Clusters a list that directions are learned from, at most: more move them by nothing that recall shows."""

PASSES = 10
"""Over the clusters that directions are learned from, at most."""

DOUBT = 0.05
"""How often a share that is said to be surely reached may not be."""


class Sample(NamedTuple):
    """Posts that recall is measured on, as if they were still to come.

    A post that is in a cluster has drawn the cluster's sum to itself, and that towards the lists it looks into first:
    it would be found more often than those to come. So its own cluster is taken as it were without it.

    Attributes:
        posts: float32 (m, size), unit rows.
        homes: int64 (m,), the cluster that each is in, by its place among the centroids; -1 for none.
        others: float32 (m, size), the centroid of all else in that cluster; zeros where nothing is.
    """

    posts: NDArray[np.float32]
    homes: NDArray[np.int64]
    others: NDArray[np.float32]

    @classmethod
    def to_come(cls, posts: NDArray[np.float32]) -> Self:
        """Posts that are in no cluster."""
        return cls(posts, np.full(len(posts), -1, dtype=np.int64), np.zeros_like(posts))

    def parts(self, count: int) -> Iterator[Sample]:
        """The same, so many posts at a time."""
        for start in range(0, len(self.posts), count):
            part = slice(start, start + count)
            yield Sample(self.posts[part], self.homes[part], self.others[part])


@dataclass(frozen=True, eq=False)
class Lists:
    """Directions, each with a list.

    Attributes:
        directions: float32 (lists, size), rows of about unit length.
        probes: lists that a post looks into.
    """

    directions: NDArray[np.float32]
    probes: int
    _longest: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 1 <= self.probes <= len(self.directions):
            raise ValueError(f"{self.probes} probes of {len(self.directions)} lists")
        object.__setattr__(self, "_longest", float(lengths(self.directions).max()))

    def __len__(self) -> int:
        return len(self.directions)

    def same_directions(self, other: Lists) -> bool:
        """Whether every cluster is in the same list of both."""
        return np.array_equal(self.directions, other.directions)

    def homes(self, sums: NDArray[np.float32]) -> NDArray[np.int32]:
        """The list of each of some clusters, by their sums (n, size): int32 (n,). Equal products: the lower list."""
        found = np.empty(len(sums), dtype=np.int32)
        for start in range(0, len(sums), BLOCK):
            part = sums[start : start + BLOCK]
            products = part @ self.directions.T
            close = products >= (products.max(axis=1) - self._slack(part))[:, None]
            found[start : start + BLOCK] = products.argmax(axis=1)
            for row in np.flatnonzero(close.sum(axis=1) > 1).tolist():
                among = np.flatnonzero(close[row])
                found[start + row] = among[dot(part[row], self.directions[among]).argmax()]
        return found

    def reached(self, units: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which lists each of some posts (n, size) looks into: (n, lists), `probes` of them in each row."""
        products = units @ self.directions.T
        last = np.partition(products, -self.probes, axis=1)[:, -self.probes]
        slack = self._slack(units)
        reached = products >= (last - slack)[:, None]
        sure = products > (last + slack)[:, None]
        for row in np.flatnonzero(reached.sum(axis=1) > self.probes).tolist():
            doubtful = np.flatnonzero(reached[row] & ~sure[row])
            exact = dot(units[row], self.directions[doubtful])
            nearest = doubtful[np.argsort(-exact, kind="stable")]
            reached[row, nearest[self.probes - int(sure[row].sum()) :]] = False
        return reached

    def _slack(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """More than two products of these rows with directions can be wrong together, in whatever order: (n,)."""
        most = 2.0 * (rows.shape[1] + 16.0) * 2.0**-24 * self._longest
        return np.asarray(most * lengths(rows), dtype=np.float32)


def learn_directions(centroids: NDArray[np.float32], count: int, *, seed: int = 0) -> NDArray[np.float16]:
    """Directions of `count` lists for these clusters, by k-means: float16 (count, size), unit rows up to rounding.

    Args:
        centroids: float32 (n, size), unit rows; n is at least `count`.
        seed: picks those that are learned from, where there are many.
    """
    if len(centroids) > LEARNED_FROM * count:
        picked = np.random.default_rng(seed).choice(len(centroids), LEARNED_FROM * count, replace=False)
        centroids = centroids[np.sort(picked)]
    means = MiniBatchKMeans(count, batch_size=4096, n_init=1, max_iter=PASSES, random_state=seed)
    found = means.fit(centroids).cluster_centers_
    norms = np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-6)
    return np.asarray(found / norms, dtype=np.float16)


def found_by_probes(
    directions: NDArray[np.float32], centroids: NDArray[np.float32], sample: Sample, join: float
) -> NDArray[np.int64]:
    """Of how many posts the nearest cluster is found: int64 (lists,), ascending.

    Number k is for k + 1 probes; the last one is all the posts that some cluster is near enough for.

    Args:
        directions: float32 (lists, size).
        centroids: float32 (n, size), unit rows.
        join: cosine from which a cluster is near enough.
    """
    lists_of = np.concatenate(
        [
            (centroids[start : start + BLOCK] @ directions.T).argmax(axis=1)
            for start in range(0, len(centroids), BLOCK)
        ]
    )
    needed = np.zeros(len(directions), dtype=np.int64)
    for part in sample.parts(POSTS):
        products = part.posts @ centroids.T
        held = np.flatnonzero(part.homes >= 0)
        products[held, part.homes[held]] = (part.posts[held] * part.others[held]).sum(axis=1)
        nearest, cosines = products.argmax(axis=1), products.max(axis=1)
        found_in = lists_of[nearest]
        own = np.flatnonzero(nearest == part.homes)
        found_in[own] = (part.others[own] @ directions.T).argmax(axis=1)
        lists = part.posts @ directions.T
        ranks = (lists > lists[np.arange(len(lists)), found_in][:, None]).sum(axis=1)[cosines >= join]
        needed += np.bincount(ranks, minlength=len(directions))
    return np.asarray(needed.cumsum())


def sure_share(found: NDArray[np.int64], of: int) -> NDArray[np.float64]:
    """The share that posts to come reach, but for DOUBT, where so many of a sample did: below the sample's own.

    The exact bound of Clopper and Pearson (1934), on one side. For the fewest probes of which it is great enough the
    doubt is no greater: what more probes find grows with them in the sample as it does among all posts.
    """
    shares = np.zeros(len(found))
    some = found > 0
    shares[some] = betaincinv(found[some], of - found[some] + 1.0, DOUBT)
    return shares
