"""Micro-clusters as rows of a table, and one in detail."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from consumers.checks.findings import CheckError
from consumers.names import place_of_cluster
from consumers.state.reading import list_centroids, opened_state, show_cluster
from models.borders import link_over_borders

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from consumers.settings import Settings
    from consumers.state.codec import LabelValue
    from consumers.state.reading import ClusterSummary


def cluster_rows(settings: Settings, *, limit: int, labelled: bool) -> list[dict[str, Any]]:
    """The largest micro-clusters of all cells; with `labelled` only those that verdicts were counted for.

    `group` is the largest of the clusters that links over the borders between cells lead to, or the cluster itself.

    Raises:
        StateUnavailable: Redis does not answer.
    """
    with opened_state(settings) as (manifest, store):
        half_life = settings.assign.half_life_seconds or manifest.half_life_seconds
        listed = [one for cell in range(store.cells) for one in list_centroids(store, cell, half_life)]
        least = settings.assign.join or manifest.thresholds.join
    listed.sort(key=lambda one: (-one[0].weight, one[0].cluster_id))
    found = [(summary, group) for summary, group in _grouped(listed, least) if summary.labels or not labelled]
    return [_row(summary) | {"group": group} for summary, group in found[:limit]]


def _grouped(
    listed: list[tuple[ClusterSummary, NDArray[np.float32]]], least: float
) -> Iterator[tuple[ClusterSummary, str]]:
    """The clusters, each with the id of the largest of those that links over borders lead to, and itself."""
    if not listed:
        return
    places = [place_of_cluster(summary.cluster_id) for summary, _ in listed]
    cells = np.array([-1 if place is None else place[0] for place in places])
    groups = np.arange(len(listed))
    if len(set(cells.tolist())) > 1:
        groups = link_over_borders(np.stack([row for _, row in listed]), cells, least=least)
    for (summary, _), group in zip(listed, groups.tolist(), strict=True):
        yield summary, listed[group][0].cluster_id


def cluster_details(settings: Settings, cluster_id: str) -> dict[str, Any]:
    """One micro-cluster with its evidence and recent members.

    Raises:
        CheckError: there is none. StateUnavailable: Redis does not answer.
    """
    with opened_state(settings) as (manifest, store):
        half_life = settings.assign.half_life_seconds or manifest.half_life_seconds
        detail = show_cluster(store, cluster_id, half_life)
    if detail is None:
        raise CheckError(f"cluster {cluster_id}: there is none now; shoal clusters list shows what there is")
    said = {True: "upheld", False: "overturned"}
    evidence = [f"{value.policy} {said[value.upheld]} by {value.actor}" for value in detail.evidence]
    return _row(detail.summary) | {
        "opened": _time(detail.summary.opened),
        "evidence": evidence,
        "recent_posts": [member.post_id for _, member in detail.members],
    }


def _row(summary: ClusterSummary) -> dict[str, Any]:
    return {
        "cluster_id": summary.cluster_id,
        "posts": summary.count,
        "weight": round(summary.weight, 3),
        "cohesion": round(summary.cohesion, 3),
        "labels": {policy: _label(label) for policy, label in summary.labels.items()},
        "seen": _time(summary.seen),
    }


def _label(label: LabelValue) -> str:
    return f"{label.state} {label.bound:.2f} ({label.upheld} upheld, {label.overturned} overturned)"


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")
