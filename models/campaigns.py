"""Campaigns: micro-clusters that belong together, also across the borders between cells; by DBSCAN or by k-means.

`join_clusters` is DBSCAN over the centroids, by cosine and by the posts that the clusters hold (each cluster counts
as often as it has posts). A border between cells halves a campaign's micro-cluster; its halves lie as near to each
other as two micro-clusters of one cell, so who joins them does not see the border.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import KMeans

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

CORE_POSTS = 3
"""Posts of a cluster that others may be joined by: of fewer, chains of strangers would grow."""

CHUNK = 1024

STARTS = 4
"""Of k-means, which ends in the best of as many local optima."""


def join_clusters(
    centroids: NDArray[np.float32], posts: NDArray[np.int64], *, least: float, core: int = CORE_POSTS
) -> NDArray[np.int64]:
    """The campaign of each micro-cluster.

    Args:
        centroids: float32 (n, size), unit rows.
        posts: (n,) how many posts each has.
        least: cosine from which two clusters are neighbours; the bundle's threshold for exemplars is a good one.
        core: clusters of so many posts hold a campaign together; smaller ones belong to the nearest of them.

    Returns:
        (n,) the index of the first cluster of each one's campaign.
    """
    cores = np.flatnonzero(posts >= core)
    rows: list[NDArray[np.intp]] = []
    columns: list[NDArray[np.intp]] = []
    nearest = np.arange(len(centroids))
    for chunk, cosines in _cosines(centroids, centroids[cores]):
        held = posts[chunk] >= core
        near = cosines >= least
        row, column = np.nonzero(near & held[:, None])
        rows.append(chunk[row])
        columns.append(cores[column])
        if len(cores):
            best = cosines.argmax(axis=1)
            joins = ~held & near[np.arange(len(chunk)), best]
            nearest[chunk[joins]] = cores[best[joins]]
    pairs = (np.concatenate(rows or [cores]), np.concatenate(columns or [cores]))
    graph = coo_array((np.ones(len(pairs[0]), dtype=np.bool_), pairs), shape=(len(centroids), len(centroids)))
    _, labels = connected_components(graph, directed=False)
    _, first, place = np.unique(labels[nearest], return_index=True, return_inverse=True)
    return np.asarray(first[place], dtype=np.int64)


def split_clusters(
    centroids: NDArray[np.float32], posts: NDArray[np.int64], count: int, *, seed: int = 0
) -> NDArray[np.int64]:
    """The campaign of each micro-cluster, of `count` in all, by k-means in which each weighs as many as it has posts.

    Between unit vectors the squared distance is 2 - 2 cos, so the nearest mean is that of the largest cosine, up to
    the means' lengths. Every micro-cluster belongs to some campaign, noise too.

    Args:
        centroids, posts: as `join_clusters` takes them.
        count: at most so many; no more than there are different centroids.

    Returns:
        (n,) the index of the first cluster of each one's campaign.
    """
    if not len(centroids):
        return np.empty(0, dtype=np.int64)
    most = min(count, len(np.unique(centroids, axis=0)))
    labels = KMeans(most, n_init=STARTS, random_state=seed).fit(centroids, sample_weight=posts).labels_
    _, first, place = np.unique(labels, return_index=True, return_inverse=True)
    return np.asarray(first[place], dtype=np.int64)


def usual_count(joined: NDArray[np.int64], posts: NDArray[np.int64], *, core: int = CORE_POSTS) -> int:
    """How many campaigns DBSCAN has found that hold a cluster of `core` posts: a number for k-means, at least 1."""
    return max(1, len(set(joined[posts >= core].tolist())))


def _cosines(
    rows: NDArray[np.float32], others: NDArray[np.float32]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
    """The rows' numbers, some at a time, with their cosines to all others."""
    for start in range(0, len(rows), CHUNK):
        chunk = np.arange(start, min(start + CHUNK, len(rows)))
        yield chunk, rows[chunk] @ others.T
