"""Arithmetic that gives the same bits on every processor: for whatever decides something or is kept.

A sum of products depends on the order of its additions, and libraries for matrices choose that order by the
processor; powers and logarithms come from the system's library. What is here is made of the operations alone that
IEEE 754 defines to the last bit (+, -, *, / and the square root), in an order that is written down.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXP2 = (
    1.0, 0.6931471805599453, 0.24022650695910072, 0.05550410866482158, 0.009618129107628477, 0.0013333558146428443,
    0.0001540353039338161, 1.5252733804059841e-05, 1.321548679014431e-06, 1.01780860092397e-07,
    7.054911620801123e-09, 4.4455382718708116e-10, 2.5678435993488206e-11, 1.3691488853904128e-12,
)  # fmt: skip
"""ln(2) ** n / n!: the series of 2 ** x."""

LOG2 = (
    2.8853900817779268, 0.9617966939259756, 0.5770780163556853, 0.4121985831111324, 0.3205988979753252,
    0.2623081892525388, 0.22195308321368667, 0.19235933878519512, 0.16972882833987804, 0.15186263588304877,
    0.1373995277037108,
)  # fmt: skip
"""2 / ln(2) / (2n + 1): the series of log2((1 + t) / (1 - t)) in the odd powers of t."""

ROOT_HALF = 0.7071067811865476


def dot(one: NDArray[np.floating], two: NDArray[np.floating]) -> NDArray[np.float64]:
    """Products over the last axis, float64. Of float32 numbers each product is exact, and the sum alone is rounded.

    numpy adds contiguous numbers pairwise, in an order that depends on their count alone; a test holds it to that.
    """
    return np.asarray(np.ascontiguousarray(np.multiply(one, two, dtype=np.float64)).sum(axis=-1))


def square(vector: NDArray[np.float32]) -> float:
    """`dot` of one contiguous vector (size,) with itself, in half its time: every post pays for one."""
    wide = vector.astype(np.float64)
    np.multiply(wide, wide, out=wide)
    return float(np.add.reduce(wide))


def lengths(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Euclidean norms over the last axis."""
    return np.asarray(np.sqrt(dot(vectors, vectors)))


def exp2(exponent: float) -> float:
    """2 ** exponent, to 3e-16 of it."""
    whole = round(exponent)
    part = exponent - whole
    sum_ = 0.0
    for factor in reversed(EXP2):
        sum_ = sum_ * part + factor
    return math.ldexp(sum_, whole)


def log2(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logarithms to the base 2 of numbers above 0, to 3e-16 of them or of 1."""
    parts, wholes = np.frexp(numbers)
    small = parts < ROOT_HALF
    parts, wholes = np.where(small, 2.0 * parts, parts), wholes - small
    ratio = (parts - 1.0) / (parts + 1.0)
    square = ratio * ratio
    sums = np.zeros_like(ratio)
    for factor in reversed(LOG2):
        sums = sums * square + factor
    return np.asarray(sums * ratio + wholes)
