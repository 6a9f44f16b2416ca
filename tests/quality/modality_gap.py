"""The modality gap: how far captions, images and recordings lie apart in the joint space, before and after centring.

Two numbers say it: the distance between the means of two modalities, and how well a linear classifier tells them
apart. It is fitted on the calibration split and asked about the other one. Centring takes the bundle's own means,
which know nothing of either.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from models.training.kinds import KINDS, Kind
from tests.quality.conjunctions import ORIGINALS, alone, observed
from tests.quality.recognisers import COMPACT
from tests.quality.report import Gap
from tests.quality.views import bundle

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from models.fusion import FusionLayout
    from tests.quality.originals import Source
    from tests.quality.views import Views, Workers

    Rows = NDArray[np.float32]


def measure_gaps(media: Path | None, work: Workers, keep: Path | None, originals: int = ORIGINALS) -> list[Gap]:
    """Every two modalities of every source that is there."""
    found: list[Gap] = []
    sources: tuple[Source, ...] = ("real", "generated")
    for source in sources:
        taught = observed(source, "calibration", media, work, keep, originals)
        asked = observed(source, "report", media, work, keep, originals)
        if taught is None or asked is None:
            continue
        spaces = [
            [{kind: _rows(views[kind], kind, layout) for kind in KINDS} for views in (taught, asked)]
            for layout in (None, bundle().layout)
        ]
        for one, two in combinations(KINDS, 2):
            distance = [distance_of(asked_rows[one], asked_rows[two]) for _, asked_rows in spaces]
            area = [told_apart(taught_rows, asked_rows, one, two) for taught_rows, asked_rows in spaces]
            found.append(Gap(source, one, two, (distance[0], distance[1]), (area[0], area[1])))
    return found


def _rows(views: Views, kind: Kind, layout: FusionLayout | None) -> Rows:
    """Originals and copies that hold something, as the towers give them, or centred and of unit length."""
    rows = np.concatenate([views.references[COMPACT], views.copies[COMPACT]])
    rows = rows[rows.any(axis=1)]
    return rows if layout is None else alone(rows, kind, layout)


def distance_of(one: Rows, two: Rows) -> float:
    """Between the means."""
    return float(np.linalg.norm(one.mean(axis=0) - two.mean(axis=0)))


def told_apart(taught: dict[Kind, Rows], asked: dict[Kind, Rows], one: Kind, two: Kind) -> float:
    """AUROC of a logistic regression."""

    def items(rows: dict[Kind, Rows]) -> tuple[Rows, NDArray[np.int64]]:
        return np.concatenate([rows[one], rows[two]]), np.repeat([0, 1], [len(rows[one]), len(rows[two])])

    model = LogisticRegression(max_iter=2000).fit(*items(taught))
    given, truth = items(asked)
    return float(roc_auc_score(truth, model.decision_function(given)))
