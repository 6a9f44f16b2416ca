"""Reading the state for people: the command line, searches and consoles. Reads what the last batch wrote."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from consumers.bundles import find_bundle
from consumers.names import cluster_id, place_of_cluster
from consumers.state import codec
from consumers.state.codec import ClusterValue, Entry, EvidenceValue, LabelValue, MemberValue
from consumers.state.store import StateStore
from models.cluster_features import cohesion, decay
from models.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from consumers.settings import Settings
    from models.manifest import Manifest


@dataclass(frozen=True, slots=True)
class ClusterSummary:
    """A micro-cluster in a line.

    Attributes:
        weight: decayed to the cell's clock; a cluster with evidence does not fade.
        count: posts that ever joined.
        labels: policy -> label.
        opened, seen: milliseconds since 1970.
        members: log offsets of the recent posts kept, oldest first.
    """

    cluster_id: str
    weight: float
    count: int
    cohesion: float
    labels: dict[str, LabelValue]
    opened: int
    seen: int
    members: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ClusterDetail:
    """A micro-cluster with its recent members by log offset, oldest first, and the verdicts that count for it."""

    summary: ClusterSummary
    members: list[tuple[int, MemberValue]]
    evidence: list[EvidenceValue]


@contextmanager
def opened_state(settings: Settings) -> Iterator[tuple[Manifest, StateStore]]:
    """The manifest of the bundle in use, and the store of its cells, open as long as the block lasts."""
    manifest = read_manifest(find_bundle(settings.bundle))
    store = StateStore(settings.redis, manifest.bundle_id, settings.assign.cells)
    try:
        yield manifest, store
    finally:
        store.close()


def list_clusters(store: StateStore, cell: int, half_life_seconds: float) -> Iterator[ClusterSummary]:
    """All micro-clusters of a cell, in no order, read in pieces.

    Raises:
        StateUnavailable, CodecError.
    """
    return (summary for summary, _ in list_centroids(store, cell, half_life_seconds))


def list_centroids(
    store: StateStore, cell: int, half_life_seconds: float
) -> Iterator[tuple[ClusterSummary, NDArray[np.float32]]]:
    """All micro-clusters of a cell with their centroids (float32, unit norm), in no order, read in pieces.

    Raises:
        StateUnavailable, CodecError.
    """
    labels = read_labels(store, cell)
    clock = _clock(store, cell)
    seen: set[str] = set()
    for entry in store.entries(cell, "clusters"):
        if entry.field not in seen:
            seen.add(entry.field)
            sums = codec.sums_of(codec.decode(ClusterValue, entry))
            summary = _summary(cell, entry, labels.get(entry.field, {}), clock, half_life_seconds)
            yield summary, sums / np.linalg.norm(sums)


def read_labels(store: StateStore, cell: int) -> dict[str, dict[str, LabelValue]]:
    """The labels of a cell: field of a cluster -> policy -> label.

    Raises:
        StateUnavailable, CodecError.
    """
    found: dict[str, dict[str, LabelValue]] = {}
    for entry in store.entries(cell, "labels"):
        cluster, _, policy = entry.field.partition(":")
        found.setdefault(cluster, {})[policy] = codec.decode(LabelValue, entry)
    return found


def show_cluster(store: StateStore, given: str, half_life_seconds: float) -> ClusterDetail | None:
    """One micro-cluster, also under the id of one that was merged into it; None when there is none.

    Raises:
        StateUnavailable, CodecError.
    """
    place = place_of_cluster(given)
    if place is None or not place[0] < store.cells:
        return None
    cell, cluster = place
    found = store.some_entries(cell, "clusters", [str(cluster)])
    while not found:
        redirect = store.some_entries(cell, "redirects", [str(cluster)])
        if not redirect:
            return None
        cluster = codec.decode(int, redirect[0])
        found = store.some_entries(cell, "clusters", [str(cluster)])
    labels = read_labels(store, cell).get(str(cluster), {})
    offsets = [str(offset) for offset in codec.decode(ClusterValue, found[0]).members]
    members = [
        (int(entry.field), codec.decode(MemberValue, entry)) for entry in store.some_entries(cell, "members", offsets)
    ]
    evidence = {entry.field: codec.decode(EvidenceValue, entry) for entry in store.entries(cell, "evidence")}
    counting = [value for value in evidence.values() if value.cluster == cluster]
    summary = _summary(cell, found[0], labels, _clock(store, cell), half_life_seconds)
    return ClusterDetail(summary, members, sorted(counting, key=lambda value: value.offset))


def _summary(
    cell: int, entry: Entry, labels: dict[str, LabelValue], clock: int, half_life_seconds: float
) -> ClusterSummary:
    value = codec.decode(ClusterValue, entry)
    sums = codec.sums_of(value).astype(np.float64)
    factor = 1.0 if labels else decay(value.time, clock, 1000.0 * half_life_seconds)
    return ClusterSummary(
        cluster_id=cluster_id(cell, int(entry.field)),
        weight=value.weight * factor,
        count=value.count,
        cohesion=cohesion(value.weight, value.squares, float(np.sqrt(sums @ sums))),
        labels=labels,
        opened=value.opened,
        seen=value.seen,
        members=value.members,
    )


def _clock(store: StateStore, cell: int) -> int:
    found = store.some_entries(cell, "clock", ["clock"])
    return codec.decode(int, found[0]) if found else 0
