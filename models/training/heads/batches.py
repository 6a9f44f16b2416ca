"""Which posts, and which of their copies, a step looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from models.training.heads.recipe import HeadRecipe

NEIGHBOURS = 8
_BLOCK = 2_048


class Batch(NamedTuple):
    """Posts int64 (n,), two views of each, and which modalities are left out of them where posts are compared whole.

    Attributes:
        kept: bool (2, n, modalities).
    """

    posts: NDArray[np.int64]
    views: NDArray[np.int64]
    kept: NDArray[np.bool_]


def epoch_batches(
    groups: NDArray[np.int64], views: int, modalities: int, near: NDArray[np.int64], recipe: HeadRecipe, epoch: int
) -> Iterator[Batch]:
    """The steps of an epoch; the same epoch of the same seed gives the same batches.

    Args:
        groups: int64 (posts,).
        views: of each post.
        modalities: how many.
        near: int64 (posts, k), the posts most like each, of other groups; k may be 0.
        recipe: how much of it.
        epoch: from 1.
    """
    rng = np.random.default_rng([recipe.seed, 61, epoch])
    share = recipe.hard if near.shape[1] else 0.0
    anchors = max(2, round(recipe.batch * (1.0 - share)))
    order = rng.permutation(len(groups))
    for start in range(0, len(order), anchors):
        chosen = order[start : start + anchors]
        wanted = round(len(chosen) * share / max(1.0 - share, 1e-9))
        if wanted:
            by = rng.choice(chosen, wanted)
            chosen = np.concatenate([chosen, near[by, rng.integers(near.shape[1], size=wanted)]])
        posts = np.unique(chosen)
        if len(posts) >= 2:
            first = rng.integers(views, size=len(posts))
            second = (first + rng.integers(1, views, size=len(posts))) % views if views > 1 else first
            kept = rng.random((2, len(posts), modalities)) >= recipe.modality_dropout
            yield Batch(posts, np.stack([first, second]), kept)


def nearest(vectors: NDArray[np.float32], groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each post those of other groups that are most like it: int64 (posts, NEIGHBOURS at most)."""
    count = min(NEIGHBOURS, len(np.unique(groups)) - 1)
    found = np.zeros((len(vectors), max(count, 0)), dtype=np.int64)
    for start in range(0, len(vectors) if count > 0 else 0, _BLOCK):
        cosines = vectors[start : start + _BLOCK] @ vectors.T
        cosines[groups[start : start + _BLOCK, None] == groups[None, :]] = -2.0
        found[start : start + _BLOCK] = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
    return found
