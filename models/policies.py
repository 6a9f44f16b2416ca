"""Moderators' evidence -> is this cluster a known violation, and is this post one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec
import numpy as np
from scipy.special import betaincinv

from models.exact import dot, lengths
from models.verification import MOST_MAPS, agreement, pairs

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from models.fusion import FusionLayout

PRIOR = 0.05
"""Both parameters of the prior: most clusters violate a policy nearly always or nearly never."""

QUANTILE = 0.05
NEAR_DUPLICATE = 0.95
"""Cosine from which an actor's second verdict is about the same thing as the first."""

MOST_EVIDENCE = 256
"""Pieces kept for a cluster and policy; the oldest go first."""

NO_FEATURES: Mapping[str, bytes] = MappingProxyType({})
TRIES = 3
"""The nearest exemplars of a cluster that a post is compared with more finely."""

ROUNDING = 1e-6
"""More than a product of unit vectors can be wrong: what comes this close is computed again, exactly."""

MOST_COMPARED = MOST_MAPS**2
"""Pairs of maps, of all clusters under a policy, that a post is compared by: one pair that does not agree takes
longer than embedding an image, and every exemplar of one image may be near enough. The nearest always fits."""

State = Literal["none", "violating", "disputed", "benign"]


class Search(NamedTuple):
    """How far to look for an exemplar that agrees with a post.

    Attributes:
        tries: the nearest exemplars of a cluster that a post is compared with more finely.
        beyond: how well features agree that are not compared because MOST_COMPARED pairs have been.
    """

    tries: int
    beyond: float


SEARCH = Search(TRIES, -1.0)
"""For a post that comes: the bound can cost a flag, and never gives one."""


class PolicyRule(msgspec.Struct, frozen=True, kw_only=True):
    """A policy with all its thresholds.

    Attributes:
        severity: repeated in its flags.
        mode: flags in `shadow` are for trial: nobody is meant to act on them.
        promote, demote: a cluster is labelled when its bound reaches `promote`, and no longer below `demote`.
        centroid: least cosine of a post to the labelled cluster's centroid.
        exemplar: least cosine to an upheld post of that cluster; of an `alone` policy, in that modality.
        cohesion: least cohesion of that cluster.
        modality: least cosine to the exemplar in each modality, for `together` and `required`.
        together: the post must have every modality of the exemplar, and each must match by itself.
        required: modalities that post and exemplar must both have, each matching by itself.
        alone: the one modality that decides: a known image under any caption.
        verification: modality -> how well features of post and exemplar must agree in it, where both have such; one
            of the modalities that match by themselves must, under `together` and `required` each that is asked for.
        agreed: modality -> what `exemplar` and `centroid` are instead, where they are higher, for two posts of that
            modality alone whose features agree in it.
        trail: least cosine to a post that the cluster's label flagged, where no exemplar is near enough
            (`models.trails`); 1 for none.
        reach: least cosine to an exemplar that is asked beside `trail`.
        flags_per_verdict: a label gives at most so many flags for each verdict that upholds it;
        sample: of the posts beyond that, one in so many goes to review.
    """

    name: str
    severity: Literal["low", "medium", "high", "critical"] = "medium"
    mode: Literal["live", "shadow"] = "live"
    promote: float
    demote: float
    centroid: float
    exemplar: float
    cohesion: float
    modality: float
    together: bool = False
    required: tuple[str, ...] = ()
    alone: str | None = None
    verification: dict[str, float] = {}
    agreed: dict[str, float] = {}
    trail: float = 1.0
    reach: float = 1.0
    flags_per_verdict: int = 1_000
    sample: int = 100

    @property
    def thresholds(self) -> dict[str, float]:
        """What a flag under this policy had to reach, by name."""
        names = ["promote", "demote", "exemplar"]
        names += [] if self.alone else ["centroid", "cohesion"]
        names += ["modality"] if self.together or self.required else []
        names += ["trail", "reach"] if self.trail < 1.0 and not self.alone else []
        reached = {name: getattr(self, name) for name in names}
        reached |= {f"verification {name}": least for name, least in sorted(self.verification.items())}
        return reached | {f"agreed {name}": least for name, least in sorted(self.agreed.items())}

    def relief(self, modality: str) -> float:
        """How much less of a cosine is asked of two posts of one modality when their features agree in it."""
        given = self.agreed.get(modality) if modality in self.verification else None
        return 0.0 if given is None else max(self.exemplar - given, 0.0)

    @property
    def most_relief(self) -> float:
        """The highest relief of any modality."""
        return max((self.relief(name) for name in self.agreed), default=0.0)

    @property
    def version(self) -> str:
        """Twelve hex digits that change with anything in the rule."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()[:12]


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
        features: modality -> features of `models.verification`.
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
    features: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Bank:
    """Exemplars: `vectors` float64 (n, size), unit norm, the post_id and the features of each."""

    post_ids: tuple[str, ...]
    vectors: NDArray[np.float64]
    features: tuple[Mapping[str, bytes], ...]


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


class Near(NamedTuple):
    """A post and the similarity to it."""

    post_id: str
    similarity: float


class Judgement(NamedTuple):
    """A post that matches a policy's exemplar; `review` when the cluster is disputed.

    Attributes:
        trail: the flagged post by which it does, where the exemplar itself is not near enough.
    """

    action: Literal["flag", "review"]
    candidate: Candidate
    exemplar: str
    similarity: float
    trail: Near | None = None


class Verified(NamedTuple):
    """How well features of a post and an exemplar agree in the modality that counts, and how well they must."""

    modality: str
    score: float
    least: float

    @property
    def passed(self) -> bool:
        """Whether they agree."""
        return self.score >= self.least


@lru_cache(maxsize=4096)
def violation_bound(upheld: int, overturned: int) -> float:
    """The 5% quantile of the violation rate: .66, .85, .90, .94 after 1, 2, 3, 5 upheld.

    To seven places: where the library's last digits differ between machines, labels and flags do not. For none of
    the counts that MOST_EVIDENCE allows does the rounding hang on them; a test looks at all.
    """
    return round(float(betaincinv(PRIOR + upheld, PRIOR + overturned, QUANTILE)), 7)


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
    rule: PolicyRule,
    layout: FusionLayout,
    vector: NDArray[np.float32],
    candidates: Iterable[Candidate],
    features: Mapping[str, bytes] = NO_FEATURES,
    refused: Counter[str] | None = None,
    search: Search = SEARCH,
) -> Judgement | None:
    """Whether a post violates a policy, by the clusters with evidence under it near the post.

    A candidate matches when its label, cohesion, centroid and an exemplar all pass, and features agree with that
    exemplar's, which may lower the cosines that are asked (`PolicyRule.agreed`); of several the one with the nearest
    exemplar counts. Features are compared at most MOST_COMPARED times (`choose_exemplars`). A benign exemplar of any
    candidate that is as near or nearer takes the match away. An `alone` policy looks at one modality of the exemplars
    and at nothing else; what it says of the similarity is to the exemplar, not to a centroid.

    Args:
        vector: float32 (size,), the post's fused vector.
        features: the post's, by modality.
        refused: counts the candidates that only their features refuse, under the policy's name.
        search: for an exemplar that agrees.
    """
    unit = vector / lengths(vector)
    least = rule.exemplar - _relief(rule, layout, (unit,), (features,))
    near = near_candidates(rule, candidates, centroid_beside(rule, least))
    able = able_candidates(rule, near)
    if rule.alone is None:
        able = [one for one in able if may_be_near(unit, one.upheld, least)]
    if not able:
        return None
    benign = nearest_benign(rule, layout, unit, near)
    chosen = choose_exemplars(rule, layout, unit, able, features, benign, search)
    matches = [
        match
        for one, found in zip(able, chosen, strict=True)
        if found is not None and (match := _match(rule, layout, unit, one, found, refused)) is not None
    ]
    matches = [match for match in matches if match.similarity > benign]
    order = {"flag": 0, "review": 1}
    return min(
        matches, key=lambda match: (order[match.action], -match.similarity, match.candidate.cluster), default=None
    )


def stands(
    rule: PolicyRule,
    layout: FusionLayout,
    vector: NDArray[np.float32],
    candidates: Iterable[Candidate],
    features: Mapping[str, bytes] = NO_FEATURES,
) -> bool:
    """Whether a flag given before still has a labelled cluster and an exemplar behind it.

    Centroid and cohesion are not asked again: a cluster that has moved on is no verdict. Nor is the bound on
    comparisons: the flag's own exemplar may lie beyond those that are nearer, so all are tried, and what cannot be
    compared any more counts as agreeing.
    """
    loose = msgspec.structs.replace(rule, centroid=-1.0, cohesion=-1.0)
    found = judge(loose, layout, vector, candidates, features, search=Search(MOST_EVIDENCE, 1.0))
    return found is not None and found.action == "flag"


def near_candidates(rule: PolicyRule, candidates: Iterable[Candidate], least: float) -> list[Candidate]:
    """The candidates whose centroid is near enough for anything: from the cosine `least` on."""
    return [one for one in candidates if rule.alone is not None or one.similarity >= least]


def able_candidates(rule: PolicyRule, candidates: Iterable[Candidate]) -> list[Candidate]:
    """Those of the near candidates of which an exemplar can make a match: label and cohesion pass."""
    labelled = [one for one in candidates if one.label.state in {"violating", "disputed"}]
    return [one for one in labelled if rule.alone is not None or one.cohesion >= rule.cohesion]


def may_be_near(unit: NDArray[np.float64], bank: Bank, least: float) -> bool:
    """Whether any exemplar may be this near to a post: a fast product, for most posts are near none."""
    return bool(bank.post_ids) and float((bank.vectors @ unit).max()) >= least - ROUNDING


def nearest_benign(
    rule: PolicyRule, layout: FusionLayout, unit: NDArray[np.float64], candidates: Iterable[Candidate]
) -> float:
    """The highest similarity to a benign exemplar of any candidate, minus infinity without one."""
    banks = [one.benign.vectors for one in candidates if one.benign.post_ids]
    return max((float(exemplar_similarities(rule, layout, unit, bank).max()) for bank in banks), default=-np.inf)


def _match(
    rule: PolicyRule,
    layout: FusionLayout,
    unit: NDArray[np.float64],
    candidate: Candidate,
    chosen: Chosen,
    refused: Counter[str] | None,
) -> Judgement | None:
    if not _near_enough(rule, candidate, chosen):
        return None
    if chosen.verified is not None and not chosen.verified.passed:
        if refused is not None:
            refused[rule.name] += 1
        return None
    bank = candidate.upheld
    action: Literal["flag", "review"] = "flag" if candidate.label.state == "violating" else "review"
    if rule.alone is not None:
        shares = layout.shares(unit, bank.vectors[chosen.number][None])[0]
        candidate = replace(candidate, similarity=float(sum(shares.tolist())), shares=shares)
    return Judgement(action, candidate, bank.post_ids[chosen.number], chosen.similarity)


def _near_enough(rule: PolicyRule, candidate: Candidate, chosen: Chosen) -> bool:
    """Whether the cosines to the exemplar and to the centroid pass."""
    if chosen.similarity < chosen.least:
        return False
    return rule.alone is not None or candidate.similarity >= centroid_beside(rule, chosen.least)


class Chosen(NamedTuple):
    """The exemplar that counts for a post.

    Attributes:
        number: in the bank.
        similarity: as the policy takes it.
        least: the similarity that is asked, lower where features agree.
        verified: how well they do, or what counts as it beyond MOST_COMPARED; None where there is nothing to compare,
            or no need to.
    """

    number: int
    similarity: float
    least: float
    verified: Verified | None


def choose_exemplars(
    rule: PolicyRule,
    layout: FusionLayout,
    unit: NDArray[np.float64],
    candidates: Sequence[Candidate],
    features: Mapping[str, bytes] = NO_FEATURES,
    benign: float = -np.inf,
    search: Search = SEARCH,
) -> list[Chosen | None]:
    """For each candidate the nearest exemplar whose modalities match and whose features agree; else the nearest one.

    Features are compared with no exemplar that is too far even if they agree, with at most `search.tries` of the
    others of a candidate, and by at most MOST_COMPARED pairs of maps in all: nearest exemplars first, whichever
    candidate's, ties by cluster. What is beyond that agrees by `search.beyond`. What cannot change the judgement is
    not compared at all: exemplars no nearer than the benign one, and those after a labelled candidate's match.

    Args:
        candidates: that may match, of different clusters.
        benign: the highest similarity to a benign exemplar.
        search: how far to look for an exemplar that agrees.

    Returns:
        None for a candidate where the modalities of no exemplar match.
    """
    ranked = [_nearest(rule, layout, unit, one.upheld, search.tries) for one in candidates]
    found = [row[0] if row else None for row in ranked]
    waiting = sorted(
        ((place, one) for place, row in enumerate(ranked) for one in row),
        key=lambda pair: (-pair[1].similarity, candidates[pair[0]].cluster),
    )
    tried: set[int] = set()
    settled: set[int] = set()
    spent, decided = 0, False
    for place, one in waiting:
        if place in settled:
            continue
        bank = candidates[place].upheld
        exemplar, theirs = bank.vectors[one.number], bank.features[one.number]
        relief = _relief(rule, layout, (unit, exemplar), (features, theirs))
        if one.similarity < rule.exemplar - relief:
            continue
        verified: Verified | None = None
        if not decided and one.similarity > benign:
            names = compared(rule, layout, unit, exemplar, features, theirs)
            verified, spent = verify_within(rule, names, features, theirs, spent, search.beyond)
        agreed = verified is not None and verified.passed
        chosen = one._replace(least=rule.exemplar - (relief if agreed else 0.0), verified=verified)
        passed = (verified is None or agreed) and chosen.similarity >= chosen.least
        if passed or place not in tried:
            found[place] = chosen
        tried.add(place)
        if passed:
            settled.add(place)
            labelled = candidates[place].label.state == "violating" and one.similarity > benign
            decided = decided or (labelled and _near_enough(rule, candidates[place], chosen))
    return found


def _nearest(
    rule: PolicyRule, layout: FusionLayout, unit: NDArray[np.float64], bank: Bank, most: int
) -> list[Chosen]:
    """The nearest exemplars whose modalities match, not compared yet."""
    allowed = allowed_exemplars(rule, layout, unit, bank)
    if not allowed.size:
        return []
    similarities = exemplar_similarities(rule, layout, unit, bank.vectors[allowed])
    order = np.argsort(-similarities, kind="stable")[:most].tolist()
    return [Chosen(int(allowed[at]), float(similarities[at]), rule.exemplar, None) for at in order]


def centroid_beside(rule: PolicyRule, least: float) -> float:
    """The cosine to a centroid that is asked beside `least` to the exemplar."""
    return rule.centroid if least >= rule.exemplar else min(rule.centroid, least)


def least_centroid(
    rule: PolicyRule, layout: FusionLayout, unit: NDArray[np.float64], features: Mapping[str, bytes]
) -> float:
    """The least cosine to a centroid that may be enough for a post, if its features agree with an exemplar's."""
    return centroid_beside(rule, rule.exemplar - _relief(rule, layout, (unit,), (features,)))


def least_exemplar(rule: PolicyRule, layout: FusionLayout, piece: Evidence) -> float:
    """The least cosine to this evidence that may be enough for a post, if its features agree."""
    return rule.exemplar - _relief(rule, layout, (piece.vector,), (piece.features,))


def _relief(
    rule: PolicyRule,
    layout: FusionLayout,
    vectors: Sequence[NDArray[np.floating]],
    features: Sequence[Mapping[str, bytes]],
) -> float:
    """How much less is asked of posts that are the same modality alone, if their features agree."""
    held = layout.present(np.stack(vectors)).any(axis=0)
    if held.sum() != 1:
        return 0.0
    name = layout.names[int(held.argmax())]
    return rule.relief(name) if all(name in given for given in features) else 0.0


def compared(
    rule: PolicyRule,
    layout: FusionLayout,
    unit: NDArray[np.float64],
    exemplar: NDArray[np.float64],
    features: Mapping[str, bytes],
    others: Mapping[str, bytes],
) -> list[str]:
    """The modalities that carry the similarity of a post and an exemplar and have features in both.

    Args:
        unit, exemplar: float64 (size,), unit norm.
        features, others: of the post and of the exemplar, by modality.
    """
    names = [name for name in layout.names if name in rule.verification and name in features and name in others]
    if not names:
        return []
    cosines = layout.named(np.nan_to_num(layout.cosines(unit, exemplar[None])[0], nan=-1.0))
    if rule.alone is not None:
        return [name for name in names if name == rule.alone]
    names = [name for name in names if cosines[name] >= rule.modality]
    return _asked(rule, names) or names


def _asked(rule: PolicyRule, names: Sequence[str]) -> list[str]:
    """Those that the policy asks for by themselves."""
    return [name for name in names if rule.together or name in rule.required]


def verify(
    rule: PolicyRule, names: Sequence[str], features: Mapping[str, bytes], others: Mapping[str, bytes]
) -> Verified | None:
    """Compare features of a post and an exemplar in some modalities.

    Returns:
        The modality that passes by the most, or, among those that a policy asks for by themselves, by the least. None
        when there is nothing to compare.
    """
    found = []
    for name in names:
        least = rule.verification[name]
        score = agreement(features[name], others[name], least)
        if score is not None:
            found.append(Verified(name, score, least))
    choose = min if _asked(rule, names) else max
    return choose(found, key=lambda one: one.score - one.least, default=None)


def verify_within(  # two posts and a bound
    rule: PolicyRule,
    names: Sequence[str],
    features: Mapping[str, bytes],
    others: Mapping[str, bytes],
    spent: int,
    beyond: float = SEARCH.beyond,
) -> tuple[Verified | None, int]:
    """What `verify` gives, and the pairs of maps compared so far; where they would be too many, `beyond`."""
    cost = sum(pairs(features[name], others[name]) for name in names)
    if cost and spent and spent + cost > MOST_COMPARED:
        return Verified(names[0], beyond, rule.verification[names[0]]), spent
    return verify(rule, names, features, others), spent + cost


def allowed_exemplars(
    rule: PolicyRule, layout: FusionLayout, unit: NDArray[np.float64], bank: Bank
) -> NDArray[np.intp]:
    """The exemplars whose modalities a post must match one by one, and does."""
    allowed = np.arange(len(bank.post_ids))
    if not allowed.size or not (rule.together or rule.required):
        return allowed
    reached = layout.cosines(unit, bank.vectors) >= rule.modality
    passed = np.ones(len(allowed), dtype=np.bool_)
    if rule.together:
        passed &= (reached | ~layout.present(bank.vectors)).all(axis=1)
    for name in rule.required:
        passed &= reached[:, layout.names.index(name)] if name in layout.names else False
    return np.flatnonzero(passed)


def exemplar_similarities(
    rule: PolicyRule, layout: FusionLayout, unit: NDArray[np.float64], vectors: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Cosine to each exemplar: of the whole vectors, or of the one modality that decides (-1 where one lacks it)."""
    if rule.alone is None:
        return np.asarray(layout.shares(unit, vectors).sum(axis=1))
    if rule.alone not in layout.names:
        return np.full(len(vectors), -1.0)
    return np.nan_to_num(layout.cosines(unit, vectors)[:, layout.names.index(rule.alone)], nan=-1.0)


def _bank(pieces: Sequence[Evidence]) -> Bank:
    if not pieces:
        return Bank((), np.empty((0, 0)), ())
    vectors = np.stack([piece.vector for piece in pieces])
    return Bank(
        tuple(piece.post_id for piece in pieces),
        vectors / lengths(vectors)[:, None],
        tuple(piece.features for piece in pieces),
    )


def _cosine(one: Evidence, two: Evidence) -> float:
    return float(dot(one.vector, two.vector) / np.sqrt(dot(one.vector, one.vector) * dot(two.vector, two.vector)))
