"""Posts -> micro-clusters, in log order."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models.exact import dot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from consumers.contracts.cell_log import PostRecord
    from models.cluster_table import ClusterTable, Placement

NORM_TOLERANCE = 0.01
"""Float16 changes the length of a unit vector by far less; anything else is no fused vector."""


class Placed(NamedTuple):
    """A post in its micro-cluster.

    Attributes:
        offset: in the cell log.
        vector: float32 (size,), as it stands in the log.
    """

    offset: int
    record: PostRecord
    vector: NDArray[np.float32]
    placement: Placement


def read_vector(data: bytes, size: int) -> NDArray[np.float32] | None:
    """A fused vector of the log (float16) as float32 (size,); None when it is none of this bundle."""
    vectors, usable = read_vectors([data], size)
    return vectors[0] if usable[0] else None


def read_vectors(datas: Sequence[bytes], size: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Fused vectors of the log, float32 (n, size), and which of them are such: bool (n,)."""
    right = [data if len(data) == 2 * size else bytes(2 * size) for data in datas]
    vectors = np.frombuffer(b"".join(right), dtype="<f2").astype(np.float32).reshape(len(datas), size)
    return vectors, np.abs(dot(vectors, vectors) - 1.0) <= NORM_TOLERANCE


def place(
    posts: Sequence[tuple[int, PostRecord]], clusters: ClusterTable, clocks: Sequence[int]
) -> list[tuple[Placed, int]]:
    """Put each post (log offset, record) into its cluster; `clocks` are the cell's clock at each.

    Gives every placed post with its clock; a post whose vector is none of this bundle is left out.
    """
    vectors, usable = read_vectors([record.vector for _, record in posts], clusters.layout.size)
    if not usable.all():
        vectors = vectors[usable]
        posts, clocks = list(itertools.compress(posts, usable)), list(itertools.compress(clocks, usable))
    placements = clusters.learn_many(vectors, [offset for offset, _ in posts], clocks)
    return [
        (Placed(offset, record, vector, placement), clock)
        for (offset, record), vector, placement, clock in zip(posts, vectors, placements, clocks, strict=True)
    ]
