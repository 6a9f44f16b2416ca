"""Placed posts -> judgements, by the labels and exemplars of the clusters near them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.policies import Candidate, judge

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from consumers.evidence import EvidenceBook
    from models.cluster_table import Nearby
    from models.policies import Judgement


def judge_post(vector: NDArray[np.float32], nearby: Sequence[Nearby], book: EvidenceBook) -> dict[str, Judgement]:
    """What each policy says of a post: policy -> judgement, without the policies that have nothing to say.

    A post is judged against every cluster with evidence whose centroid is near enough, not only the one it joined:
    the variants of one campaign may fall into several micro-clusters, and a splinter without a label of its own must
    not hide them. The exemplar gate is the same for all.
    """
    candidates: dict[str, list[Candidate]] = {}
    for near in nearby:
        for policy, (label, upheld, benign) in book.of(near.cluster).items():
            found = Candidate(near.cluster, near.similarity, near.shares, near.cohesion, label, upheld, benign)
            candidates.setdefault(policy, []).append(found)
    judgements = {
        policy: judge(book.rule(policy), book.layout, vector, candidates[policy]) for policy in sorted(candidates)
    }
    return {policy: judgement for policy, judgement in judgements.items() if judgement is not None}
