from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from consumers.cells.evidence import EvidenceBook
from consumers.settings import Policy
from consumers.state.codec import StateChanges
from consumers.steps.judge import judge_post
from models.cluster_table import Nearby
from models.policies import Bank, Evidence
from tests.cells.small_cells import directions, layout, near, rules

if TYPE_CHECKING:
    from models.policies import Judgement

A, B = directions(2)


def _book(*policies: Policy) -> EvidenceBook:
    return EvidenceBook(rules(*policies), layout())


def _evidence(policy: str, number: int = 1, *, upheld: bool = True) -> Evidence:
    return Evidence(f"verdict-{policy}-{number}", policy, "ada", upheld, f"p{number}", f"post-{number}", number, 0, A)


def _near(cluster: int, similarity: float = 0.9) -> Nearby:
    return Nearby(cluster, similarity, np.full(3, similarity / 3), 0.9)


def _judged(nearby: list[Nearby], book: EvidenceBook) -> dict[str, Judgement]:
    """Of a post at A without features, where no cluster has a trail."""
    nothing = Bank((), np.empty((0, 0)), ())
    return judge_post(A, nearby, book, {}, lambda _cluster, _policy: nothing)


def test_a_post_near_nothing_with_evidence_is_not_judged() -> None:
    assert _judged([], _book()) == {}
    assert _judged([_near(7)], _book()) == {}


def test_each_policy_gives_one_judgement_whatever_the_number_of_clusters() -> None:
    book = _book()
    book.count(1, _evidence("scam"), StateChanges())
    book.count(2, replace(_evidence("scam", 2), actor="bob", vector=near(A, 0.9)), StateChanges())
    book.count(2, _evidence("spam"), StateChanges())
    found = _judged([_near(1, 0.8), _near(2)], book)
    assert list(found) == ["scam", "spam"]
    assert found["scam"].candidate.cluster == 1
    assert found["spam"].candidate.cluster == 2


def test_a_policys_own_thresholds_count() -> None:
    book = _book(Policy(name="strict", centroid=0.95))
    for policy in ("strict", "usual"):
        book.count(1, _evidence(policy), StateChanges())
    assert list(_judged([_near(1, 0.9)], book)) == ["usual"]


def test_a_superseded_verdict_is_judged_by_no_more() -> None:
    book = _book()
    book.count(1, _evidence("scam"), StateChanges())
    other = replace(_evidence("scam", 2, upheld=False), actor="bob")
    assert book.count(2, other, StateChanges(), supersedes="verdict-scam-1").clusters == {1, 2}
    assert _judged([_near(1)], book) == {}
    assert 1 not in book
    assert 2 in book
