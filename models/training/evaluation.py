"""How well embeddings find the variants of an original."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FALSE_MATCHES = 0.001
STRICT_DISTRACTORS = 0.01


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Quality of a search for the original of each query.

    Attributes:
        precision: micro average precision (uAP) over all pairs of queries and originals.
        recall: share of queries whose original is above `threshold`.
        threshold: the cosine that FALSE_MATCHES of all pairs of different posts reach.
        strict_recall: share of queries whose original is above `strict_threshold`.
        strict_threshold: the cosine at which STRICT_DISTRACTORS of the distractor queries match anything.
        found: for each query with an original, whether it is above `threshold`.
    """

    precision: float
    recall: float
    threshold: float
    strict_recall: float
    strict_threshold: float
    found: NDArray[np.bool_]


def retrieve(cosines: NDArray[np.float32], truth: NDArray[np.int64]) -> Retrieval:
    """Judge a search.

    Args:
        cosines: (queries, originals).
        truth: (queries,) the column of each query's original, -1 for a distractor. At least one of each.

    Raises:
        ValueError: no query has an original, or none is a distractor.
    """
    known = truth >= 0
    if not known.any() or known.all():
        raise ValueError("retrieval needs queries with an original and distractors without one")
    rows = np.flatnonzero(known)
    matches = cosines[rows, truth[rows]]
    different = np.ones(cosines.shape, dtype=bool)
    different[rows, truth[rows]] = False
    threshold = float(np.quantile(cosines[different], 1.0 - FALSE_MATCHES))
    strict = float(np.quantile(cosines[~known].max(axis=1), 1.0 - STRICT_DISTRACTORS))
    return Retrieval(
        precision=average_precision(cosines.ravel(), ~different.ravel()),
        recall=float((matches > threshold).mean()),
        threshold=threshold,
        strict_recall=float((matches > strict).mean()),
        strict_threshold=strict,
        found=matches > threshold,
    )


def average_precision(scores: NDArray[np.float32], relevant: NDArray[np.bool_]) -> float:
    """Mean precision at the rank of each relevant pair, pairs ranked by score: both (n,)."""
    hits = relevant[np.argsort(-scores, kind="stable")]
    ranks = np.flatnonzero(hits) + 1
    return float((np.arange(1, len(ranks) + 1) / ranks).mean()) if len(ranks) else 0.0


def recall_by(names: Sequence[str], found: NDArray[np.bool_]) -> dict[str, float]:
    """The share found for each name; `names` and `found` are parallel."""
    given = np.array(names)
    return {str(name): float(found[given == name].mean()) for name in sorted(set(names))}


def recall_at(cosines: NDArray[np.float32], rank: int) -> float:
    """Share of rows whose own column is among the `rank` highest; (n, n). Chance is rank / n."""
    own = np.diagonal(cosines)[:, None]
    return float(((cosines > own).sum(axis=1) < rank).mean())
