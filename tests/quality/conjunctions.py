"""Conjunctions: a caption, an image and a recording, each harmless, that violate only together.

Every original lends each of its parts to other posts too: a post of an altered copy of all three parts of one
original violates; posts with two of them, one, or none, filled up with parts of other originals, do not. So no part
by itself says anything, and each stands in far more harmless posts than violating ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata

from models.training.kinds import KINDS, Kind
from tests.quality.match_products import fit_probabilities, fit_projections
from tests.quality.metrics import share_reached, threshold_at
from tests.quality.originals import SEEDS
from tests.quality.recognisers import COMPACT
from tests.quality.report import Choice, Conjunctions, Lacking, Together
from tests.quality.search import alike
from tests.quality.views import Plan, bundle, observe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from models.bundle import Bundle
    from models.fusion import FusionLayout
    from models.manifest import Thresholds
    from tests.quality.match_products import Pairs
    from tests.quality.originals import Source, Split
    from tests.quality.views import Views, Workers

ORIGINALS, COPIES = 150, 6
WHOLE, TWO, ONE, NONE = 6, 8, 2, 4
"""Posts of each original with all its parts; with each two of them, each one of them, none of them."""

LADDER = (0.30, 0.35, 0.45, 0.50)
"""Least cosines of a part beside the shipped one."""

LOWER = 0.06
"""How much less of the fused cosine is tried."""

FALSE = 0.001
ROUNDS = 200
"""Of the bootstrap, which draws originals."""

MEAN, FUSED, LEAST = "mean of the embeddings", "fused cosine", "least cosine of the three"
SHIPPED = "fused cosine and a least one of each, as `together` asks"
PRODUCT, PROJECTED = "product of three match probabilities", "the same after a learned projection"
SINGLE: dict[Kind, str] = {"text": "caption alone", "image": "image alone", "audio": "recording alone"}


@dataclass(frozen=True)
class Posts:
    """Which parts make which posts.

    Attributes:
        owner: int64 (posts,) the original that a post is compared with.
        shared: int64 (posts,) how many of its parts are of that original.
        rows: by kind, int64 (posts,) rows of `Views.copies`.
    """

    owner: NDArray[np.int64]
    shared: NDArray[np.int64]
    rows: dict[Kind, NDArray[np.int64]]


def compose(views: Mapping[Kind, Views], seed: int) -> Posts:
    """Posts of every number of shared parts, for every original."""
    rng = np.random.default_rng([seed, 21])
    count = min(len(one.groups) for one in views.values())
    own = {kind: [np.flatnonzero(one.owner == number) for number in range(count)] for kind, one in views.items()}
    strange = {kind: ~(alike(one.groups[:count]) | np.eye(count, dtype=bool)) for kind, one in views.items()}
    owner: list[int] = []
    shared: list[int] = []
    rows: dict[Kind, list[int]] = {kind: [] for kind in KINDS}
    for number in range(count):
        for kept in [kinds for size in range(len(KINDS) + 1) for kinds in combinations(KINDS, size)]:
            for _ in range((NONE, ONE, TWO, WHOLE)[len(kept)]):
                owner.append(number)
                shared.append(len(kept))
                for kind in KINDS:
                    of = number if kind in kept else int(rng.choice(np.flatnonzero(strange[kind][number])))
                    rows[kind].append(int(rng.choice(own[kind][of])))
    return Posts(np.array(owner), np.array(shared), {kind: np.array(one) for kind, one in rows.items()})


def parts_of(posts: Posts, views: Mapping[Kind, Views], layout: FusionLayout) -> tuple[Pairs, Pairs]:
    """Every post and its exemplar: by kind, embeddings centred and of unit length, and as the towers give them."""
    raw = {
        kind: (one.copies[COMPACT][posts.rows[kind]], one.references[COMPACT][posts.owner])
        for kind, one in views.items()
    }
    centred = {kind: (alone(rows, kind, layout), alone(others, kind, layout)) for kind, (rows, others) in raw.items()}
    return centred, raw


def alone(rows: NDArray[np.float32], kind: Kind, layout: FusionLayout) -> NDArray[np.float32]:
    """Embeddings of one kind as they stand in a fused vector, of unit length; 0 where nothing is there."""
    return layout.fuse({kind: rows}, {kind: np.any(rows, axis=1)})[:, layout.block(kind)]


def cosines_of(pairs: Pairs) -> NDArray[np.float64]:
    """(posts, kinds)."""
    return np.stack([np.einsum("nd,nd->n", *pairs[kind]) for kind in KINDS], axis=1).astype(np.float64)


def scores_of(
    centred: Pairs,
    raw: Pairs,
    shipped: Bundle,
    learned: Mapping[str, Callable[[Pairs], NDArray[np.float64]]],
) -> dict[str, NDArray[np.float64]]:
    """Every way to score a post beside its exemplar; higher is more alike."""
    cosines, given = cosines_of(centred), shipped.manifest.thresholds
    found = {SINGLE[kind]: cosines[:, at] for at, kind in enumerate(KINDS)}
    found[MEAN] = _mean_cosine(raw)
    found[FUSED] = cosines @ (weights_of(shipped.layout) / weights_of(shipped.layout).sum())
    found[LEAST] = cosines.min(axis=1)
    found[SHIPPED] = np.minimum(found[FUSED] - flag_threshold(given), found[LEAST] - given.modality)
    return found | {name: score(centred) for name, score in learned.items()}


def weights_of(layout: FusionLayout) -> NDArray[np.float64]:
    """Of KINDS, in that order."""
    return np.array([layout.weights[layout.names.index(kind)] for kind in KINDS], dtype=np.float64)


def flag_threshold(given: Thresholds) -> float:
    """The cosine at which a post is flagged beside a cluster of one exemplar."""
    return max(given.exemplar, given.centroid)


def _mean_cosine(raw: Pairs) -> NDArray[np.float64]:
    means = [sum(raw[kind][side] for kind in KINDS) for side in (0, 1)]
    one, two = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in means)
    return np.asarray(np.einsum("nd,nd->n", one, two), dtype=np.float64)


def area(right: NDArray[np.float64], wrong: NDArray[np.float64]) -> float:
    """Area under the ROC curve: how often a right score is above a wrong one; ties count half."""
    ranks = rankdata(np.concatenate([right, wrong]))[: len(right)].sum()
    return float((ranks - len(right) * (len(right) + 1) / 2) / (len(right) * len(wrong)))


def judged(scores: NDArray[np.float64], posts: Posts, against: Sequence[int], seed: int = 5) -> Conjunctions:
    """How well scores tell posts with all parts from those that share so many; intervals by drawing originals."""
    wrong, right = np.isin(posts.shared, against), posts.shared == len(KINDS)

    def figures(chosen: NDArray[np.intp]) -> tuple[float, float]:
        own, others = scores[chosen[right[chosen]]], scores[chosen[wrong[chosen]]]
        return area(own, others), share_reached(own, threshold_at(others, FALSE))

    rng = np.random.default_rng(seed)
    of = [np.flatnonzero(posts.owner == number) for number in range(int(posts.owner.max()) + 1)]
    drawn = [figures(np.concatenate([of[n] for n in rng.integers(len(of), size=len(of))])) for _ in range(ROUNDS)]
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0).tolist()
    found = figures(np.arange(len(scores)))
    return Conjunctions(found[0], (low[0], high[0]), found[1], (low[1], high[1]))


def lacking(centred: Pairs, posts: Posts, layout: FusionLayout, given: Thresholds) -> list[Lacking]:
    """What is lost where posts, or exemplars, lack one part."""
    found = []
    for side, name in enumerate(("post", "exemplar")):
        for gone in (None, *KINDS):
            if gone is None and side:
                continue
            pairs = {
                kind: (rows * (kind != gone or side != 0), others * (kind != gone or side != 1))
                for kind, (rows, others) in centred.items()
            }
            found.append(_lacking("" if gone is None else name, gone or "", pairs, posts, layout, given))
    return found


def _lacking(side: str, gone: str, pairs: Pairs, posts: Posts, layout: FusionLayout, given: Thresholds) -> Lacking:
    cosines = cosines_of(pairs)
    weights = weights_of(layout)
    there = [float(weights[[bool(pairs[kind][at].any()) for kind in KINDS]].sum()) for at in (0, 1)]
    fused = cosines @ weights / np.sqrt(there[0] * there[1])
    asked = np.array([bool(pairs[kind][1].any()) for kind in KINDS])
    least = cosines[:, asked].min(axis=1)
    right, look_alike = posts.shared == len(KINDS), posts.shared == len(KINDS) - 1
    plain = fused >= flag_threshold(given)
    together = plain & (least >= given.modality)
    return Lacking(
        side,
        gone,
        area(fused[right], fused[look_alike]),
        area(least[right], least[look_alike]),
        float(plain[right].mean()),
        float(plain[look_alike].mean()),
        float(together[right].mean()),
        float(together[look_alike].mean()),
    )


def choices_of(centred: Pairs, posts: Posts, layout: FusionLayout, given: Thresholds) -> list[Choice]:
    """What other thresholds of a `together` policy would flag; the shipped ones are among them."""
    cosines = cosines_of(centred)
    fused, least = cosines @ (weights_of(layout) / weights_of(layout).sum()), cosines.min(axis=1)
    shipped = flag_threshold(given)
    tried = [(shipped, modality) for modality in sorted({*LADDER, given.modality})]
    return [
        Choice(one, two, _shares((fused >= one) & (least >= two), posts))
        for one, two in [*tried, (shipped - LOWER, given.modality)]
    ]


def _shares(flagged: NDArray[np.bool_], posts: Posts) -> dict[str, float]:
    return {str(count): float(flagged[posts.shared == count].mean()) for count in range(len(KINDS) + 1)}


def observed(
    source: Source, split: Split, media: Path | None, work: Workers, keep: Path | None, originals: int
) -> dict[Kind, Views] | None:
    """Views of all kinds; None where a source is not there."""
    found: dict[Kind, Views] = {}
    for kind in KINDS:
        views = observe(Plan(kind, source, split, originals, 0, COPIES, (COMPACT,), media), work, keep)
        if views is None:
            return None
        found[kind] = views
    return found


def measure_conjunctions(
    media: Path | None, work: Workers, keep: Path | None, originals: int = ORIGINALS
) -> list[Together]:
    """Every source that is there; what is learned comes from the calibration splits of all of them."""
    layout, given = bundle().layout, bundle().manifest.thresholds
    sources: tuple[Source, ...] = ("real", "generated")
    seen: dict[tuple[Source, Split], tuple[Posts, Pairs, Pairs]] = {}
    for source in sources:
        for split in SEEDS:
            views = observed(source, split, media, work, keep, originals)
            if views is not None:
                posts = compose(views, SEEDS[split])
                seen[source, split] = (posts, *parts_of(posts, views, layout))
    taught = [(posts, pairs) for (_, split), (posts, pairs, _) in seen.items() if split == "calibration"]
    learned = {
        PRODUCT: fit_probabilities([(one.shared, cosines_of(pairs)) for one, pairs in taught], cosines_of),
        PROJECTED: fit_projections([(one.shared, pairs) for one, pairs in taught]),
    }
    found = []
    for (source, split), (posts, centred, raw) in seen.items():
        if split == "report":
            scores = scores_of(centred, raw, bundle(), learned)
            whole, few = posts.shared == len(KINDS), posts.shared < len(KINDS) - 1
            taught_on = seen.get((source, "calibration"))
            found.append(
                Together(
                    source=source,
                    originals=int(posts.owner.max()) + 1,
                    posts={str(count): int((posts.shared == count).sum()) for count in range(len(KINDS) + 1)},
                    systems={name: judged(one, posts, (len(KINDS) - 1,)) for name, one in scores.items()},
                    easier={name: area(one[whole], one[few]) for name, one in scores.items()},
                    lacking=lacking(centred, posts, layout, given),
                    calibration=0 if taught_on is None else int(taught_on[0].owner.max()) + 1,
                    choices=[] if taught_on is None else choices_of(taught_on[1], taught_on[0], layout, given),
                )
            )
    return found
