"""What matches and must not: unrelated posts against a bank of exemplars, photographs of different garments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.imagery import fit_image
from models.synthetic.background import _COMPOSITIONS
from models.training.kinds import KINDS
from models.verification import agreement, pack
from tests.quality.garments import SAME
from tests.quality.metrics import reached
from tests.quality.recognisers import COMPACT, VERIFIED
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


def verified_neighbours(
    views: Views, pictures: Sequence[NDArray[np.uint8]], names: Sequence[str], bundle: Bundle, threshold: float
) -> Garments | None:
    """How many photographs still have one when features have to agree too; None where the bundle has no features."""
    given = bundle.manifest.verification.get("image")
    if given is None:
        return None
    form = next(one.image for one in bundle.manifest.modalities if one.name == "image")
    assert form is not None
    maps = bundle.encoders["image"].look([fit_image(pixels, form) for pixels in pictures]).features
    assert maps is not None
    features = [pack(one[None], given.layout) for one in maps]
    rows = views.references[COMPACT]
    scores = np.where(_same(names), -np.inf, recogniser(COMPACT, "image").scores(rows, rows))
    found: set[int] = set()
    for one, two in np.argwhere(np.triu(reached(scores, threshold), 1)).tolist():
        agreed = agreement(features[one], features[two], given.threshold)
        if agreed is not None and agreed >= given.threshold:
            found |= {one, two}
    return Garments(VERIFIED, threshold, len(names), len(found))


def _same(names: Sequence[str]) -> NDArray[np.bool_]:
    """Which pairs may match: one garment, or one photograph."""
    same = np.zeros((len(names), len(names)), dtype=bool)
    for group in SAME:
        at = [names.index(name) for name in group if name in names]
        same[np.ix_(at, at)] = True
    np.fill_diagonal(same, val=True)
    return same


def false_neighbours(
    views: Views, names: Sequence[str], thresholds: Mapping[str, Mapping[str, float]]
) -> list[Garments]:
    """How many photographs have another garment for a neighbour, by recogniser and threshold."""
    same = _same(names)
    found = []
    for system, rows in views.references.items():
        scores = np.where(same, -np.inf, recogniser(system, "image").scores(rows, rows)).max(axis=1)
        for title, threshold in thresholds[system].items():
            found.append(Garments(f"{system} {title}", threshold, len(names), int(reached(scores, threshold).sum())))
    return found
