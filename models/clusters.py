"""Micro-clusters of any stream of numeric features, as a river estimator over the same core as the consumers'."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from river import base

from models.cluster_table import ClusterTable
from models.exact import lengths
from models.fusion import FusionLayout

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from numpy.typing import NDArray

    from models.cluster_table import Placement

NONE = -1
"""The number that stands for no cluster."""

UNIT_ROUNDING = 2e-3
"""A vector whose length is this close to 1 was of unit length before it was rounded, and is taken as it is."""

FIRST_SIZE = 16


class MicroClusters(base.Clusterer):
    """Micro-clusters of directions: what counts is the angle between samples, not their length.

    A sample joins the cluster whose centroid is nearest, if their cosine reaches `join` and the cluster stays
    cohesive; else it opens one. Clusters fade with the samples that follow; now and then twins are merged, and what
    has faded is evicted, so memory is bounded. Sample n opens the cluster with the number n.

    The update is that of BIRCH's cluster features (Zhang, Ramakrishnan and Livny, SIGMOD 1996) on the unit sphere, as
    in spherical k-means (Dhillon and Modha, Machine Learning 42, 2001), with exponential decay.

    Args:
        join: least cosine to the centroid.
        cohesion: least mean pairwise cosine of a cluster.
        twin: clusters that a sample could both have joined are merged at this cosine of their centroids.
        half_life: samples after which a weight has halved.
        maximum: clusters that are kept; beyond it the faintest are evicted.
        fade_weight: a cluster of less weight is evicted.
        maintenance: samples between two rounds of merging and evicting.

    Examples:
        >>> from models.clusters import MicroClusters
        >>> model = MicroClusters(join=0.9)
        >>> for x in ({"a": 1.0}, {"b": 2.0}, {"a": 3.0, "b": 0.1}):
        ...     model.learn_one(x)
        >>> model.predict_one({"a": 5.0, "b": 0.2}), model.predict_one({"b": 0.1}), model.predict_one({"c": 1.0})
        (0, 1, -1)
        >>> model.n_clusters
        2
    """

    def __init__(
        self,
        join: float = 0.7,
        cohesion: float = 0.5,
        twin: float = 0.8,
        half_life: float = 10_000.0,
        maximum: int = 10_000,
        fade_weight: float = 0.05,
        maintenance: int = 2_000,
    ) -> None:
        self.join = join
        self.cohesion = cohesion
        self.twin = twin
        self.half_life = half_life
        self.maximum = maximum
        self.fade_weight = fade_weight
        self.maintenance = maintenance
        self._dimensions: dict[Hashable, int] = {}
        self._samples = 0
        self._rivals: set[tuple[int, int]] = set()
        self._table = ClusterTable(
            _plain(FIRST_SIZE), half_life=half_life, join=join, cohesion=cohesion, attention=1.0
        )

    @property
    def n_clusters(self) -> int:
        """Number of clusters."""
        return len(self._table)

    @property
    def centers(self) -> dict[int, dict[Hashable, float]]:
        """Number of a cluster -> its centroid, of unit length."""
        return {
            key: {name: float(self._table.centroid(key)[place]) for name, place in self._dimensions.items()}
            for key in self._table
        }

    def learn_one(self, x: Mapping[Any, Any]) -> None:
        """Put a sample where it belongs; one without a direction (no features, or all 0) is passed over."""
        self._enter(list(x))
        unit = _unit(self._vector(x))
        if unit is not None:
            self._learn(unit[None])

    def learn_many(self, X: Any) -> None:  # noqa: N803  # river's name
        """Learn the rows of a pandas data frame, one after another: the same as `learn_one` on each, and faster."""
        self._enter(list(X.columns))
        places = [self._dimensions[name] for name in X.columns]
        rows = np.zeros((len(X), self._table.layout.size), dtype=np.float32)
        rows[:, places] = X.to_numpy(dtype=np.float32)
        found = [unit for unit in map(_unit, rows) if unit is not None]
        if found:
            self._learn(np.stack(found))

    def predict_one(self, x: Mapping[Any, Any]) -> int:
        """The number of the cluster whose centroid is nearest, or -1 where none is near enough to join."""
        vector = self._vector(x)
        unit = _unit(vector)
        found = None if unit is None else self._table.predict_one(unit)
        if found is None:
            return NONE
        # features never learnt turn the sample away from every cluster
        share = float(lengths(vector) / lengths(np.fromiter(x.values(), dtype=np.float64)))
        return found[0] if found[1] * share >= self.join else NONE

    def _learn(self, vectors: NDArray[np.float32]) -> None:
        """Learn unit vectors (n, size), with maintenance before every sample whose number is a multiple."""
        while len(vectors):
            if self._samples and self._samples % self.maintenance == 0:
                self._maintain()
            count = min(len(vectors), self.maintenance - self._samples % self.maintenance)
            numbers = range(self._samples, self._samples + count)
            for placement in self._table.learn_many(vectors[:count], numbers, numbers):
                self._note(placement)
            self._samples += count
            vectors = vectors[count:]

    def _note(self, placement: Placement) -> None:
        if placement.rival is not None:
            one, two = placement.cluster, placement.rival
            self._rivals.add((min(one, two), max(one, two)))

    def _maintain(self) -> None:
        clock = self._samples - 1
        merged: dict[int, int] = {}
        for pair in sorted(self._rivals):
            one, two = sorted(_followed(merged, key) for key in pair)
            if one != two and self._table.are_twins(one, two, self.twin, clock):
                self._table.merge(one, two, clock)
                merged[two] = one
        self._rivals.clear()
        for key in self._table.faded(clock, self.fade_weight):
            self._table.remove(key)
        for key in self._table.faintest(len(self._table) - self.maximum):
            self._table.remove(key)

    def _enter(self, names: list[Hashable]) -> None:
        """Give every feature that is new a dimension of its own."""
        for name in names:
            self._dimensions.setdefault(name, len(self._dimensions))
        size = self._table.layout.size
        while size < len(self._dimensions):
            size *= 2
        if size > self._table.layout.size:
            self._table.widen(_plain(size))

    def _vector(self, x: Mapping[Any, Any]) -> NDArray[np.float32]:
        """The features that have been learnt, each in its dimension."""
        vector = np.zeros(self._table.layout.size, dtype=np.float32)
        for name, value in x.items():
            if name in self._dimensions:
                vector[self._dimensions[name]] = value
        return vector


def _plain(size: int) -> FusionLayout:
    """One block of so many dimensions."""
    return FusionLayout(("features",), size, np.ones(1, np.float32), np.zeros((1, size), np.float32))


def _unit(vector: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Its direction; None where it has none."""
    length = float(lengths(vector))
    if abs(length - 1.0) <= UNIT_ROUNDING:
        return vector
    return np.asarray(vector / length, dtype=np.float32) if length > 0.0 and np.isfinite(length) else None


def _followed(merged: Mapping[int, int], key: int) -> int:
    while key in merged:
        key = merged[key]
    return key
