"""Placed posts -> judgements, by the labels and exemplars of the clusters near them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.policies import NO_FEATURES, Bank, Candidate, judge, stands
from models.trails import follow, still_reached

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from numpy.typing import NDArray

    from consumers.cells.evidence import EvidenceBook
    from models.cluster_table import Nearby
    from models.policies import Judgement, PolicyRule

    Trails = Callable[[int, str], Bank]
    """Cluster and policy -> the latest posts that its label flagged."""

NO_SHARES = np.empty(0)
"""A policy for one modality alone measures a post against the exemplar, not against the centroid."""


def judge_post(
    vector: NDArray[np.float32],
    nearby: Sequence[Nearby],
    book: EvidenceBook,
    features: Mapping[str, bytes],
    trails: Trails,
    policies: Container[str] | None = None,
) -> dict[str, Judgement]:
    """What each policy says of a post: policy -> judgement, without the policies that have nothing to say.

    A post is judged against every cluster with evidence whose centroid is near enough, not only the one it joined:
    the variants of one campaign may fall into several micro-clusters, and a splinter without a label of its own must
    not hide them. The exemplar gate is the same for all; a post that no exemplar is near enough to may follow a
    cluster's trail.

    Args:
        features: the post's, by modality, for verification.
        policies: that are asked; all unless they are given.
    """
    candidates = _candidates(vector, nearby, book)
    if not candidates:
        return {}
    judgements = {
        policy: _judge(book.rule(policy), book, vector, candidates[policy], features, trails)
        for policy in sorted(candidates)
        if policies is None or policy in policies
    }
    return {policy: judgement for policy, judgement in judgements.items() if judgement is not None}


def _judge(
    rule: PolicyRule,
    book: EvidenceBook,
    vector: NDArray[np.float32],
    candidates: list[Candidate],
    features: Mapping[str, bytes],
    trails: Trails,
) -> Judgement | None:
    judgement = judge(rule, book.layout, vector, candidates, features, book.refused)
    if judgement is not None:
        return judgement
    found = follow(rule, book.layout, vector, candidates, lambda cluster: trails(cluster, rule.name), features)
    return None if found is None else found.judgement


def still_stands(
    vector: NDArray[np.float32],
    policy: str,
    nearby: Sequence[Nearby],
    book: EvidenceBook,
    features: Mapping[str, bytes] = NO_FEATURES,
    *,
    followed: bool = False,
) -> bool:
    """Whether a flag that a post has under a policy is still one that verdicts uphold.

    Args:
        followed: a trail gave it. The posts before it may be kept no longer, so only the reach is asked again.
    """
    rule, candidates = book.rule(policy), _candidates(vector, nearby, book).get(policy, [])
    if followed and still_reached(rule, book.layout, vector, candidates):
        return True
    return stands(rule, book.layout, vector, candidates, features)


def _candidates(
    vector: NDArray[np.float32], nearby: Sequence[Nearby], book: EvidenceBook
) -> dict[str, list[Candidate]]:
    """The clusters to judge by, for each policy; one that looks at one modality alone goes by exemplars only."""
    candidates: dict[str, list[Candidate]] = {}
    for near in nearby:
        for policy, (label, upheld, benign) in book.of(near.cluster).items():
            if not book.alone(policy):
                found = Candidate(near.cluster, near.similarity, near.shares, near.cohesion, label, upheld, benign)
                candidates.setdefault(policy, []).append(found)
    for policy, cluster in book.alone_near(vector):
        label, upheld, benign = book.of(cluster)[policy]
        candidates.setdefault(policy, []).append(Candidate(cluster, 0.0, NO_SHARES, 1.0, label, upheld, benign))
    return candidates
