"""A policy's thresholds one by one: which a post passes, by how much, and what it would be without one of its parts.

`models.policies.judge` says what becomes of a post; this says why. Both look at the same numbers, and tests hold that
they agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from models.exact import lengths
from models.policies import (
    NO_FEATURES,
    Chosen,
    able_candidates,
    centroid_beside,
    choose_exemplars,
    exemplar_similarities,
    least_centroid,
    near_candidates,
    nearest_benign,
)
from models.trails import follow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from models.fusion import FusionLayout
    from models.policies import Bank, Candidate, Near, PolicyRule
    from models.trails import Followed, Trails

OF_CLUSTERS = frozenset({"bound", "cohesion"})
"""Gates that say nothing of the post."""

Result = Literal["flag", "review", "clear"]


class Gate(NamedTuple):
    """One threshold.

    Attributes:
        name: `bound`, `centroid`, `cohesion`, `exemplar`, `benign` (as near as the nearest harmless exemplar, and it
            must be nearer), `modality NAME`, or `verification NAME`: how well features agree with the exemplar's in
            the modality that counts; where they agree well enough, the first such agreement found. It is left out
            where a nearer exemplar, labelled or benign, decides. Where a trail decides, `reach` and `trail` (the
            cosines to the exemplar and, over the post's parts, to the flagged post) stand for the first three, and
            features are the latter's.
        value: -1 for a modality that the post or the exemplar lacks, and for features that are not compared because
            nearer ones have taken all comparisons.
    """

    name: str
    value: float
    threshold: float
    passed: bool

    @property
    def margin(self) -> float:
        """How far the value is above the threshold; below 0, by how much it misses it."""
        return self.value - self.threshold


@dataclass(frozen=True, slots=True, eq=False)
class Weighed:
    """A post beside a cluster with evidence, under one policy.

    Attributes:
        exemplar: the post_id of the exemplar that counts, the nearest of those whose modalities match, or of all;
            None where the cluster has none upheld.
        similarity: to that exemplar, as the policy takes it.
        shares: float64 (modalities,), of the cosine to it.
        trail: the flagged post by which the post is known, where it is.
    """

    candidate: Candidate
    exemplar: str | None
    similarity: float
    shares: NDArray[np.float64]
    gates: tuple[Gate, ...]
    trail: Near | None = None

    @property
    def result(self) -> Result:
        """What this cluster alone makes of the post."""
        if not all(gate.passed for gate in self.gates):
            return "clear"
        return "flag" if self.candidate.label.state == "violating" else "review"

    @property
    def deciding(self) -> Gate:
        """The gate that is missed by the most; where all are passed, that of the post itself passed by the least."""
        missed = [gate for gate in self.gates if not gate.passed]
        own = [gate for gate in self.gates if gate.name not in OF_CLUSTERS]
        return min(missed or own, key=lambda gate: gate.margin)


def weigh_candidates(
    rule: PolicyRule,
    layout: FusionLayout,
    vector: NDArray[np.float32],
    candidates: Iterable[Candidate],
    features: Mapping[str, bytes] = NO_FEATURES,
    trail: Trails | None = None,
) -> list[Weighed]:
    """Each cluster with evidence under a policy, the one that decides first.

    Where no cluster passes every gate by its exemplars, one whose trail the post follows comes first; else the one
    that comes nearest to it: fewest gates missed, then missed by the least.

    Args:
        vector: float32 (size,), the post's fused vector.
        features: the post's, by modality.
        trail: gives the latest posts that a cluster's label flagged.
    """
    unit = vector / lengths(vector)
    given = list(candidates)
    near = near_candidates(rule, given, least_centroid(rule, layout, unit, features))
    able, benign = able_candidates(rule, near), nearest_benign(rule, layout, unit, near)
    chosen = choose_exemplars(rule, layout, unit, able, features, benign)
    others = [one for one in given if one not in able]
    chosen += [choose_exemplars(rule, layout, unit, [one], features, benign)[0] for one in others]
    found = [_weigh(rule, layout, unit, *pair, benign) for pair in zip([*able, *others], chosen, strict=True)]
    found.sort(key=_order)
    if trail is None or (found and found[0].result != "clear"):
        return found
    followed = follow(rule, layout, vector, given, trail, features)
    return found if followed is None else [_weigh_trail(rule, layout, unit, followed), *found]


def _weigh_trail(rule: PolicyRule, layout: FusionLayout, unit: NDArray[np.float64], found: Followed) -> Weighed:
    """A cluster whose trail the post follows: what that asks, all of which is passed."""
    candidate, number, similarity, benign = found.reached
    gates = [
        Gate("bound", candidate.label.bound, rule.demote, passed=True),
        _gate("reach", similarity, rule.reach),
        _gate("trail", found.near.similarity, rule.trail),
    ]
    if found.verified is not None:
        gates.append(_gate(f"verification {found.verified.modality}", found.verified.score, found.verified.least))
    if benign > -np.inf:
        gates.append(Gate("benign", similarity, benign, similarity > benign))
    shares = layout.shares(unit, candidate.upheld.vectors[number][None])[0]
    return Weighed(candidate, found.exemplar, similarity, shares, tuple(gates), found.near)


def without(layout: FusionLayout, vector: NDArray[np.float32], name: str) -> NDArray[np.float32] | None:
    """The fused vector of the same post without one of its parts, as the cell log would hold it.

    None when it holds nothing else.
    """
    rest = vector.astype(np.float64)
    rest[layout.block(name)] = 0.0
    length = float(np.linalg.norm(rest))
    return None if length == 0.0 else (rest / length).astype("<f2").astype(np.float32)


def _order(found: Weighed) -> tuple[float, ...]:
    missed = [gate.margin for gate in found.gates if not gate.passed]
    if missed:
        return 2.0, float(len(missed)), -sum(missed), float(found.candidate.cluster)
    return float(found.result == "review"), -found.similarity, float(found.candidate.cluster)


def _weigh(
    rule: PolicyRule,
    layout: FusionLayout,
    unit: NDArray[np.float64],
    candidate: Candidate,
    chosen: Chosen | None,
    benign: float,
) -> Weighed:
    label, bank = candidate.label, candidate.upheld
    least = rule.demote if label.state == "violating" else rule.promote
    gates = [Gate("bound", label.bound, least, label.state in {"violating", "disputed"})]
    if chosen is None and bank.post_ids:
        chosen = _nearest_of_all(rule, layout, unit, bank)
    if rule.alone is None:
        asked = rule.centroid if chosen is None else centroid_beside(rule, chosen.least)
        gates.append(_gate("centroid", candidate.similarity, asked))
        gates.append(_gate("cohesion", candidate.cohesion, rule.cohesion))
    if chosen is None:
        nothing = Gate("exemplar", -1.0, rule.exemplar, passed=False)
        return Weighed(candidate, None, -1.0, np.zeros(len(layout.names)), (*gates, nothing))
    similarity, exemplar = chosen.similarity, bank.vectors[chosen.number]
    gates += _modality_gates(rule, layout, unit, exemplar)
    gates.append(_gate("exemplar", similarity, chosen.least))
    if chosen.verified is not None:
        found = chosen.verified
        gates.append(_gate(f"verification {found.modality}", found.score, found.least))
    if benign > -np.inf:
        gates.append(Gate("benign", similarity, benign, similarity > benign))
    shares = layout.shares(unit, exemplar[None])[0]
    return Weighed(candidate, bank.post_ids[chosen.number], similarity, shares, tuple(gates))


def _nearest_of_all(rule: PolicyRule, layout: FusionLayout, unit: NDArray[np.float64], bank: Bank) -> Chosen:
    """What stands for the exemplar that counts where the modalities of none match."""
    similarities = exemplar_similarities(rule, layout, unit, bank.vectors)
    best = int(similarities.argmax())
    return Chosen(best, float(similarities[best]), rule.exemplar, None)


def _modality_gates(
    rule: PolicyRule, layout: FusionLayout, unit: NDArray[np.float64], exemplar: NDArray[np.float64]
) -> list[Gate]:
    present = dict(zip(layout.names, layout.present(exemplar[None])[0].tolist(), strict=True))
    cosines = layout.named(np.nan_to_num(layout.cosines(unit, exemplar[None])[0], nan=-1.0))
    asked = [name for name in layout.names if (rule.together and present[name]) or name in rule.required]
    unknown = [name for name in rule.required if name not in layout.names]
    known = [_gate(f"modality {name}", cosines[name], rule.modality) for name in asked]
    return known + [Gate(f"modality {name}", -1.0, rule.modality, passed=False) for name in unknown]


def _gate(name: str, value: float, threshold: float) -> Gate:
    return Gate(name, value, threshold, value >= threshold)
