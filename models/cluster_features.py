"""The cluster feature: what is kept of a micro-cluster of unit vectors, and how it fades.

After Zhang, Ramakrishnan and Livny, "BIRCH" (SIGMOD 1996), with the decay of Cao, Ester, Qian and Zhou,
"Density-Based Clustering over an Evolving Data Stream with Noise" (SDM 2006), and the sum of squared weights that
cohesion needs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.exact import dot, exp2

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ClusterFeature:
    """The sufficient statistics of a micro-cluster of unit vectors.

    Attributes:
        weight: decayed number of vectors.
        squares: sum of the squares of the vectors' decayed weights.
        sums: decayed sum of the vectors (size,).
        time: milliseconds that the three are decayed to.
    """

    weight: float
    squares: float
    sums: NDArray[np.floating]
    time: int

    def aligned(self, time: int, half_life: float) -> ClusterFeature:
        """Decayed to `time`; a time before its own changes nothing. `half_life` in milliseconds."""
        factor = decay(self.time, time, half_life)
        if factor == 1.0:
            return ClusterFeature(self.weight, self.squares, self.sums, max(self.time, time))
        sums = self.sums * self.sums.dtype.type(factor)
        return ClusterFeature(self.weight * factor, self.squares * factor * factor, sums, time)

    def merged(self, other: ClusterFeature, half_life: float) -> ClusterFeature:
        """Both together, at the later of their times. Commutative and associative up to rounding."""
        time = max(self.time, other.time)
        one, two = self.aligned(time, half_life), other.aligned(time, half_life)
        return ClusterFeature(one.weight + two.weight, one.squares + two.squares, one.sums + two.sums, time)

    @property
    def norm(self) -> float:
        """Length of the sum."""
        return math.sqrt(float(dot(self.sums, self.sums)))

    @property
    def cohesion(self) -> float:
        """Mean cosine of its pairs of different vectors; 1 for a single vector. Does not depend on size or age."""
        return cohesion(self.weight, self.squares, self.norm)


def decay(since: int, until: int, half_life: float) -> float:
    """The factor by which a weight falls from `since` to `until` (milliseconds); 1 when `until` is not later."""
    return 1.0 if until <= since else exp2((since - until) / half_life)


def cohesion(weight: float, squares: float, norm: float) -> float:
    """Mean pairwise cosine without self-pairs, from a cluster feature; 1 where there are no pairs."""
    pairs = weight * weight - squares
    return 1.0 if pairs <= 1e-6 * squares else (norm * norm - squares) / pairs
