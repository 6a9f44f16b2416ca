"""Thresholds at a false match rate, from posts of a platform, with what so many posts can say about them.

Two posts that show different things match by mistake when their cosine reaches a threshold. The rate of such pairs
is estimated from all pairs of the posts. Pairs share posts, so they are not independent: the interval of the rate is
that of Korn and Graubard, Clopper and Pearson's with the effective number of pairs. The interval of a threshold is
Woodruff's: the cosines that the ends of the rate's interval reach.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betaincinv

from models.manifest import Calibration, Measured, Thresholds
from models.post_rows import REPEAT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from models.fusion import FusionLayout

CONFIDENCE = 0.95
CONJUNCTION = 0.02
"""Share of posts, with all parts but one from another post, that may join its cluster."""
STRANGE_PARTS = 0.01
"""Share of the parts of other posts that may pass for the same, for policies that ask every part."""
LEAST_MATCHES = 10
"""So many pairs have to reach a threshold, or it says too little."""
MOST_POSTS = 4_000
"""All pairs of so many are compared."""
_LOWEST, _HIGHEST = 0.05, 0.97


class TooFewPosts(ValueError):  # noqa: N818  # it says what is there
    """The posts cannot say so rare a thing; the message says how many can."""


@dataclass(frozen=True, slots=True)
class Found:
    """Thresholds with their intervals.

    Attributes:
        repeats: pairs so much alike that they were taken for one thing posted twice.
    """

    thresholds: Thresholds
    measured: dict[str, Measured]
    posts: int
    pairs: int
    repeats: int


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Pairs of posts that show different things: their cosines and, for each, its two posts."""

    cosines: NDArray[np.float32]
    posts: NDArray[np.int64]
    count: int
    repeats: int

    def rate(self, threshold: float) -> tuple[float, float, float]:
        """The share at a threshold or above, and its interval."""
        hit = self.cosines >= threshold
        share = float(hit.mean())
        with np.errstate(invalid="ignore"):
            hits = np.bincount(self.posts[hit].ravel(), minlength=self.count)
            all_ = np.bincount(self.posts.ravel(), minlength=self.count)
        seen = all_ > 0
        variance = 4.0 * float(np.var(hits[seen] / all_[seen])) / max(int(seen.sum()), 1)
        return share, *interval(share, len(self.cosines), variance)

    def threshold(self, rate: float) -> float:
        """The lowest cosine, in steps of a thousandth, that no more than `rate` of the pairs reach."""
        most = math.floor(rate * len(self.cosines))
        if most >= len(self.cosines):
            return -1.0
        place = len(self.cosines) - 1 - most
        return math.floor(1_000.0 * float(np.partition(self.cosines, place)[place]) + 1.0) / 1_000.0

    def measured(self, threshold: float, copies: NDArray[np.floating] | None) -> Measured:
        """What the pairs, and altered copies beside their originals (posts, copies), say of a threshold."""
        share, low, high = self.rate(threshold)
        ends = (self.threshold(high), self.threshold(low))
        recall = (None, None, None) if copies is None or not copies.size else _recall(copies, threshold)
        return Measured(
            low=min(threshold, ends[0]),
            high=max(threshold, ends[1]),
            false_matches=share,
            false_matches_low=low,
            false_matches_high=high,
            recall=recall[0],
            recall_low=recall[1],
            recall_high=recall[2],
        )


def interval(share: float, trials: int, variance: float) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share with its effective number of trials.

    Args:
        share: as it was found.
        trials: how many things were looked at.
        variance: of the share, with what its trials have in common; 0 where every trial says the same.
    """
    effective = float(trials)
    if 0.0 < share < 1.0 and variance > 0.0:
        effective = min(effective, share * (1.0 - share) / variance)
    hits, tail = share * effective, (1.0 - CONFIDENCE) / 2.0
    low = 0.0 if hits <= 0.0 else float(betaincinv(hits, effective - hits + 1.0, tail))
    high = 1.0 if hits >= effective else float(betaincinv(hits + 1.0, effective - hits, 1.0 - tail))
    return low, high


def _recall(copies: NDArray[np.floating], threshold: float) -> tuple[float, float, float]:
    """Share of the copies at a threshold or above; copies of one post are no trials of their own."""
    there = np.isfinite(copies)
    hit = (copies >= threshold) & there
    by_post = hit.sum(axis=1)[there.any(axis=1)] / there.sum(axis=1)[there.any(axis=1)]
    share = float(hit.sum() / max(there.sum(), 1))
    return share, *interval(share, int(there.sum()), float(np.var(by_post)) / max(len(by_post), 1))


def calibrate_posts(
    fused: NDArray[np.float32], groups: NDArray[np.int64], layout: FusionLayout, rate: float, seed: int
) -> Found:
    """Thresholds at which `rate` of the pairs of posts that show different things match.

    `exemplar` is the strictest of what all pairs ask, and the pairs of posts with the same parts where there are
    enough of them; `alone` holds what the pairs of each modality ask.

    Args:
        fused: float32 (posts, views, size): each post as it is, then altered copies of it.
        groups: int64 (posts,); posts of one number show one thing.
        layout: how they were fused.
        rate: of false matches, above 0 and below 1.
        seed: picks posts where there are more than MOST_POSTS.

    Raises:
        TooFewPosts.
    """
    rng = np.random.default_rng([seed, 53])
    if len(fused) > MOST_POSTS:
        chosen = np.sort(rng.choice(len(fused), MOST_POSTS, replace=False))
        fused, groups = fused[chosen], groups[chosen]
    whole = _pairs(fused[:, 0], groups)
    _require(len(fused), len(whole.cosines), rate)
    near = np.einsum("nd,nkd->nk", fused[:, 0], fused[:, 1:])
    exemplar = _bounded(
        max(whole.threshold(rate), *(p.threshold(rate) for p in _patterns(fused, groups, layout, rate)))
    )
    mixed = _mixed(fused[:, 0], groups, layout, rng)
    join = exemplar if mixed is None else _bounded(max(exemplar, mixed.threshold(CONJUNCTION)))
    alone = {name: _single(fused, groups, layout, name) for name in layout.names}
    usable = {name: found for name, found in alone.items() if _enough(found[0], rate)}
    by_part = {name: _bounded(pairs.threshold(rate)) for name, (pairs, _) in usable.items()}
    strange = {name: pairs.threshold(STRANGE_PARTS) for name, (pairs, _) in usable.items()}
    modality = _bounded(max(strange.values(), default=exemplar))
    centroid = min(join, max(exemplar, round(float(np.quantile(near, 0.03)), 3))) if near.size else exemplar
    thresholds = Thresholds(
        join=join,
        cohesion=_cohesion(fused),
        centroid=centroid,
        exemplar=exemplar,
        modality=modality,
        twin=round(min(0.99, join + 0.05), 3),
        alone=by_part if len(layout.names) > 1 else {},
    )
    measured = {
        "exemplar": whole.measured(exemplar, near),
        "join": whole.measured(join, near),
        "centroid": whole.measured(centroid, near),
    }
    if strange:
        strictest = max(strange, key=lambda name: strange[name])
        measured["modality"] = usable[strictest][0].measured(modality, usable[strictest][1])
    measured |= {
        f"alone {name}": usable[name][0].measured(value, usable[name][1]) for name, value in thresholds.alone.items()
    }
    return Found(thresholds, measured, len(fused), len(whole.cosines), whole.repeats)


def calibration_of(found: Found, rate: float, seed: int, command: str, data: str) -> Calibration:
    """What the manifest keeps of a calibration."""
    return Calibration(
        command=command,
        created_at=now(),
        data=data,
        seed=seed,
        false_match_rate=rate,
        posts=found.posts,
        pairs=found.pairs,
        repeats=found.repeats,
        measured=found.measured,
    )


def now() -> str:
    """This moment in UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def require_posts(groups: NDArray[np.int64], rate: float) -> None:
    """Ask for enough posts to calibrate on, before anything long begins.

    Raises:
        TooFewPosts.
    """
    sizes = np.unique(groups[:MOST_POSTS], return_counts=True)[1]
    _require(len(groups), int((sizes.sum() ** 2 - (sizes**2).sum()) // 2), rate)


def _require(posts: int, pairs: int, rate: float) -> None:
    if rate * pairs < LEAST_MATCHES:
        least = math.ceil(math.sqrt(2.0 * LEAST_MATCHES / rate)) + 1
        raise TooFewPosts(
            f"{posts} posts to calibrate on, of which {pairs:,} pairs show different things: a false match rate of "
            f"{rate:g} takes about {least:,} posts to calibrate on; give more of them, or a higher rate"
        )


def _enough(pairs: _Pairs, rate: float) -> bool:
    return rate * len(pairs.cosines) >= LEAST_MATCHES


def _bounded(threshold: float) -> float:
    return round(min(max(threshold, _LOWEST), _HIGHEST), 3)


def _pairs(vectors: NDArray[np.float32], groups: NDArray[np.int64]) -> _Pairs:
    """All pairs of different groups that are not all but equal; rows of zeros are left out."""
    products = vectors @ vectors.T
    first, second = np.triu_indices(len(vectors), 1)
    there = np.asarray(vectors.any(axis=1))
    other = (groups[first] != groups[second]) & there[first] & there[second]
    first, second = first[other], second[other]
    cosines = products[first, second]
    apart = cosines < REPEAT
    pairs = np.stack([first[apart], second[apart]], axis=1)
    return _Pairs(cosines[apart], pairs, len(vectors), int((~apart).sum()))


def _patterns(
    fused: NDArray[np.float32], groups: NDArray[np.int64], layout: FusionLayout, rate: float
) -> Iterator[_Pairs]:
    """The pairs of posts with the same parts, of each set of parts that is frequent enough."""
    present = layout.present(fused[:, 0])
    yield _pairs(fused[:, 0], groups)
    for pattern in np.unique(present, axis=0):
        same = np.flatnonzero(np.all(present == pattern, axis=1))
        pairs = _pairs(fused[same, 0], groups[same])
        if _enough(pairs, rate):
            yield pairs


def _single(
    fused: NDArray[np.float32], groups: NDArray[np.int64], layout: FusionLayout, name: str
) -> tuple[_Pairs, NDArray[np.float32]]:
    """The pairs of one modality by itself, and altered copies beside their originals; NaN where either lacks it."""
    block = fused[:, :, layout.block(name)]
    lengths = np.linalg.norm(block, axis=2, keepdims=True)
    block = np.divide(block, lengths, out=np.zeros_like(block), where=lengths > 0)
    copies = np.einsum("nd,nkd->nk", block[:, 0], block[:, 1:])
    there = (lengths[:, :1, 0] > 0) & (lengths[:, 1:, 0] > 0)
    return _pairs(block[:, 0], groups), np.where(there, copies, np.nan)


def _mixed(
    vectors: NDArray[np.float32], groups: NDArray[np.int64], layout: FusionLayout, rng: np.random.Generator
) -> _Pairs | None:
    """Posts beside themselves with one part from another post; None where no post has two parts."""
    blocks = vectors.reshape(len(vectors), len(layout.names), layout.dimension)
    cosines, owners = [], []
    for place in range(len(layout.names)):
        rows = np.flatnonzero(blocks[:, place].any(axis=1) & (np.delete(blocks, place, axis=1).any(axis=(1, 2))))
        others = rows[rng.permutation(len(rows))]
        apart = groups[rows] != groups[others]
        rows, others = rows[apart], others[apart]
        lengths = np.linalg.norm(blocks[rows, place], axis=1) / np.linalg.norm(blocks[others, place], axis=1)
        changed = blocks[rows].copy()
        changed[:, place] = blocks[others, place] * lengths[:, None]
        cosines.append((changed * blocks[rows]).sum(axis=(1, 2)))
        owners.append(np.stack([rows, others], axis=1))
    found = np.concatenate(cosines)
    return _Pairs(found, np.concatenate(owners), len(vectors), 0) if len(found) else None


def _cohesion(fused: NDArray[np.float32]) -> float:
    """A little below the loosest clusters that copies of one post make."""
    views = fused.shape[1]
    if views < 2:
        return _LOWEST
    summed = fused.sum(axis=1)
    means = ((summed * summed).sum(axis=1) - views) / (views * (views - 1))
    return round(max(_LOWEST, float(np.quantile(means, 0.02)) - 0.03), 3)
