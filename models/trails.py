"""The trail of a labelled cluster: the latest posts that its label flagged. By them a drifting campaign is known.

A post that is too far from every exemplar is still flagged when it is nearly the same as one that was flagged, and an
exemplar is not out of reach: so a campaign whose posts move step by step is followed between two verdicts, and
nobody can lead the flags anywhere else, for the reach is measured from what moderators have confirmed. People also
leave parts out: a post with fewer parts than the flagged one is compared by those that it has, two or more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models.exact import lengths
from models.policies import (
    NO_FEATURES,
    ROUNDING,
    TRIES,
    Judgement,
    Near,
    allowed_exemplars,
    compared,
    exemplar_similarities,
    nearest_benign,
    verify_within,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from models.fusion import FusionLayout
    from models.policies import Bank, Candidate, PolicyRule, Verified

    Trails = Callable[[int], Bank]
    """The trail of a cluster under the policy in question."""

LEAST_PARTS = 2
"""So many parts say what a post is where the flagged one has more: one alone may come with anything."""

NOTHING = 1e-12
"""Less than the square of any part's length: a flagged post of other parts alone."""


class Reached(NamedTuple):
    """A violating cluster whose nearest exemplar is within reach.

    Attributes:
        number: of the exemplar in the bank.
        similarity: to it.
        benign: the highest similarity to a benign exemplar of any candidate, minus infinity without one.
    """

    candidate: Candidate
    number: int
    similarity: float
    benign: float


class Followed(NamedTuple):
    """What makes a post a match by a trail: the cluster with its exemplar, and the flagged post it is near to."""

    reached: Reached
    near: Near
    verified: Verified | None

    @property
    def exemplar(self) -> str:
        """The post_id of the exemplar."""
        return self.reached.candidate.upheld.post_ids[self.reached.number]

    @property
    def judgement(self) -> Judgement:
        """A flag."""
        return Judgement("flag", self.reached.candidate, self.exemplar, self.reached.similarity, self.near)


def follow(
    rule: PolicyRule,
    layout: FusionLayout,
    vector: NDArray[np.float32],
    candidates: Iterable[Candidate],
    trail: Trails,
    features: Mapping[str, bytes] = NO_FEATURES,
) -> Followed | None:
    """The trail that a post follows, if any: that with the nearest flagged post, ties by cluster.

    The flagged post must have the same modalities, or those and more where LEAST_PARTS are left and the policy is not
    a `together` one; over the post's modalities it must have a cosine of `rule.trail` or more, match one by one in
    those that the policy asks for, and agree in its features like an exemplar. Its cluster's label must stand, an
    exemplar be within `rule.reach`, and no benign exemplar of any candidate be as near as that one.

    Args:
        vector: float32 (size,), the post's fused vector.
        trail: gives the flagged posts of a cluster, the latest last.
        features: the post's, by modality.
    """
    if rule.trail >= 1.0 or rule.alone is not None:
        return None
    unit, given = vector / lengths(vector), list(candidates)
    banks = {one.cluster: trail(one.cluster) for one in given if one.label.state == "violating"}
    held = layout.present(unit[None])[0]
    banks = {cluster: bank for cluster, bank in banks.items() if _may_be_near(rule, layout, unit, held, bank)}
    if not banks:
        return None
    near = []
    for one in within_reach(rule, layout, unit, given):
        bank = banks.get(one.candidate.cluster)
        near += [] if bank is None else [(one, bank, *found) for found in _near(rule, layout, unit, held, bank)]
    spent = 0
    for one, bank, number, similarity in sorted(near, key=lambda found: (-found[3], found[0].candidate.cluster)):
        theirs = bank.features[number]
        names = compared(rule, layout, unit, bank.vectors[number], features, theirs)
        verified, spent = verify_within(rule, names, features, theirs, spent)
        if verified is None or verified.passed:
            return Followed(one, Near(bank.post_ids[number], similarity), verified)
    return None


def within_reach(
    rule: PolicyRule, layout: FusionLayout, unit: NDArray[np.float64], candidates: Sequence[Candidate]
) -> Iterator[Reached]:
    """The violating candidates with an exemplar from `rule.reach` on that is nearer than every benign one."""
    benign = nearest_benign(rule, layout, unit, candidates)
    for one in candidates:
        if one.label.state != "violating" or not one.upheld.post_ids:
            continue
        similarities = exemplar_similarities(rule, layout, unit, one.upheld.vectors)
        best = int(similarities.argmax())
        if similarities[best] >= rule.reach and similarities[best] > benign:
            yield Reached(one, best, float(similarities[best]), benign)


def still_reached(
    rule: PolicyRule, layout: FusionLayout, vector: NDArray[np.float32], candidates: Iterable[Candidate]
) -> bool:
    """Whether a flag that a trail gave still has a labelled cluster and an exemplar behind it."""
    return any(True for _ in within_reach(rule, layout, vector / lengths(vector), list(candidates)))


def _may_be_near(
    rule: PolicyRule, layout: FusionLayout, unit: NDArray[np.float64], held: NDArray[np.bool_], bank: Bank
) -> bool:
    """Whether any post of a trail may be this near, by fast products alone."""
    if not bank.post_ids:
        return False
    products = bank.vectors @ unit
    if _may_lack_parts(rule, held):
        products /= np.sqrt(np.maximum(np.square(bank.vectors) @ _columns(layout, held), NOTHING))
    return float(products.max()) >= rule.trail - ROUNDING


def _near(
    rule: PolicyRule, layout: FusionLayout, unit: NDArray[np.float64], held: NDArray[np.bool_], bank: Bank
) -> list[tuple[int, float]]:
    """The TRIES nearest posts of a trail that a post may follow, with their similarities over its modalities."""
    theirs = layout.present(bank.vectors)
    alike = ((theirs | ~held) if _may_lack_parts(rule, held) else (theirs == held)).all(axis=1)
    allowed = np.intersect1d(np.flatnonzero(alike), allowed_exemplars(rule, layout, unit, bank))
    if not allowed.size:
        return []
    rows = bank.vectors[allowed] * _columns(layout, held)
    similarities = exemplar_similarities(rule, layout, unit, rows / lengths(rows)[:, None])
    order = np.argsort(-similarities, kind="stable")[:TRIES].tolist()
    return [(int(allowed[at]), float(similarities[at])) for at in order if similarities[at] >= rule.trail]


def _may_lack_parts(rule: PolicyRule, held: NDArray[np.bool_]) -> bool:
    """Whether a post with these modalities may follow one that has more."""
    return not rule.together and LEAST_PARTS <= int(held.sum()) < len(held)


def _columns(layout: FusionLayout, held: NDArray[np.bool_]) -> NDArray[np.float64]:
    """1 where a fused vector holds one of these modalities, 0 elsewhere."""
    return np.repeat(held, layout.dimension).astype(np.float64)
