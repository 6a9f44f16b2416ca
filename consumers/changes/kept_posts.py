"""A cell's clusters, and posts that it keeps, each with what its cluster would be without it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from consumers.state import codec
from consumers.state.codec import ClusterValue, EvidenceValue, MemberValue
from consumers.state.tables import number_of
from consumers.steps.place import read_vectors
from models.cluster_features import decay
from models.cluster_table import NOTHING
from models.lists import Sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from consumers.state.store import StateStore

MOST_POSTS = 20_000
"""Kept posts that recall is measured on. That .999 are found is sure where of so many at most 12 are not; of 3,000,
none may be missing, which takes more lists than are needed."""


@dataclass(frozen=True, eq=False)
class Clusters:
    """The clusters of a cell in one order: the log offsets that opened them, their values, and sums (n, size)."""

    keys: Sequence[int]
    values: Sequence[ClusterValue]
    sums: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def centroids(self) -> NDArray[np.float32]:
        """Unit rows."""
        return _units(self.sums)


def read_clusters(store: StateStore, cell: int) -> Clusters:
    """All clusters of a cell.

    Raises:
        StateUnavailable, CodecError.
    """
    found = {number_of(entry): codec.decode(ClusterValue, entry) for entry in store.entries(cell, "clusters")}
    values = list(found.values())
    if not values:
        return Clusters([], [], np.empty((0, 0), dtype=np.float32))
    return Clusters(list(found), values, codec.sums_of_many(values, len(codec.sums_of(values[0]))))


def sample_posts(store: StateStore, cell: int, clusters: Clusters, half_life_seconds: float) -> Sample:
    """Some of the posts that a cell keeps, evenly.

    Raises:
        StateUnavailable, CodecError.
    """
    entries = list(store.entries(cell, "members"))
    picked = entries[:: max(1, len(entries) // MOST_POSTS)][:MOST_POSTS]
    members = codec.decode_many(MemberValue, picked)
    vectors, usable = read_vectors([member.vector for member in members], clusters.sums.shape[1])
    places = {offset: place for place, value in enumerate(clusters.values) for offset in value.members}
    homes = np.array([places.get(number_of(entry), -1) for entry in picked], dtype=np.int64)
    others = np.zeros_like(vectors)
    watched = _watched_since(store, cell)
    for row in np.flatnonzero(homes >= 0).tolist():
        key, value = clusters.keys[homes[row]], clusters.values[homes[row]]
        faded = min(value.time, watched.get(key, value.time))
        weight = decay(members[row].clock, faded, 1000.0 * half_life_seconds)
        if value.weight - weight > NOTHING:
            others[row] = clusters.sums[homes[row]] - np.float32(weight) * vectors[row]
    return Sample(_units(vectors[usable]), homes[usable], _units(others[usable]))


def _watched_since(store: StateStore, cell: int) -> dict[int, int]:
    """When clusters with evidence ceased to fade, as far as their oldest verdict still counts."""
    found: dict[int, int] = {}
    for entry in store.entries(cell, "evidence"):
        value = codec.decode(EvidenceValue, entry)
        found[value.cluster] = min(value.time, found.get(value.cluster, value.time))
    return found


def _units(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same directions, each of length one; zeros stay."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0.0))
