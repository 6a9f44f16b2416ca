"""Why a post is decided as it is: what is near it, which threshold decides, and what would change the decision.

By the state of now. What was decided stands beside it, in the decision's and the flags' own words.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from consumers.contracts.decision import Decision, Outcome
from consumers.contracts.flag import Flag, NearestFlagged
from consumers.names import cluster_id
from models.gates import weigh_candidates, without
from models.policies import NO_FEATURES, Candidate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from consumers.state.judging import Judging
    from models.cluster_table import Nearby
    from models.gates import Weighed

Result = Literal["flag", "review", "capped", "clear"]

NEAREST = 5
WEIGHED = 32
"""Clusters with evidence that are looked at beyond those near enough to count."""

CHUNK = 4096


class NearCluster(msgspec.Struct, frozen=True, kw_only=True):
    """A micro-cluster near the post: `shares` sum to `similarity`; `labels` are policy -> state."""

    cluster_id: str
    similarity: float
    shares: dict[str, float]
    cohesion: float
    posts: int
    labels: dict[str, str]


class NearExemplar(msgspec.Struct, frozen=True, kw_only=True):
    """A post that verdicts uphold or overturn: `shares` sum to `similarity`, `cosines` are by modality."""

    post_id: str
    policy: str
    said: Literal["upheld", "overturned"]
    cluster_id: str
    similarity: float
    shares: dict[str, float]
    cosines: dict[str, float | None]


class Joining(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a new post would join the nearest cluster, and the two thresholds of that."""

    cluster_id: str
    joins: bool
    similarity: float
    join: float
    cohesion: float
    least_cohesion: float


class Threshold(msgspec.Struct, frozen=True, kw_only=True):
    """One threshold of a policy; `margin` is value - threshold."""

    name: str
    value: float
    threshold: float
    margin: float
    passed: bool


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy makes of the post, and why.

    Attributes:
        result: `capped` where the label may flag no more posts.
        cluster_id: whose label decides, or comes nearest to it.
        similarity: cosine to its centroid; `shares` sum to it.
        exemplar: that counts; its similarity is as the policy takes it.
        trail: the earlier flagged post by which the post is known, where the exemplar is not near enough by itself.
        thresholds: each by itself.
        deciding: the name of the threshold that is missed by the most; where none is, of
            those of the post itself the one passed by the least.
        flags, cap: posts that matched the label so far, and how many it may flag.
    """

    policy: str
    mode: str
    result: Result
    cluster_id: str
    similarity: float
    shares: dict[str, float]
    exemplar: str | None
    exemplar_similarity: float
    thresholds: tuple[Threshold, ...]
    deciding: str
    flags: int
    cap: int
    trail: NearestFlagged | None = None


class Without(msgspec.Struct, frozen=True, kw_only=True):
    """The same post without one of its parts: what the policies would make of it, and whether that differs."""

    modality: str
    outcome: Outcome
    results: dict[str, Result]
    changed: bool


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """All of it.

    Attributes:
        position: of the cell's log, up to which the state knows.
        outcome: what a new post with these parts would come to now; an outcome `clear` may be capped.
        decision, flags: what has been decided, where the post was; the flags' latest revisions.
    """

    schema: Literal["shoal.explanation/1"] = "shoal.explanation/1"
    post_id: str
    bundle: str
    cell: int
    position: int
    parts: dict[str, str]
    outcome: Outcome
    joining: Joining | None
    clusters: tuple[NearCluster, ...]
    exemplars: tuple[NearExemplar, ...]
    policies: tuple[Reason, ...]
    without: tuple[Without, ...]
    decision: Decision | None = None
    flags: tuple[Flag, ...] = ()


def explain(
    judging: Judging,
    vector: NDArray[np.float32],
    *,
    post_id: str,
    bundle: str,
    parts: dict[str, str],
    features: Mapping[str, bytes] = NO_FEATURES,
    decision: Decision | None = None,
    flags: Sequence[Flag] = (),
    nearest: int = NEAREST,
) -> Explanation:
    """Explain a post by a cell's state.

    Args:
        vector: float32 (size,), as the cell log holds it.
        features: likewise, by modality.
        nearest: how many clusters and exemplars are named.
    """
    reasons = judge_all(judging, vector, features)
    return Explanation(
        post_id=post_id,
        bundle=bundle,
        cell=judging.cell,
        position=judging.position,
        parts=parts,
        outcome=outcome_of(reasons),
        joining=_joining(judging, vector),
        clusters=tuple(_near_clusters(judging, vector, nearest)),
        exemplars=tuple(_near_exemplars(judging, vector, nearest)),
        policies=tuple(reasons),
        without=tuple(_without(judging, vector, features, reasons)),
        decision=decision,
        flags=tuple(flags),
    )


def judge_all(
    judging: Judging, vector: NDArray[np.float32], features: Mapping[str, bytes] = NO_FEATURES
) -> list[Reason]:
    """What each policy with evidence makes of a post; by name."""
    book, layout = judging.book, judging.clusters.layout
    candidates: dict[str, list[Candidate]] = {}
    for near in _with_evidence(judging, vector):
        for policy, (label, upheld, benign) in book.of(near.cluster).items():
            found = Candidate(near.cluster, near.similarity, near.shares, near.cohesion, label, upheld, benign)
            candidates.setdefault(policy, []).append(found)
    reasons = []
    for policy, given in sorted(candidates.items()):
        trail = partial(judging.trail, policy)
        weighed = weigh_candidates(book.rule(policy), layout, vector, given, features, trail)
        reasons.append(_reason(judging, policy, weighed[0]))
    return reasons


def outcome_of(reasons: Iterable[Reason]) -> Outcome:
    """The outcome of a post; policies in shadow leave it as it is."""
    results = {reason.result for reason in reasons if reason.mode == "live"}
    return "flagged" if "flag" in results else "review" if "review" in results else "clear"


def _with_evidence(judging: Judging, vector: NDArray[np.float32]) -> list[Nearby]:
    """The clusters with evidence that can count, and the nearest of the others."""
    book, table = judging.book, judging.clusters
    keys = sorted({cluster for cluster, _ in book.pieces()} & set(table))
    alone = {cluster for _, cluster in book.alone_near(vector)}
    found: list[Nearby] = []
    for start in range(0, len(keys), CHUNK):
        found += table.measure(vector, keys[start : start + CHUNK])
    found.sort(key=lambda near: (-near.similarity, near.cluster))
    attention = judging.settings.attention
    return [
        near
        for number, near in enumerate(found)
        if number < WEIGHED or near.similarity >= attention or near.cluster in alone
    ]


def _reason(judging: Judging, policy: str, found: Weighed) -> Reason:
    rule, candidate = judging.book.rule(policy), found.candidate
    label = judging.labels.get(candidate.cluster, {}).get(policy)
    flags, cap = (0, 0) if label is None else (label.flags, rule.flags_per_verdict * label.upheld)
    result: Result = found.result
    if result == "flag" and flags >= cap:
        result = "review" if (flags - cap) % rule.sample == 0 else "capped"
    return Reason(
        policy=policy,
        mode=rule.mode,
        result=result,
        cluster_id=cluster_id(judging.cell, candidate.cluster),
        similarity=candidate.similarity,
        shares=judging.clusters.layout.named(candidate.shares),
        exemplar=found.exemplar,
        exemplar_similarity=found.similarity,
        thresholds=tuple(
            Threshold(
                name=gate.name, value=gate.value, threshold=gate.threshold, margin=gate.margin, passed=gate.passed
            )
            for gate in found.gates
        ),
        deciding=found.deciding.name,
        flags=flags,
        cap=cap,
        trail=None if found.trail is None else NearestFlagged(*found.trail),
    )


def _joining(judging: Judging, vector: NDArray[np.float32]) -> Joining | None:
    table = judging.clusters
    keys = table.nearest(vector, 1, -1.0)
    if not keys:
        return None
    [near] = table.measure(vector, keys)
    cohesion = table.cohesion_with(near.cluster, near.similarity, judging.clock)
    return Joining(
        cluster_id=cluster_id(judging.cell, near.cluster),
        joins=near.similarity >= table.join and cohesion >= table.cohesion,
        similarity=near.similarity,
        join=table.join,
        cohesion=cohesion,
        least_cohesion=table.cohesion,
    )


def _near_clusters(judging: Judging, vector: NDArray[np.float32], most: int) -> Iterable[NearCluster]:
    table = judging.clusters
    for near in table.measure(vector, table.nearest(vector, most, -1.0)):
        labels = judging.labels.get(near.cluster, {})
        yield NearCluster(
            cluster_id=cluster_id(judging.cell, near.cluster),
            similarity=near.similarity,
            shares=table.layout.named(near.shares),
            cohesion=near.cohesion,
            posts=table.history(near.cluster)[0],
            labels={policy: label.state for policy, label in labels.items()},
        )


def _near_exemplars(judging: Judging, vector: NDArray[np.float32], most: int) -> list[NearExemplar]:
    layout = judging.clusters.layout
    unit = vector / np.linalg.norm(vector.astype(np.float64))
    found: list[NearExemplar] = []
    for cluster in sorted({cluster for cluster, _ in judging.book.pieces()}):
        for policy, (_, upheld, benign) in judging.book.of(cluster).items():
            for said, bank in (("upheld", upheld), ("overturned", benign)):
                if not bank.post_ids:
                    continue
                shares, cosines = layout.shares(unit, bank.vectors), layout.cosines(unit, bank.vectors)
                similarities = [float(sum(row)) for row in shares.tolist()]
                for number in np.argsort(similarities)[::-1][:most]:
                    by_part = layout.named(cosines[number])
                    found.append(
                        NearExemplar(
                            post_id=bank.post_ids[number],
                            policy=policy,
                            said="upheld" if said == "upheld" else "overturned",
                            cluster_id=cluster_id(judging.cell, cluster),
                            similarity=similarities[number],
                            shares=layout.named(shares[number]),
                            cosines={name: None if np.isnan(one) else one for name, one in by_part.items()},
                        )
                    )
    return sorted(found, key=lambda one: (-one.similarity, one.post_id, one.policy))[:most]


def _without(
    judging: Judging, vector: NDArray[np.float32], features: Mapping[str, bytes], whole: Sequence[Reason]
) -> Iterable[Without]:
    layout = judging.clusters.layout
    before = {reason.policy: reason.result for reason in whole}
    for name, there in zip(layout.names, layout.present(vector[None])[0].tolist(), strict=True):
        rest = without(layout, vector, name) if there else None
        if rest is not None:
            left = {part: given for part, given in features.items() if part != name}
            reasons = judge_all(judging, rest, left)
            results = {reason.policy: reason.result for reason in reasons}
            yield Without(modality=name, outcome=outcome_of(reasons), results=results, changed=results != before)
