"""Micro-clusters that a border between cells keeps apart: linked at the cosine at which posts join a cluster.

A post whose cluster is over the border opens another one on its side. Two clusters of different cells have no common
writer, so nobody merges them; whoever reads both can tell that they are one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK = 1024


def link_over_borders(centroids: NDArray[np.float32], cells: NDArray[np.int64], *, least: float) -> NDArray[np.int64]:
    """The group of each micro-cluster: those that links between cells hold together.

    Args:
        centroids: float32 (n, size), unit rows.
        cells: (n,) the cell of each.
        least: cosine from which two clusters of different cells are linked; that of joining.

    Returns:
        (n,) the index of the first cluster of each one's group.
    """
    count = len(centroids)
    rows: list[NDArray[np.intp]] = [np.empty(0, dtype=np.intp)]
    columns = list(rows)
    for start in range(0, count, CHUNK):
        part = slice(start, start + CHUNK)
        linked = (centroids[part] @ centroids.T >= least) & (cells[part, None] != cells)
        row, column = np.nonzero(linked)
        rows.append(row + start)
        columns.append(column)
    pairs = np.concatenate(rows), np.concatenate(columns)
    graph = coo_array((np.ones(len(pairs[0]), dtype=np.bool_), pairs), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    _, first, place = np.unique(labels, return_index=True, return_inverse=True)
    return np.asarray(first[place], dtype=np.int64)
