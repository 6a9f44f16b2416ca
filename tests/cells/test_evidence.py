from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from consumers.cells.evidence import EvidenceBook, evidence_of
from consumers.settings import Policy
from consumers.state.codec import Entry as StoredEntry
from consumers.state.codec import EvidenceValue, LabelValue, StateChanges, decode
from models import policies
from models.policies import Evidence
from tests.cells.small_cells import SIZE, StoreInMemory, directions, layout, rules

VECTORS = directions(12)


def _book(**assign: int) -> EvidenceBook:
    return EvidenceBook(rules(**assign), layout())


def _evidence(number: int, *, upheld: bool = True, actor: str | None = None, post: int | None = None) -> Evidence:
    about = number if post is None else post
    return Evidence(
        f"verdict-{number}",
        "scam",
        actor or f"actor-{number}",
        upheld,
        f"source-{about}",
        f"post-{about}",
        number,
        0,
        VECTORS[about].astype(np.float16).astype(np.float32),
    )


def _labels(store: StoreInMemory) -> dict[str, tuple[str, int, int]]:
    found: dict[str, tuple[str, int, int]] = {}
    for name, value in store.hashes.get("labels", {}).items():
        label = decode(LabelValue, StoredEntry("labels", name, value))
        found[name] = (label.state, label.upheld, label.overturned)
    return found


def test_a_rule_takes_from_the_bundle_what_the_settings_leave_open() -> None:
    given = rules(Policy(name="scam", centroid=0.8, promote=0.7, together=True))
    rule = given.rule("scam")
    assert (rule.centroid, rule.exemplar, rule.promote, rule.demote, rule.together) == (0.8, 0.75, 0.7, 0.5, True)
    assert given.rule("other").centroid == 0.75


def test_what_changed_is_what_the_store_needs() -> None:
    book, store, changes = _book(), StoreInMemory(), StateChanges()
    book.count(1, _evidence(1), changes)
    book.count(1, _evidence(2, upheld=False), changes)
    store.apply(changes)
    assert _labels(store) == {"1:scam": ("disputed", 1, 1)}
    assert sorted(store.hashes["evidence"]) == ["verdict-1", "verdict-2"]
    assert book.states(1) == {"scam": "disputed"}
    changes = StateChanges()
    book.count(2, _evidence(3, actor="actor-1", post=1), changes)
    store.apply(changes)
    assert _labels(store) == {"1:scam": ("benign", 0, 1), "2:scam": ("violating", 1, 0)}
    assert sorted(store.hashes["evidence"]) == ["verdict-2", "verdict-3"]


def test_a_verdict_only_adds_where_no_upheld_post_goes_and_none_is_overturned() -> None:
    book, changes = _book(), StateChanges()
    assert book.count(1, _evidence(1), changes) == ({1}, {"scam"}, True)
    assert book.count(1, _evidence(2), changes).adds
    assert book.count(1, _evidence(3, post=2, actor="actor-2"), changes).adds, "the same post once more"
    assert not book.count(1, _evidence(4, upheld=False), changes).adds
    assert book.count(1, _evidence(5, post=4, actor="actor-4"), changes).adds, "overturned before"
    assert not book.count(1, _evidence(6), changes, supersedes="verdict-1").adds
    assert not book.count(2, _evidence(7, post=2, actor="actor-2"), changes).adds, "it leaves the first cluster"


def test_a_verdict_that_pushes_out_the_oldest_does_not_only_add(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "MOST_EVIDENCE", 2)
    book, changes = _book(), StateChanges()
    assert [book.count(1, _evidence(number), changes).adds for number in range(3)] == [True, True, False]


def test_a_verdict_that_supersedes_one_under_another_policy_changes_both() -> None:
    book, changes = _book(), StateChanges()
    book.count(1, _evidence(1), changes)
    other = replace(_evidence(2, post=1), policy="spam")
    assert book.count(1, other, changes, supersedes="verdict-1") == ({1}, {"scam", "spam"}, False)


def test_a_merged_cluster_takes_over_evidence_and_the_standing_of_its_label() -> None:
    """Five upheld and one overturned keep a label that they would not give."""
    book, store, changes = _book(), StoreInMemory(), StateChanges()
    for number in range(5):
        book.count(7, _evidence(number), changes)
    book.count(7, _evidence(5, upheld=False), changes)
    assert book.states(7) == {"scam": "violating"}
    book.merge(3, 7, changes)
    store.apply(changes)
    assert 7 not in book
    assert _labels(store) == {"3:scam": ("violating", 5, 1)}
    for name, value in store.hashes["evidence"].items():
        assert decode(EvidenceValue, StoredEntry("evidence", name, value)).cluster == 3
    assert book.events == {"labelled": 1}


def test_evidence_of_both_clusters_is_counted_once_an_actor_and_post() -> None:
    book, changes = _book(), StateChanges()
    book.count(1, _evidence(1, actor="ada"), changes)
    near = _evidence(2, actor="ada")
    book.count(
        2, Evidence(**{name: getattr(near, name) for name in Evidence.__slots__} | {"vector": VECTORS[1]}), changes
    )
    book.merge(1, 2, changes)
    assert book.of(1)["scam"].label.upheld == 1


def test_a_restored_book_goes_on_the_same_way() -> None:
    book, changes = _book(), StateChanges()
    for number in range(5):
        book.count(1, _evidence(number), changes)
    book.count(1, _evidence(5, upheld=False), changes)
    store = StoreInMemory()
    store.apply(changes)
    again = _book()
    pieces = []
    for name, stored in store.hashes["evidence"].items():
        value = decode(EvidenceValue, StoredEntry("evidence", name, stored))
        piece = evidence_of(name, value, SIZE)
        assert piece is not None
        pieces.append((value.cluster, piece))
    again.restore(reversed(pieces), [(1, "scam", book.of(1)["scam"].label, 0)])
    assert np.array_equal(again.of(1)["scam"].upheld.vectors, book.of(1)["scam"].upheld.vectors)
    assert again.of(1)["scam"].upheld.post_ids == book.of(1)["scam"].upheld.post_ids
    for one in (book, again):
        one.count(1, _evidence(6, upheld=False, actor="actor-0", post=0), changes)
    assert again.states(1) == book.states(1) == {"scam": "disputed"}


@pytest.mark.parametrize("limit", [1, 3])
def test_exemplars_are_bounded(limit: int) -> None:
    book = _book(exemplars=limit)
    for number in range(5):
        book.count(1, _evidence(number), StateChanges())
    assert book.of(1)["scam"].upheld.post_ids == tuple(f"post-{n}" for n in range(5 - limit, 5))
