"""What matches and must not: unrelated posts against a bank of exemplars, photographs of different garments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.synthetic.background import _COMPOSITIONS
from models.training.kinds import KINDS
from tests.quality.garments import SAME
from tests.quality.metrics import reached
from tests.quality.recognisers import COMPACT
from tests.quality.report import Garments, Unrelated
from tests.quality.views import recogniser

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from models.bundle import Bundle
    from models.training.kinds import Kind
    from tests.quality.views import Views


def false_flags(views: Mapping[Kind, Views], bundle: Bundle) -> Unrelated:
    """Distractors as posts with the parts that harmless posts of the simulated stream have, against such originals.

    Every part is used once, so posts are independent of each other.
    """
    given = bundle.manifest.thresholds
    rng = np.random.default_rng(17)
    bank = _posts({kind: one.references[COMPACT] for kind, one in views.items()}, rng, bundle)
    posts = _posts({kind: one.distractors[COMPACT] for kind, one in views.items()}, rng, bundle)
    best = (posts @ bank.T).max(axis=1)
    return Unrelated(len(posts), len(bank), int(reached(best, max(given.exemplar, given.centroid)).sum()))


def _posts(rows: Mapping[Kind, NDArray[np.float32]], rng: np.random.Generator, bundle: Bundle) -> NDArray[np.float32]:
    count = min(len(one) for one in rows.values())
    shares = np.array([share for _, share in _COMPOSITIONS])
    drawn = rng.choice(len(_COMPOSITIONS), count, p=shares / shares.sum())
    carried = [_COMPOSITIONS[at][0] for at in drawn]
    there = {kind: rows[kind][:count].any(axis=1) for kind in KINDS}
    present = {kind: np.array([kind in parts for parts in carried]) & there[kind] for kind in KINDS}
    fused = bundle.layout.fuse({kind: one[:count] for kind, one in rows.items()}, present)
    return fused[fused.any(axis=1)]


def false_neighbours(
    views: Views, names: Sequence[str], thresholds: Mapping[str, Mapping[str, float]]
) -> list[Garments]:
    """How many photographs have another garment for a neighbour, by recogniser and threshold."""
    same = np.zeros((len(names), len(names)), dtype=bool)
    for group in SAME:
        at = [names.index(name) for name in group if name in names]
        same[np.ix_(at, at)] = True
    np.fill_diagonal(same, val=True)
    found = []
    for system, rows in views.references.items():
        scores = np.where(same, -np.inf, recogniser(system, "image").scores(rows, rows)).max(axis=1)
        for title, threshold in thresholds[system].items():
            found.append(Garments(f"{system} {title}", threshold, len(names), int(reached(scores, threshold).sum())))
    return found
