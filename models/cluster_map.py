"""A map of micro-clusters: unit vectors to points in a plane, near ones near each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEW = 8
"""So few clusters are shown as they lie along the two directions in which they differ most."""

NEIGHBOURS = 30.0


def map_clusters(centroids: NDArray[np.float32], *, seed: int = 0) -> NDArray[np.float32]:
    """Points for unit rows (n, size): float32 (n, 2) from 0 to 1, by t-SNE on cosines; the same for the same input.

    Neighbourhoods are kept, distances are not: how far apart two groups are says nothing.
    """
    if len(centroids) < 2 or not np.ptp(centroids, axis=0).any():
        return np.full((len(centroids), 2), 0.5, dtype=np.float32)
    if len(centroids) < FEW:
        points = PCA(2, random_state=seed).fit_transform(np.pad(centroids, ((0, 1), (0, 0)), mode="mean"))[:-1]
    else:
        perplexity = min(NEIGHBOURS, (len(centroids) - 1) / 3)
        points = TSNE(2, perplexity=perplexity, metric="cosine", random_state=seed).fit_transform(centroids)
    low, high = points.min(axis=0), points.max(axis=0)
    spread = np.where(high > low, high - low, 1.0)
    return np.asarray(np.where(high > low, (points - low) / spread, 0.5), dtype=np.float32)
