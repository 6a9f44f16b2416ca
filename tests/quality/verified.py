"""Cosines and the agreement of features as one score, by the rule of a flag: what agrees goes before all else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.verification import agreement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.manifest import Verification

CANDIDATES = 5
"""The nearest originals of a query that are compared more finely."""
AGREED = 1.0
"""Added to the cosine of a pair that agrees. No cosine is above 1, so pairs that do not agree all come later."""


def verified_scores(
    cosines: NDArray[np.float32], queries: Sequence[bytes], references: Sequence[bytes], given: Verification
) -> NDArray[np.float32]:
    """Cosines, raised by AGREED where features agree.

    Args:
        cosines: (queries, references).
        queries, references: features of each, see `models.verification`.
        given: the least agreement, and the cosine from which a pair is compared.
    """
    scores = cosines.copy()
    least = given.cosine if given.cosine is not None else -1.0
    for row, query in enumerate(queries):
        for column in np.argsort(-cosines[row], kind="stable")[:CANDIDATES].tolist():
            if cosines[row, column] < least:
                break
            found = agreement(query, references[column], given.threshold)
            if found is not None and found >= given.threshold:
                scores[row, column] += np.float32(AGREED)
    return scores
