"""Verdicts -> evidence: finds what a verdict is about in its cell, and counts it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from consumers.contracts.cell_log import EvidenceRecord, VerdictRecord
from consumers.names import POLICY_NAME, cluster_id, place_of_cluster
from consumers.steps.judge import judge_post
from consumers.steps.place import read_vector
from models.policies import Evidence

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from consumers.cell import CellState
    from consumers.contracts.source import Source

VerdictOutcome = Literal["counted", "duplicate", "unknown_target"]


class Target(NamedTuple):
    """What a verdict is about.

    Attributes:
        cluster: the cluster that the post is in.
        post: the same for every verdict about the same post.
        post_id: for people; the cluster's id when the verdict is about a cluster.
    """

    cluster: int
    post: str
    post_id: str
    vector: NDArray[np.float32]


def count_verdict(state: CellState, offset: int, record: VerdictRecord | EvidenceRecord) -> VerdictOutcome:
    """Count a verdict as evidence; labels follow at once, for every post after it.

    A copy of evidence from a neighbouring cell counts like a verdict that carries its post.
    """
    if record.verdict_id in state.verdicts:
        return "duplicate"
    target = _find(state, offset, record) if POLICY_NAME.fullmatch(record.policy) else None
    if target is None:
        return "unknown_target"
    state.remember_verdict(record.verdict_id, offset)
    cluster = target.cluster if record.decision == "uphold" else _accused(state, target, record.policy)
    evidence = Evidence(
        verdict_id=record.verdict_id,
        policy=record.policy,
        actor=record.actor,
        upheld=record.decision == "uphold",
        post=target.post,
        post_id=target.post_id,
        offset=offset,
        time=record.time,
        vector=target.vector,
    )
    supersedes = record.supersedes if isinstance(record, VerdictRecord) else None
    for changed in sorted(state.book.count(cluster, evidence, state.changes, supersedes=supersedes)):
        state.evidence_changed(changed)
    return "counted"


def _accused(state: CellState, target: Target, policy: str) -> int:
    """The cluster whose label flags this post now: an overturned flag counts against that label, else its own."""
    judgement = judge_post(target.vector, state.clusters.near(target.vector), state.book).get(policy)
    return target.cluster if judgement is None else judgement.candidate.cluster


def _find(state: CellState, offset: int, record: VerdictRecord | EvidenceRecord) -> Target | None:
    if isinstance(record, VerdictRecord) and record.cluster_id is not None:
        return _cluster_target(state, record.cluster_id, record)
    member = _member(state, record)
    if member is not None:
        kept = state.members[member]
        vector = read_vector(kept.vector, state.size)
        if vector is not None:
            return Target(state.cluster_of_member(member), _post_key(kept.source), kept.post_id, vector)
    if record.vector is None or record.source is None:
        return None
    vector = read_vector(record.vector, state.size)
    if vector is None:
        return None
    post_id = record.post_id or _post_key(record.source)
    return Target(_home(state, offset, vector), _post_key(record.source), post_id, vector)


def _cluster_target(state: CellState, given: str, record: VerdictRecord) -> Target | None:
    """A cluster under its present or an earlier id; without a post's vector its centroid stands for it."""
    place = place_of_cluster(given)
    cluster = state.resolve(place[1]) if place is not None and place[0] == state.cell else None
    if cluster is None:
        return None
    vector = None if record.vector is None else read_vector(record.vector, state.size)
    if vector is not None and record.source is not None:
        return Target(cluster, _post_key(record.source), record.post_id or _post_key(record.source), vector)
    name = cluster_id(state.cell, cluster)
    # Through float16, as the store keeps it: a restart must not change it.
    centroid = state.clusters.centroid(cluster).astype(np.float16).astype(np.float32)
    return Target(cluster, name, name, centroid)


def _member(state: CellState, record: VerdictRecord | EvidenceRecord) -> int | None:
    """Log offset of the kept member that the record is about."""
    if isinstance(record, EvidenceRecord):
        return None
    if record.source is not None:
        kept = None if record.cell_offset is None else state.members.get(record.cell_offset)
        return record.cell_offset if kept is not None and kept.source == record.source else None
    if record.flag_id is not None:
        return state.member_by_flag(record.flag_id)
    return None if record.post_id is None else state.member_by_post(record.post_id)


def _home(state: CellState, offset: int, vector: NDArray[np.float32]) -> int:
    """The cluster of a post that is not kept: the nearest it could join, else a new one of its own."""
    nearest = state.clusters.predict_one(vector)
    if nearest is not None:
        return nearest[0]
    state.clusters.open(offset, vector, state.clock)
    state.touch(offset)
    state.events["opened"] += 1
    return offset


def _post_key(source: Source) -> str:
    return f"{source.topic_id}:{source.partition}:{source.offset}"
