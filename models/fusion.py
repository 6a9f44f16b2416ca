"""Embeddings of several modalities -> one vector, and each modality's share of a similarity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from models.manifest import Manifest

LEAST_NORM = 1e-6
"""An embedding nearer than this to its modality's mean says nothing about the post and counts as absent."""


@dataclass(frozen=True, eq=False)
class FusionLayout:
    """How a fused vector is put together: one block of `dimension` numbers for each modality, in this order.

    Attributes:
        names: the modalities.
        dimension: length of one modality's embedding.
        weights: float32 (modalities,), greater than 0.
        means: float32 (modalities, dimension): each modality's mean embedding; subtracting it removes the gap between
            modalities.
    """

    names: tuple[str, ...]
    dimension: int
    weights: NDArray[np.float32]
    means: NDArray[np.float32]

    @classmethod
    def of(cls, manifest: Manifest) -> FusionLayout:
        """The layout that a bundle's manifest describes."""
        return cls(
            names=tuple(modality.name for modality in manifest.modalities),
            dimension=manifest.dimension,
            weights=np.array([modality.weight for modality in manifest.modalities], dtype=np.float32),
            means=np.array([modality.mean for modality in manifest.modalities], dtype=np.float32),
        )

    @property
    def size(self) -> int:
        """Length of the fused vector."""
        return self.dimension * len(self.names)

    def block(self, name: str) -> slice:
        """Where the modality called `name` stands in the fused vector.

        Raises:
            ValueError: there is no such modality.
        """
        start = self.names.index(name) * self.dimension
        return slice(start, start + self.dimension)

    def fuse(
        self, embeddings: Mapping[str, NDArray[np.float32]], present: Mapping[str, NDArray[np.bool_]]
    ) -> NDArray[np.float32]:
        """Fuse `n` posts: sqrt(w_m / W) * normalise(e_m - mean_m) for each present modality, zeros for absent ones.

        Args:
            embeddings: modality -> float32 (n, dimension), unit norm; rows that are not present are not looked at.
            present: modality -> bool (n,). A modality missing from either mapping is absent in every post.

        Returns:
            float32 (n, size), unit norm; a post without any present modality is all zeros.
        """
        names = [name for name in self.names if name in embeddings and name in present]
        count = len(present[names[0]]) if names else 0
        fused = np.zeros((count, len(self.names), self.dimension))
        total = np.zeros(count)
        for position, name in enumerate(self.names):
            if name not in names:
                continue
            here = np.asarray(present[name], dtype=bool)
            centred = np.asarray(embeddings[name], dtype=np.float64) - self.means[position]
            centred[~here] = 0.0
            norms = np.sqrt((centred * centred).sum(axis=1))
            here = norms > LEAST_NORM
            norms[~here] = np.inf
            fused[:, position] = np.sqrt(self.weights[position]) * centred / norms[:, None]
            total += np.where(here, self.weights[position], 0.0)
        total[total == 0.0] = 1.0
        fused /= np.sqrt(total)[:, None, None]
        return fused.reshape(count, self.size).astype(np.float32)

    def shares(self, vectors: NDArray[np.floating], others: NDArray[np.floating]) -> NDArray[np.float64]:
        """Each modality's part of the dot products between the rows of two arrays; a row of them sums to the product.

        Computed in float64 and row by row, in a fixed order (models.exact): a pair's shares depend neither on its
        neighbours in the array nor on the processor.

        Args:
            vectors: (n, size), or (size,) against every row of `others`.
            others: (n, size).

        Returns:
            float64 (n, modalities). A share may be negative, and is 0 where either side lacks the modality.
        """
        product = np.multiply(vectors, others, dtype=np.float64)
        return np.asarray(np.ascontiguousarray(self._blocks(product)).sum(axis=-1))

    def present(self, vectors: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Which modalities the fused vectors (n, size) hold: bool (n, modalities)."""
        return np.asarray(self._blocks(np.asarray(vectors)).any(axis=-1))

    def cosines(self, vectors: NDArray[np.floating], others: NDArray[np.floating]) -> NDArray[np.float64]:
        """Cosine of the two rows' blocks in every modality: float64 (n, modalities), NaN where either lacks it.

        Takes what `shares` takes.
        """
        norms = np.sqrt(self.shares(vectors, vectors) * self.shares(others, others))
        shares = self.shares(vectors, others)
        return np.divide(shares, norms, out=np.full_like(shares, np.nan), where=norms > 0.0)

    def named(self, shares: NDArray[np.float64]) -> dict[str, float]:
        """One row of `shares` by modality."""
        return dict(zip(self.names, shares.tolist(), strict=True))

    def _blocks(self, array: NDArray[np.floating]) -> NDArray[np.floating]:
        return array.reshape(*array.shape[:-1], len(self.names), self.dimension)
