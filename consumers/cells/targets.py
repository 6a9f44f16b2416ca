"""Verdicts -> evidence: finds what a verdict is about in its cell, and counts it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from consumers.cells.evidence import Change
from consumers.contracts.cell_log import EvidenceRecord, VerdictRecord
from consumers.names import POLICY_NAME, cluster_id, place_of_cluster
from consumers.steps.judge import judge_post
from consumers.steps.place import read_vector
from models.policies import NO_FEATURES, Evidence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from consumers.cells.cell import CellState
    from consumers.contracts.source import Source

VerdictOutcome = Literal["counted", "duplicate", "unknown_target", "full"]
NO_CHANGE = Change(set(), set(), adds=False)


class Counted(NamedTuple):
    """What became of a verdict.

    Attributes:
        change: to the evidence of clusters.
        evidence: what it counts as.
    """

    outcome: VerdictOutcome
    change: Change = NO_CHANGE
    evidence: Evidence | None = None


class Target(NamedTuple):
    """What a verdict is about.

    Attributes:
        cluster: the cluster that the post is in.
        post: the same for every verdict about the same post.
        post_id: for people; the cluster's id when the verdict is about a cluster.
        features: of the post; a cluster has none.
    """

    cluster: int
    post: str
    post_id: str
    vector: NDArray[np.float32]
    features: Mapping[str, bytes] = NO_FEATURES


def count_verdict(state: CellState, offset: int, record: VerdictRecord | EvidenceRecord) -> Counted:
    """Count a verdict as evidence; labels follow at once, for every post after it.

    A copy of evidence from a neighbouring cell counts like a verdict that carries its post. A verdict that another
    one supersedes does not count, also when it comes later.
    """
    if _is_known(state, record.verdict_id):
        return Counted("duplicate")
    target = _find(state, offset, record) if POLICY_NAME.fullmatch(record.policy) else None
    if target is None:
        return Counted("unknown_target")
    cluster = target.cluster if record.decision == "uphold" else _accused(state, target, record.policy)
    if cluster not in state.book and len(state.book) >= state.settings.labelled_clusters:
        return Counted("full")
    for verdict_id in (record.verdict_id, record.supersedes):
        if verdict_id is not None and verdict_id not in state.verdicts:
            state.remember_verdict(verdict_id, offset)
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
        features=target.features,
    )
    change = state.book.count(cluster, evidence, state.changes, supersedes=record.supersedes)
    for one in sorted(change.clusters):
        state.evidence_changed(one)
    return Counted("counted", change, evidence)


def is_flagged(state: CellState, record: VerdictRecord) -> bool:
    """Whether a verdict is about a kept post that is flagged under the verdict's policy."""
    offset = _kept(state, record)
    post = None if offset is None else state.flagged.get(offset)
    return post is not None and record.policy in post.policies


def _is_known(state: CellState, verdict_id: str) -> bool:
    """Whether a verdict has been folded: also one so old that its id is no longer remembered, while it counts."""
    return verdict_id in state.verdicts or verdict_id in state.waiting or state.book.counts(verdict_id)


def _accused(state: CellState, target: Target, policy: str) -> int:
    """The cluster whose label flags this post now: an overturned flag counts against that label, else its own."""
    nearby = state.clusters.near(target.vector)
    judgement = judge_post(target.vector, nearby, state.book, target.features, state.trails()).get(policy)
    return target.cluster if judgement is None else judgement.candidate.cluster


def _find(state: CellState, offset: int, record: VerdictRecord | EvidenceRecord) -> Target | None:
    if isinstance(record, EvidenceRecord):
        vector = read_vector(record.vector, state.size)
        if vector is None:
            return None
        return Target(_home(state, offset, vector), record.post, record.post_id, vector, record.features)
    if record.cluster_id is not None:
        return _cluster_target(state, record.cluster_id, record)
    return _kept_target(state, record) or _carried_target(state, offset, record)


def _kept_target(state: CellState, record: VerdictRecord) -> Target | None:
    """The kept member, or the flagged post, that the record is about."""
    offset = _kept(state, record)
    member = None if offset is None else state.members.get(offset)
    if offset is not None and member is not None:
        vector = read_vector(member.vector, state.size)
        if vector is not None:
            home = state.cluster_of_member(offset)
            return Target(home, _post_key(member.source), member.post_id, vector, member.features)
    post = None if offset is None else state.flagged.get(offset)
    vector = None if post is None else read_vector(post.vector, state.size)
    if offset is None or post is None or vector is None:
        return None
    return Target(_home(state, offset, vector), _post_key(post.source), post.post_id, vector, post.features)


def _carried_target(state: CellState, offset: int, record: VerdictRecord) -> Target | None:
    """The post that the record brings along."""
    if record.vector is None or record.source is None:
        return None
    vector = read_vector(record.vector, state.size)
    if vector is None:
        return None
    post_id = record.post_id or _post_key(record.source)
    return Target(_home(state, offset, vector), _post_key(record.source), post_id, vector, record.features)


def _cluster_target(state: CellState, given: str, record: VerdictRecord) -> Target | None:
    """A cluster under its present or an earlier id; without a post's vector its centroid stands for it."""
    place = place_of_cluster(given)
    cluster = state.resolve(place[1]) if place is not None and place[0] == state.cell else None
    if cluster is None:
        return None
    vector = None if record.vector is None else read_vector(record.vector, state.size)
    if vector is not None and record.source is not None:
        key = _post_key(record.source)
        return Target(cluster, key, record.post_id or key, vector, record.features)
    name = cluster_id(state.cell, cluster)
    # Through float16, as the store keeps it: a restart must not change it.
    centroid = state.clusters.centroid(cluster).astype(np.float16).astype(np.float32)
    return Target(cluster, name, name, centroid)


def _kept(state: CellState, record: VerdictRecord) -> int | None:
    """Log offset of the kept post that the record is about."""
    if record.source is not None:
        given = record.cell_offset
        post = None if given is None else state.members.get(given) or state.flagged.get(given)
        return given if post is not None and post.source == record.source else None
    if record.flag_id is not None:
        return state.flagged.by_flag(record.flag_id)
    if record.post_id is None:
        return None
    member = state.member_by_post(record.post_id)
    return state.flagged.by_post(record.post_id) if member is None else member


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
