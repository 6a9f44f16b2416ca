"""What a search is judged by: pure functions of scores. A higher score is more alike, and -inf never matches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import binomtest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores = NDArray[np.floating]


def micro_average_precision(scores: Scores, relevant: NDArray[np.bool_]) -> float:
    """Precision over all pairs of queries and originals at once, averaged over recall (uAP).

    Pairs of one score are retrieved together, so that a hash of few distances gains nothing from their order.

    Args:
        scores: (n,), any order. What is -inf is never retrieved.
        relevant: (n,) whether the query was made of the original.

    Raises:
        ValueError: nothing is relevant.
    """
    total = int(relevant.sum())
    if not total:
        raise ValueError("no pair is relevant: there is no precision to average")
    retrieved = scores > -np.inf
    order = np.argsort(-scores[retrieved], kind="stable")
    ranked, hits = scores[retrieved][order], np.cumsum(relevant[retrieved][order])
    if not len(ranked):
        return 0.0
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    found = hits[ends]
    return float((np.diff(found, prepend=0) * found / (ends + 1)).sum() / total)


def threshold_at(wrong: Scores, share: float) -> float:
    """The lowest threshold that at most `share` of the wrong scores reach.

    Args:
        wrong: (n,) scores of comparisons that must not match, n > 0.
        share: from 0 to 1.

    Raises:
        ValueError: no scores.
    """
    if not wrong.size:
        raise ValueError("a threshold needs wrong scores to keep below it")
    allowed = int(share * wrong.size + 1e-9)
    if allowed >= wrong.size:
        return -np.inf
    last = np.partition(wrong.astype(np.float64), wrong.size - 1 - allowed)[wrong.size - 1 - allowed]
    return float(np.nextafter(last, np.inf))


def reached(scores: Scores, threshold: float) -> NDArray[np.bool_]:
    """Which scores match; compared in float64, since a threshold may lie between two of float32."""
    return np.asarray((scores >= np.float64(threshold)) & (scores > -np.inf), dtype=bool)


def share_reached(scores: Scores, threshold: float) -> float:
    """The share of scores that match; of true pairs it is the recall, of wrong ones the false match rate."""
    return float(reached(scores, threshold).mean())


def tail_shares(scores: Scores, wrong: Scores) -> NDArray[np.float64]:
    """How rare each score is among wrong ones: (1 + those that reach it) / (1 + all), in the shape of `scores`.

    Brings scores of different recognisers to one scale: 0.001 is what one wrong comparison in a thousand reaches.
    """
    ranked = np.sort(wrong, axis=None)
    at_least = ranked.size - np.searchsorted(ranked, scores, side="left")
    return np.asarray((1.0 + at_least) / (1.0 + ranked.size), dtype=np.float64)


def interval(hits: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """The Clopper-Pearson interval of a share.

    Without a hit the upper end is about 3.7 / trials (the rule of three is its one-sided form).
    """
    found = binomtest(hits, trials).proportion_ci(confidence, method="exact")
    return float(found.low), float(found.high)
