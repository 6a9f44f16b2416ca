"""Posts to train on, to stop by, and to calibrate on: what shows one thing stays together."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models.training.heads.recipe import HeadsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.training.heads.recipe import HeadRecipe

LEAST = 16
"""Posts in every part."""


class Split(NamedTuple):
    """Which posts are for what: int64 (n,) each."""

    training: NDArray[np.int64]
    validation: NDArray[np.int64]
    calibration: NDArray[np.int64]


def split_posts(groups: NDArray[np.int64], recipe: HeadRecipe) -> Split:
    """Shares of the posts, group by group, in an order that the seed gives.

    Raises:
        HeadsError: too few posts for three parts.
    """
    rng = np.random.default_rng([recipe.seed, 59])
    names, sizes = np.unique(groups, return_counts=True)
    order = rng.permutation(len(names))
    # where in the row of all posts the middle of a group stands says which part it belongs to
    middle = np.cumsum(sizes[order]) - sizes[order] / 2.0
    middle /= len(groups)
    part = np.zeros(len(names), dtype=np.int64)
    part[order] = np.where(
        middle < recipe.validation, 1, np.where(middle < recipe.validation + recipe.calibration, 2, 0)
    )
    of_post = part[np.searchsorted(names, groups)]
    split = Split(*(np.flatnonzero(of_post == number) for number in range(3)))
    if min(map(len, split)) < LEAST:
        told = ", ".join(f"{len(posts)} for {name}" for name, posts in zip(split._fields, split, strict=True))
        raise HeadsError(f"{len(groups)} posts are too few ({told}; each needs {LEAST}); give more posts")
    return split
