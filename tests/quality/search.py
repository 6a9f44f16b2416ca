"""Searching originals for the sources of altered copies: scores, thresholds from one split, figures on another."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from tests.quality.metrics import micro_average_precision, reached, share_reached, threshold_at
from tests.quality.views import recogniser

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.training.kinds import Kind
    from tests.quality.recognisers import Features, Scores
    from tests.quality.views import Views, Workers

FALSE_MATCHES = 0.001
"""Share of a query's comparisons with other originals that may match."""

STRICT_QUERIES = 0.01
"""Share of the queries without an original that may match anything."""

QUERIES = 256
"""Compared by a process at once."""


@dataclass(frozen=True)
class Search:
    """Scores of queries against originals.

    Attributes:
        copies: (copies, originals).
        distractors: (distractors, originals).
        owner: (copies,) the original of each copy.
        names: (copies,) its transforms.
        alike: bool (originals, originals), pairs of different originals that are not judged.
    """

    copies: Scores
    distractors: Scores
    owner: NDArray[np.int64]
    names: Sequence[str]
    alike: NDArray[np.bool_]

    @property
    def right(self) -> Scores:
        """Of each copy with its original, (copies,)."""
        return self.copies[np.arange(len(self.copies)), self.owner]

    @property
    def all(self) -> Scores:
        """Copies and then distractors, (queries, originals)."""
        return np.concatenate([self.copies, self.distractors])

    @property
    def relevant(self) -> NDArray[np.bool_]:
        """Which of `all` are copies with their originals."""
        found = np.zeros((len(self.copies) + len(self.distractors), self.copies.shape[1]), dtype=bool)
        found[np.arange(len(self.copies)), self.owner] = True
        return found

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Which of `all` are judged."""
        rest = np.ones(self.distractors.shape, dtype=bool)
        return np.concatenate([~self.alike[self.owner], rest])

    @property
    def wrong(self) -> Scores:
        """Of every query with every other original, (n,)."""
        return self.all[self.judged & ~self.relevant]

    @property
    def best_wrong(self) -> Scores:
        """The highest of each query, as if its original were not there, (queries,)."""
        return np.asarray(np.where(self.judged & ~self.relevant, self.all, -np.inf).max(axis=1), dtype=np.float32)


class Thresholds(msgspec.Struct, frozen=True):
    """From a calibration split: at FALSE_MATCHES, and at STRICT_QUERIES."""

    recall: float
    strict: float


class Judged(msgspec.Struct, frozen=True):
    """How well copies found their originals.

    Attributes:
        precision: micro average precision.
        recall, strict: share of copies found at the two calibrated thresholds.
        false_matches, strict_queries: what these let through here; FALSE_MATCHES and STRICT_QUERIES were the aim.
        even, even_strict: the same recalls at thresholds that let through here exactly what was aimed at: they
            compare recognisers whose calibrated thresholds let through different shares.
        seen, unseen: recall over transforms that training used, and over those it never did; None without any.
        transforms, strict_transforms: recall of each transform at the two thresholds.
    """

    precision: float
    recall: float
    strict: float
    false_matches: float
    strict_queries: float
    even: float
    even_strict: float
    seen: float | None
    unseen: float | None
    thresholds: Thresholds
    transforms: dict[str, float]
    strict_transforms: dict[str, float]


class Fixed(msgspec.Struct, frozen=True):
    """A threshold that users of a hash take from its documentation."""

    recall: float
    false_matches: float
    strict_queries: float
    transforms: dict[str, float] = field(default_factory=dict)


def search_of(views: Views, system: str, kind: Kind, work: Workers) -> Search:
    """Compare all that there is of one recogniser, some queries at a time in each process."""
    references = views.references[system]

    def scores(queries: Features) -> Scores:
        blocks = [queries[start : start + QUERIES] for start in range(0, max(len(queries), 1), QUERIES)]
        return np.concatenate(list(work.map(partial(scores_of, system, kind, references), blocks)))

    return Search(
        scores(views.copies[system]),
        scores(views.distractors[system]),
        views.owner,
        views.names,
        alike(views.groups),
    )


def scores_of(system: str, kind: Kind, references: Features, queries: Features) -> Scores:
    """Of every query with every original."""
    return recogniser(system, kind).scores(queries, references)


def alike(groups: Sequence[str | None]) -> NDArray[np.bool_]:
    """Pairs of different originals of one group, bool (n, n)."""
    names = np.array([f"no group {number}" if group is None else group for number, group in enumerate(groups)])
    found = names[:, None] == names[None, :]
    np.fill_diagonal(found, val=False)
    return np.asarray(found, dtype=bool)


def calibrate(search: Search) -> Thresholds:
    """The lowest thresholds that let through no more than is wanted."""
    return Thresholds(threshold_at(search.wrong, FALSE_MATCHES), threshold_at(search.best_wrong, STRICT_QUERIES))


def judge(search: Search, thresholds: Thresholds, unseen: frozenset[str]) -> Judged:
    """The figures of a search, at thresholds that come from another split."""
    found = reached(search.right, thresholds.recall)
    names = np.array(search.names)
    new = np.isin(names, list(unseen))
    return Judged(
        precision=micro_average_precision(search.all[search.judged], search.relevant[search.judged]),
        recall=float(found.mean()),
        strict=share_reached(search.right, thresholds.strict),
        false_matches=share_reached(search.wrong, thresholds.recall),
        strict_queries=share_reached(search.best_wrong, thresholds.strict),
        even=share_reached(search.right, threshold_at(search.wrong, FALSE_MATCHES)),
        even_strict=share_reached(search.right, threshold_at(search.best_wrong, STRICT_QUERIES)),
        seen=_mean(found[~new]),
        unseen=_mean(found[new]),
        thresholds=thresholds,
        transforms=by_name(search.names, found),
        strict_transforms=by_name(search.names, reached(search.right, thresholds.strict)),
    )


def _mean(found: NDArray[np.bool_]) -> float | None:
    return float(found.mean()) if len(found) else None


def at_fixed(search: Search, threshold: float) -> Fixed:
    """The figures at a threshold that is given."""
    return Fixed(
        share_reached(search.right, threshold),
        share_reached(search.wrong, threshold),
        share_reached(search.best_wrong, threshold),
        by_name(search.names, reached(search.right, threshold)),
    )


def by_name(names: Sequence[str], found: NDArray[np.bool_]) -> dict[str, float]:
    """The share found of each name, in the order of their first appearance."""
    given = np.array(names)
    return {name: float(found[given == name].mean()) for name in dict.fromkeys(names)}
