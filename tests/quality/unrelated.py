"""What matches and must not: unrelated posts against a bank of exemplars, photographs of different garments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from consumers.cells.fold_settings import policy_rule
from consumers.settings import Policy
from models.exact import lengths
from models.policies import Bank, Candidate, Label, judge
from models.synthetic.background import _COMPOSITIONS
from models.training.kinds import KINDS
from tests.quality.garments import SAME
from tests.quality.metrics import reached
from tests.quality.recognisers import COMPACT, VERIFIED, BundlePart, VerifiedPart
from tests.quality.report import Garments, Unrelated
from tests.quality.views import recogniser

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from models.bundle import Bundle
    from models.training.kinds import Kind
    from tests.quality.recognisers import Features
    from tests.quality.views import Views


def false_flags(views: Mapping[Kind, Views], bundle: Bundle) -> Unrelated:
    """Distractors as posts with the parts that harmless posts of the simulated stream have, against such originals.

    Every part is used once, so posts are independent of each other. Each original is an exemplar in a cluster of its
    own, and a post is flagged as `models.policies.judge` does.
    """
    rule = policy_rule(Policy(name="other"), bundle.manifest)
    rng = np.random.default_rng(17)
    bank, theirs = _posts({kind: one.references for kind, one in views.items()}, rng, bundle)
    posts, features = _posts({kind: one.distractors for kind, one in views.items()}, rng, bundle)
    units = bank / lengths(bank)[:, None]
    flagged = 0
    for vector, own in zip(posts, features, strict=True):
        near = np.flatnonzero(bank @ vector >= rule.exemplar - rule.most_relief - 1e-6)
        clusters = [_cluster(bundle, vector, at, units[at], theirs[at]) for at in near.tolist()]
        flagged += judge(rule, bundle.layout, vector, clusters, own) is not None
    return Unrelated(len(posts), len(bank), flagged)


def _cluster(
    bundle: Bundle,
    vector: NDArray[np.float32],
    number: int,
    exemplar: NDArray[np.float64],
    features: Mapping[str, bytes],
) -> Candidate:
    """A labelled cluster of one exemplar, which is its centroid too, beside a post."""
    shares = bundle.layout.shares(vector / lengths(vector), exemplar[None])[0]
    upheld, benign = Bank(("",), exemplar[None], (features,)), Bank((), np.empty((0, 0)), ())
    return Candidate(number, float(shares.sum()), shares, 1.0, Label("violating", 1.0, 1, 0), upheld, benign)


def _posts(
    rows: Mapping[Kind, Mapping[str, Features]], rng: np.random.Generator, bundle: Bundle
) -> tuple[NDArray[np.float32], list[dict[str, bytes]]]:
    """Fused vectors and features of posts of which each part is used once; those that hold nothing are left out."""
    embedded = {kind: one[COMPACT] for kind, one in rows.items()}
    count = min(len(one) for one in embedded.values())
    shares = np.array([share for _, share in _COMPOSITIONS])
    drawn = rng.choice(len(_COMPOSITIONS), count, p=shares / shares.sum())
    carried = [_COMPOSITIONS[at][0] for at in drawn]
    there = {kind: embedded[kind][:count].any(axis=1) for kind in KINDS}
    present = {kind: np.array([kind in parts for parts in carried]) & there[kind] for kind in KINDS}
    fused = bundle.layout.fuse({kind: one[:count] for kind, one in embedded.items()}, present)
    features: list[dict[str, bytes]] = [{} for _ in range(count)]
    for kind in KINDS:
        if VERIFIED in rows[kind]:
            maps = VerifiedPart(BundlePart(bundle, kind), kind).maps(rows[kind][VERIFIED][:count])
            for at in np.flatnonzero(present[kind]).tolist():
                features[at][kind] = maps[at]
    held = np.flatnonzero(fused.any(axis=1))
    return fused[held], [features[at] for at in held.tolist()]


def _same(names: Sequence[str]) -> NDArray[np.bool_]:
    """Which pairs may match: one garment, or one photograph."""
    same = np.zeros((len(names), len(names)), dtype=bool)
    for group in SAME:
        at = [names.index(name) for name in group if name in names]
        same[np.ix_(at, at)] = True
    np.fill_diagonal(same, val=True)
    return same


def false_neighbours(
    views: Views, names: Sequence[str], thresholds: Mapping[str, Mapping[str, float]]
) -> list[Garments]:
    """How many photographs have another garment for a neighbour, by recogniser and threshold."""
    same = _same(names)
    found = []
    for system, rows in views.references.items():
        scores = np.where(same, -np.inf, recogniser(system, "image").scores(rows, rows)).max(axis=1)
        for title, threshold in thresholds[system].items():
            found.append(Garments(f"{system} {title}", threshold, len(names), int(reached(scores, threshold).sum())))
    return found
