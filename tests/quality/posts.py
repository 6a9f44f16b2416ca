"""Whole posts: a caption, an image and a recording, each altered by a transform of its own.

Shoal compares them by one fused vector. Beside it stands "any of the three matches": the rarest score of the three,
each measured by the share of wrong comparisons of a calibration split that reach it, so that every hash has the
threshold that a common false match rate gives it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.training.kinds import KINDS, Kind
from tests.quality.metrics import tail_shares
from tests.quality.recognisers import COMPACT
from tests.quality.search import Search, alike

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from models.fusion import FusionLayout
    from tests.quality.recognisers import Scores
    from tests.quality.views import Views

COPIES = 4
"""Altered posts of each original."""

ANY: dict[str, dict[Kind, str]] = {
    "any of PDQ, TLSH, Chromaprint": {"image": "PDQ", "text": "TLSH", "audio": "Chromaprint"},
    "any of PDQ, MinHash, Chromaprint": {"image": "PDQ", "text": "MinHash", "audio": "Chromaprint"},
    "any part of compact": dict.fromkeys(KINDS, COMPACT),
}
"""By name, the recogniser of each part."""


@dataclass(frozen=True)
class Posts:
    """Which parts make which posts.

    Attributes:
        originals: how many; original n holds the n-th of each kind.
        copies: by kind, int64 (posts,) rows of `Views.copies`.
        owner: int64 (posts,).
        distractors: how many; distractor n holds the n-th of each kind.
        alike: bool (originals, originals).
    """

    originals: int
    copies: dict[Kind, NDArray[np.int64]]
    owner: NDArray[np.int64]
    distractors: int
    alike: NDArray[np.bool_]


def compose(views: Mapping[Kind, Views], seed: int) -> Posts:
    """Put posts together from parts that have been looked at."""
    rng = np.random.default_rng([seed, 9])
    count = min(len(one.groups) for one in views.values())
    owner = np.repeat(np.arange(count), COPIES)
    rows = {}
    for kind, one in views.items():
        own = [np.flatnonzero(one.owner == number) for number in range(count)]
        rows[kind] = np.concatenate([rng.choice(mine, COPIES, replace=len(mine) < COPIES) for mine in own])
    together = np.any([alike(one.groups[:count]) for one in views.values()], axis=0)
    return Posts(
        count, rows, owner, min(len(next(iter(one.distractors.values()))) for one in views.values()), together
    )


def fused_search(posts: Posts, views: Mapping[Kind, Views], layout: FusionLayout) -> Search:
    """By Shoal's fused vectors."""

    def fused(rows: dict[Kind, NDArray[np.float32]]) -> NDArray[np.float32]:
        return layout.fuse(rows, {kind: np.any(one, axis=1) for kind, one in rows.items()})

    references = fused({kind: one.references[COMPACT][: posts.originals] for kind, one in views.items()})
    copies = fused({kind: one.copies[COMPACT][posts.copies[kind]] for kind, one in views.items()})
    distractors = fused({kind: one.distractors[COMPACT][: posts.distractors] for kind, one in views.items()})
    return _search(posts, copies @ references.T, distractors @ references.T)


def any_search(posts: Posts, parts: Mapping[Kind, Search], wrong: Mapping[Kind, Scores]) -> Search:
    """By whichever part is the most telling.

    Args:
        posts: from `compose`.
        parts: by kind, the searches with single parts of the same views.
        wrong: by kind, wrong scores of the calibration split.
    """
    copies, distractors = [], []
    for kind, part in parts.items():
        chosen = part.copies[posts.copies[kind], : posts.originals]
        copies.append(telling(chosen, wrong[kind]))
        distractors.append(telling(part.distractors[: posts.distractors, : posts.originals], wrong[kind]))
    return _search(posts, np.max(copies, axis=0), np.max(distractors, axis=0))


def telling(scores: Scores, wrong: Scores) -> Scores:
    """How rare scores are among wrong ones, as minus the logarithm to 10; ties at the top are broken by the score."""
    finite = wrong[np.isfinite(wrong)]
    low, high = float(finite.min()), float(finite.max())
    height = np.clip((scores - low) / max(high - low, 1e-9), 0.0, 10.0)
    rarity = -np.log10(tail_shares(scores, wrong)) + 1e-3 * height
    return np.asarray(np.where(scores > -np.inf, rarity, -np.inf), dtype=np.float32)


def _search(posts: Posts, copies: Scores, distractors: Scores) -> Search:
    return Search(copies, distractors, posts.owner, ["all three parts altered"] * len(copies), posts.alike)
