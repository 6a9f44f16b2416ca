"""Moderators' evidence -> is this cluster a known violation, and is this post one."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from scipy.special import betaincinv

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from models.fusion import FusionLayout

PRIOR = 0.05
"""Both parameters of the prior: most clusters violate a policy nearly always or nearly never."""

QUANTILE = 0.05
NEAR_DUPLICATE = 0.95
"""Cosine from which an actor's second verdict is about the same thing as the first."""

MOST_EVIDENCE = 256
"""Pieces kept for a cluster and policy; the oldest go first."""

State = Literal["none", "violating", "disputed", "benign"]


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """A policy with all its thresholds.

    Attributes:
        promote, demote: a cluster is labelled when its bound reaches `promote`, and no longer below `demote`.
        centroid: least cosine of a post to the labelled cluster's centroid.
        exemplar: least cosine to an upheld post of that cluster.
        cohesion: least cohesion of that cluster.
        modality: least cosine to the exemplar in each modality, for `together`.
        together: the post must have every modality of the exemplar, and each must match by itself.
    """

    name: str
    promote: float
    demote: float
    centroid: float
    exemplar: float
    cohesion: float
    modality: float
    together: bool = False

    @property
    def thresholds(self) -> dict[str, float]:
        """What a flag under this policy had to reach, by name."""
        names = ("promote", "demote", "centroid", "exemplar", "cohesion", *(("modality",) if self.together else ()))
        return {name: getattr(self, name) for name in names}

    @property
    def version(self) -> str:
        """Twelve hex digits that change with anything in the rule."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Label:
    """What the evidence makes of a cluster under one policy.

    Attributes:
        state: `violating`: posts near its exemplars are flagged. `disputed`: the evidence is mixed, such posts need
            a review. `benign`: moderators agree that it is harmless. `none`: too little is known.
        bound: lower bound of the rate of violations among its posts.
    """

    state: State
    bound: float
    upheld: int
    overturned: int


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """A verdict that counts.

    Attributes:
        upheld: whether the actor says that it violates the policy.
        post: what it is about, the same for every verdict about the same post.
        post_id: for people.
        offset: its place in the log; a higher one is later.
        vector: float32 (size,), the post's fused vector.
    """

    verdict_id: str
    policy: str
    actor: str
    upheld: bool
    post: str
    post_id: str
    offset: int
    time: int
    vector: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Bank:
    """Exemplars: `vectors` float64 (n, size), unit norm, and the post_id of each."""

    post_ids: tuple[str, ...]
    vectors: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A cluster with evidence near a post: the cosine to its centroid, its cohesion, label and exemplars."""

    cluster: int
    similarity: float
    shares: NDArray[np.float64]
    cohesion: float
    label: Label
    upheld: Bank
    benign: Bank


class Judgement(NamedTuple):
    """A post that matches a policy's exemplar; `review` when the cluster is disputed."""

    action: Literal["flag", "review"]
    candidate: Candidate
    exemplar: str
    similarity: float


@lru_cache(maxsize=4096)
def violation_bound(upheld: int, overturned: int) -> float:
    """The 5% quantile of the violation rate: .66, .85, .90, .94 after 1, 2, 3, 5 upheld."""
    return float(betaincinv(PRIOR + upheld, PRIOR + overturned, QUANTILE))


def weigh(evidence: Iterable[Evidence], rule: PolicyRule, before: State) -> Label:
    """The label that a cluster's evidence under one policy gives, having been labelled `before`."""
    votes = [piece.upheld for piece in evidence]
    upheld, overturned = sum(votes), len(votes) - sum(votes)
    bound = violation_bound(upheld, overturned)
    return Label(_state(upheld, overturned, bound, rule, before), bound, upheld, overturned)


def _state(upheld: int, overturned: int, bound: float, rule: PolicyRule, before: State) -> State:
    if upheld and bound >= (rule.demote if before == "violating" else rule.promote):
        return "violating"
    if overturned and violation_bound(overturned, upheld) >= rule.demote:
        return "benign"
    return "disputed" if upheld and overturned else "none"


def add(evidence: Sequence[Evidence], new: Evidence) -> tuple[list[Evidence], list[Evidence]]:
    """Count a verdict among a cluster's evidence under its policy; gives the evidence afterwards, and what left it.

    It replaces what the same actor said about the same post or a near-duplicate of it: an actor counts once for
    each thing, and the last word counts.
    """
    kept: list[Evidence] = []
    left: list[Evidence] = []
    for piece in evidence:
        same = piece.actor == new.actor and (piece.post == new.post or _cosine(piece, new) >= NEAR_DUPLICATE)
        (left if same else kept).append(piece)
    kept.append(new)
    excess = max(len(kept) - MOST_EVIDENCE, 0)
    return kept[excess:], left + kept[:excess]


def exemplars(evidence: Iterable[Evidence], limit: int) -> tuple[Bank, Bank]:
    """The posts upheld and the posts overturned, the latest `limit` of each; in doubt a post is benign.

    Several actors may have judged one post: the majority decides, and no majority makes it benign.
    """
    votes: dict[str, int] = {}
    latest: dict[str, Evidence] = {}
    for piece in sorted(evidence, key=lambda piece: piece.offset):
        votes[piece.post] = votes.get(piece.post, 0) + (1 if piece.upheld else -1)
        latest.pop(piece.post, None)
        latest[piece.post] = piece
    upheld = [piece for post, piece in latest.items() if votes[post] > 0]
    benign = [piece for post, piece in latest.items() if votes[post] <= 0]
    return _bank(upheld[-limit:]), _bank(benign[-limit:])


def judge(
    rule: PolicyRule, layout: FusionLayout, vector: NDArray[np.float32], candidates: Iterable[Candidate]
) -> Judgement | None:
    """Whether a post violates a policy, by the clusters with evidence under it near the post.

    A candidate matches when its label, cohesion, centroid and an exemplar all pass; of several the one with the
    nearest exemplar counts. A benign exemplar of any candidate that is as near or nearer takes the match away.

    Args:
        vector: float32 (size,), the post's fused vector.
    """
    unit = vector.astype(np.float64)
    unit /= np.sqrt((unit * unit).sum())
    matches: list[Judgement] = []
    benign = -np.inf
    for candidate in candidates:
        if candidate.similarity < rule.centroid:
            continue
        if candidate.benign.post_ids:
            benign = max(benign, float(layout.shares(unit, candidate.benign.vectors).sum(axis=1).max()))
        match = _match(rule, layout, unit, candidate)
        if match is not None and match.similarity >= rule.exemplar:
            matches.append(match)
    matches = [match for match in matches if match.similarity > benign]
    order = {"flag": 0, "review": 1}
    return min(
        matches, key=lambda match: (order[match.action], -match.similarity, match.candidate.cluster), default=None
    )


def _match(
    rule: PolicyRule, layout: FusionLayout, unit: NDArray[np.float64], candidate: Candidate
) -> Judgement | None:
    bank = candidate.upheld
    if candidate.label.state not in {"violating", "disputed"} or candidate.cohesion < rule.cohesion:
        return None
    allowed = np.arange(len(bank.post_ids))
    if rule.together and allowed.size:
        reached = layout.cosines(unit, bank.vectors) >= rule.modality
        allowed = np.flatnonzero((reached | ~layout.present(bank.vectors)).all(axis=1))
    if allowed.size == 0:
        return None
    similarities = layout.shares(unit, bank.vectors[allowed]).sum(axis=1)
    best = int(similarities.argmax())
    action: Literal["flag", "review"] = "flag" if candidate.label.state == "violating" else "review"
    return Judgement(action, candidate, bank.post_ids[allowed[best]], float(similarities[best]))


def _bank(pieces: Sequence[Evidence]) -> Bank:
    if not pieces:
        return Bank((), np.empty((0, 0)))
    vectors = np.stack([piece.vector for piece in pieces]).astype(np.float64)
    vectors /= np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
    return Bank(tuple(piece.post_id for piece in pieces), vectors)


def _cosine(one: Evidence, two: Evidence) -> float:
    product = one.vector.astype(np.float64) @ two.vector
    return float(product / np.sqrt(float(one.vector @ one.vector) * float(two.vector @ two.vector)))
