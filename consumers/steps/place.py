"""Posts -> micro-clusters, in log order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.exact import dot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from consumers.contracts.cell_log import PostRecord
    from models.cluster_table import ClusterTable, Placement

NORM_TOLERANCE = 0.01
"""Float16 changes the length of a unit vector by far less; anything else is no fused vector."""


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
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
    if len(data) != 2 * size:
        return None
    vector = np.frombuffer(data, dtype="<f2").astype(np.float32)
    return vector if abs(float(dot(vector, vector)) - 1.0) <= NORM_TOLERANCE else None


def place(
    posts: Sequence[tuple[int, PostRecord, NDArray[np.float32]]], clusters: ClusterTable, clocks: Sequence[int]
) -> list[Placed]:
    """Put each post (log offset, record, vector) into its cluster; `clocks` are the cell's clock at each."""
    if not posts:
        return []
    vectors = np.stack([vector for _, _, vector in posts])
    placements = clusters.learn_many(vectors, [offset for offset, _, _ in posts], clocks)
    return [Placed(*post, placement) for post, placement in zip(posts, placements, strict=True)]
