"""Micro-clusters as rows of a table, and one in detail."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from consumers.findings import CheckError
from consumers.state.reading import list_clusters, opened_state, show_cluster

if TYPE_CHECKING:
    from consumers.settings import Settings
    from consumers.state.codec import LabelValue
    from consumers.state.reading import ClusterSummary


def cluster_rows(settings: Settings, *, limit: int, labelled: bool) -> list[dict[str, Any]]:
    """The largest micro-clusters of all cells; with `labelled` only those that verdicts were counted for.

    Raises:
        StateUnavailable: Redis does not answer.
    """
    with opened_state(settings) as (manifest, store):
        half_life = settings.assign.half_life_seconds or manifest.half_life_seconds
        found = [
            summary
            for cell in range(settings.assign.cells)
            for summary in list_clusters(store, cell, half_life)
            if summary.labels or not labelled
        ]
    found.sort(key=lambda summary: (-summary.weight, summary.cluster_id))
    return [_row(summary) for summary in found[:limit]]


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
