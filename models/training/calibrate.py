"""Thresholds from observed posts: where variants of a post part from its look-alikes and from everything else."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.stats import binomtest

from models.fusion import FusionLayout
from models.manifest import Thresholds
from models.thresholds import STRANGE_PARTS
from models.training.kinds import KINDS, Kind
from models.verification import agreement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from models.training.observations import Observations

PATTERNS: tuple[tuple[str, ...], ...] = (
    KINDS,
    KINDS,
    KINDS,
    ("text", "image"),
    ("text", "image"),
    ("text", "audio"),
    ("image", "audio"),
    ("text",),
    ("image",),
    ("audio",),
)
"""Parts of the posts of ten campaigns."""

# A stream with truth, as shares of its posts: what precision is reckoned with.
_VIOLATING, _LOOK_ALIKE, _UNRELATED = 0.15, 0.06, 0.79
_EXEMPLARS, _OF_ONE_CAMPAIGN = 10, 3
"""Exemplars that an unrelated post meets, and a look-alike: it may match any of its campaign's."""
PRECISION = 0.955
INCOMPLETE = 0.1
"""Share of the posts of a campaign of three parts that leave one of them out."""
CONJUNCTION_LIMIT = 0.02
MARGIN, NEIGHBOURS = 0.1, 8
LEAST_AGREEMENT = 0.5
"""Below it two maps have little more in common than any two."""
_GRID = np.round(np.arange(0.40, 0.951, 0.005), 3)


@dataclass(frozen=True, slots=True)
class Similarities:
    """Cosines between a post and a reference, by what the post is.

    Attributes:
        same: variants of the reference's original.
        look_alike: variants of its look-alike in every part.
        unrelated: other posts.
        conjunction: posts that share exactly two of the three parts with a whole reference; the third is another's.
        conjunction_least: the cosine of the part that is most unlike, of the same posts.
        whole_least: likewise of whole variants of the reference's original.
    """

    same: NDArray[np.float32]
    look_alike: NDArray[np.float32]
    unrelated: NDArray[np.float32]
    conjunction: NDArray[np.float32]
    conjunction_least: NDArray[np.float32]
    whole_least: NDArray[np.float32]

    def precision(self, threshold: float) -> float:
        """Expected share of right flags in the reckoned stream."""
        right = _VIOLATING * _above(self.same, threshold)
        wrong = _LOOK_ALIKE * min(1.0, _OF_ONE_CAMPAIGN * _above(self.look_alike, threshold))
        wrong += _UNRELATED * min(1.0, _EXEMPLARS * _above(self.unrelated, threshold))
        return right / (right + wrong) if right + wrong > 0 else 0.0

    def recall(self, threshold: float) -> float:
        """Share of variants at the threshold or above."""
        return _above(self.same, threshold)


def _above(cosines: NDArray[np.float32], threshold: float) -> float:
    return float((cosines >= threshold).mean())


def means_of(observations: Observations) -> dict[Kind, NDArray[np.float32]]:
    """The mean embedding of the originals by kind, rounded as the manifest keeps it."""
    return {
        kind: np.round(rows[:, 0].mean(axis=0), 6).astype(np.float32)
        for kind, rows in observations.embeddings.items()
    }


def layout_from(means: Mapping[Kind, NDArray[np.float32]], weights: Mapping[str, float]) -> FusionLayout:
    """The fusion of the three kinds."""
    return FusionLayout(
        KINDS,
        len(means[KINDS[0]]),
        np.array([weights[kind] for kind in KINDS], dtype=np.float32),
        np.stack([means[kind] for kind in KINDS]).astype(np.float32),
    )


def compose(
    observations: Observations,
    layout: FusionLayout,
    owners: Mapping[Kind, NDArray[np.int64]],
    variants: Mapping[Kind, NDArray[np.int64]],
) -> NDArray[np.float32]:
    """Fused vectors of posts put together from parts: of `owners[kind]` the variant `variants[kind]`, both (n,)."""
    parts = {kind: observations.embeddings[kind][owners[kind], variants[kind]] for kind in owners}
    present = {kind: np.ones(len(rows), dtype=bool) for kind, rows in parts.items()}
    return layout.fuse(parts, present)


def compare(
    observations: Observations, layout: FusionLayout, rng: np.random.Generator, *, with_centroid: bool
) -> Similarities:
    """Compare posts of every pattern with an exemplar, or with the centroid of three variants."""
    found: dict[str, list[NDArray[np.float32]]] = {field.name: [] for field in fields(Similarities)}
    count, posts = observations.embeddings["text"].shape[:2]
    own = np.arange(count)
    for pattern in PATTERNS:
        order = {kind: rng.permuted(np.tile(np.arange(posts), (count, 1)), axis=1) for kind in pattern}
        other = _strangers(rng, count)
        references = [
            compose(observations, layout, dict.fromkeys(pattern, own), {k: order[k][:, n] for k in pattern})
            for n in range(1, posts if with_centroid else 2)
        ]
        reference = np.sum(references, axis=0)
        reference /= np.linalg.norm(reference, axis=1, keepdims=True)
        first = {kind: order[kind][:, 0] for kind in pattern}
        for name, owner in (("same", own), ("look_alike", own ^ 1)):
            posted = compose(observations, layout, dict.fromkeys(pattern, owner), first)
            if pattern == KINDS and name == "same":
                found["whole_least"].append(_least(posted, reference, layout))
            if pattern == KINDS:
                posted = _incomplete(posted, layout, rng)
            found[name].append((posted * reference).sum(axis=1))
            if name == "same":
                # false matches are rare: only all pairs show how rare
                found["unrelated"].append((posted @ reference.T)[own[:, None] // 2 != own[None, :] // 2])
        if pattern == KINDS:
            for foreign in KINDS:
                mixed = {kind: other if kind == foreign else own for kind in KINDS}
                posted = compose(observations, layout, mixed, first)
                found["conjunction"].append((posted * reference).sum(axis=1))
                found["conjunction_least"].append(_least(posted, reference, layout))
    return Similarities(**{name: np.concatenate(parts) for name, parts in found.items()})


def _least(posts: NDArray[np.float32], references: NDArray[np.float32], layout: FusionLayout) -> NDArray[np.float32]:
    """The lowest cosine of any part of whole posts, (n,)."""
    cosines = []
    for kind in KINDS:
        one, two = posts[:, layout.block(kind)], references[:, layout.block(kind)]
        lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
        cosines.append((one * two).sum(axis=1) / np.maximum(lengths, 1e-12))
    return np.asarray(np.min(cosines, axis=0), dtype=np.float32)


def _incomplete(posts: NDArray[np.float32], layout: FusionLayout, rng: np.random.Generator) -> NDArray[np.float32]:
    """Some of the whole posts (n, D) without one of their parts."""
    cut = posts.copy()
    for row in np.flatnonzero(rng.random(len(posts)) < INCOMPLETE):
        cut[row, layout.block(KINDS[int(rng.integers(len(KINDS)))])] = 0.0
    return np.asarray(cut / np.linalg.norm(cut, axis=1, keepdims=True), dtype=np.float32)


def _strangers(rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    """For each original another that is not its look-alike."""
    return np.asarray((np.arange(count) + 2 * rng.integers(1, max(count // 2, 2), count)) % count, dtype=np.int64)


def choose(similarities: Similarities, *, conjunction_limit: float = 1.0) -> float:
    """The lowest threshold at which the precision, and the share of conjunction parts above it, are as wanted.

    Falls back to the most precise one where no threshold is good enough.
    """
    good = [
        threshold
        for threshold in _GRID
        if similarities.precision(threshold) >= PRECISION
        and _above(similarities.conjunction, threshold) <= conjunction_limit
    ]
    return float(good[0]) if good else float(max(_GRID, key=similarities.precision))


def calibrate(
    observations: Observations, layout: FusionLayout, rng: np.random.Generator
) -> tuple[Thresholds, Similarities, Similarities]:
    """The bundle's thresholds, and the similarities to exemplars and to centroids that they come from.

    Parts of a conjunction must not join its cluster; from a flag the threshold of each modality keeps them.
    """
    exemplar = compare(observations, layout, rng, with_centroid=False)
    centroid = compare(observations, layout, rng, with_centroid=True)
    join = choose(centroid, conjunction_limit=CONJUNCTION_LIMIT)
    thresholds = Thresholds(
        join=join,
        cohesion=round(float(np.quantile(_cohesions(observations, layout), 0.02)) - 0.03, 3),
        centroid=round(min(join, max(0.5, float(np.quantile(centroid.same, 0.03)))), 3),
        exemplar=choose(exemplar),
        modality=_modality_threshold(observations, layout, rng),
        twin=_twin_threshold(observations, layout, join),
    )
    return thresholds, exemplar, centroid


def _whole(observations: Observations, layout: FusionLayout) -> NDArray[np.float32]:
    """Fused whole posts, float32 (originals, variants, D)."""
    count, posts = observations.embeddings["text"].shape[:2]
    own = np.arange(count)
    return np.stack(
        [
            compose(observations, layout, dict.fromkeys(KINDS, own), dict.fromkeys(KINDS, np.full(count, n)))
            for n in range(posts)
        ],
        axis=1,
    )


def _cohesions(observations: Observations, layout: FusionLayout) -> NDArray[np.float32]:
    """The mean cosine between the variants of each original, by single part: the loosest true clusters there are."""
    means = []
    for kind in KINDS:
        rows = _single(observations, layout, kind)
        posts = rows.shape[1]
        total = rows.sum(axis=1)
        means.append(((total * total).sum(axis=1) - posts) / (posts * posts - posts))
    return np.concatenate(means)


def _single(observations: Observations, layout: FusionLayout, kind: str) -> NDArray[np.float32]:
    """One centred and normalised block, float32 (originals, variants, d)."""
    rows = observations.embeddings[kind]
    count, posts, size = rows.shape
    flat = layout.fuse({kind: rows.reshape(-1, size)}, {kind: np.ones(count * posts, dtype=bool)})
    return flat[:, layout.block(kind)].reshape(count, posts, size)


def _modality_threshold(observations: Observations, layout: FusionLayout, rng: np.random.Generator) -> float:
    """What parts of strangers seldom reach: one strange part of three must keep a conjunction from its flag.

    That of the strictest kind: taken over all kinds together, the others would hide it.
    """
    strange = []
    for kind in KINDS:
        rows = _single(observations, layout, kind)
        cosines = (rows * rows[_strangers(rng, len(rows))]).sum(axis=2).ravel()
        strange.append(float(np.quantile(cosines, 1.0 - STRANGE_PARTS)))
    return round(max(strange), 3)


def _twin_threshold(observations: Observations, layout: FusionLayout, join: float) -> float:
    """Above what look-alikes' centroids reach, and never below joining."""
    whole = _whole(observations, layout)
    centroids = whole.sum(axis=1)
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    look_alikes = (centroids * centroids[np.arange(len(centroids)) ^ 1]).sum(axis=1)
    return round(float(min(max(np.quantile(look_alikes, 0.995), join + 0.05), 0.98)), 3)


class Agreement(NamedTuple):
    """The least agreement of features that counts, and what it was chosen on.

    Attributes:
        found: originals of which another one is so near and agrees so well.
        interval: of their share, 95% (Clopper-Pearson).
    """

    threshold: float
    found: int
    interval: tuple[float, float]


def verification_threshold(
    vectors: NDArray[np.float32], features: Sequence[bytes], exemplar: float, rate: float
) -> Agreement:
    """The lowest threshold at which at most `rate` of the originals have another one for a neighbour that agrees.

    Neighbours are the NEIGHBOURS nearest of those within MARGIN of a flag's cosine: at it there are too few.

    Args:
        vectors: (n, size) unit rows of different originals.
        features: of each, see `models.verification`.
        exemplar: the threshold of cosines to an exemplar.
        rate: from 0 to 1.
    """
    count = len(features)
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    nearest = np.argsort(-cosines, axis=1)[:, :NEIGHBOURS]
    pairs = {(min(one, two), max(one, two)) for one, row in enumerate(nearest.tolist()) for two in row if one != two}
    best = np.full(count, LEAST_AGREEMENT)
    for one, two in sorted(pairs):
        if cosines[one, two] < exemplar - MARGIN:
            continue
        score = agreement(features[one], features[two])
        best[[one, two]] = np.maximum(best[[one, two]], -1.0 if score is None else score)
    allowed = int(rate * count)
    highest = np.sort(best)[::-1][min(allowed, count - 1)]
    threshold = min(float(np.floor(highest * 1000.0) + 1.0) / 1000.0, 1.0)
    found = int((best >= threshold).sum())
    low, high = binomtest(found, count).proportion_ci(0.95, method="exact")
    return Agreement(threshold, found, (round(float(low), 6), round(float(high), 6)))
