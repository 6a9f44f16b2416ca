from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest

from consumers.cells.conclusions import CellRecord
from consumers.cells.fold import Fold
from consumers.cells.fold_settings import fold_settings
from consumers.contracts.cell_log import ContinueRecord
from consumers.contracts.flag import Flag
from consumers.settings import Policy, Verdicts
from models.quantizer import Quantizer
from tests.cells import small_cells as cells
from tests.cells.small_cells import START, Cell, directions, manifest, near, post, verdict

if TYPE_CHECKING:
    from consumers.cells.fold import Folded
    from consumers.contracts.cell_log import Record
    from consumers.settings import Settings

A, B = directions(2)


def flags(folded: Folded) -> list[Flag]:
    return [output.payload for output in folded.outputs if isinstance(output.payload, Flag)]


def told(folded: Folded) -> list[tuple[str, str, str]]:
    return [(flag.action, flag.cause, flag.post_id) for flag in flags(folded)]


def continues(folded: Folded) -> list[Record]:
    return [output.payload.record for output in folded.outputs if isinstance(output.payload, CellRecord)]


def follow(cell: Cell, folded: Folded) -> list[Folded]:
    """The log after a batch: what the cell wrote into it, until it writes nothing more."""
    found = [folded]
    while waiting := continues(found[-1]):
        assert len(waiting) == 1
        found.append(cell.add(*waiting))
    return found


def variants(count: int, start: int = 0) -> list[Record]:
    return [post(number, near(A, 0.93, seed=number)) for number in range(start, start + count)]


def test_a_verdict_flags_the_posts_kept_before_it() -> None:
    cell = Cell()
    cell.add(*variants(3), post(3, B))
    folded = cell.add(verdict(1, post_id="post-1"))
    assert told(folded) == [("flag", "retroactive", f"post-{n}") for n in range(3)]
    assert {flag.revision for flag in flags(folded)} == {4}, "the verdict's place in the log"
    assert [flag.cell_offset for flag in flags(folded)] == [0, 1, 2], "the posts' own places"
    assert {flag.decided_at for flag in flags(folded)} == {"2023-11-14T22:13:20.000Z"}


def test_what_was_flagged_when_it_came_is_not_flagged_again() -> None:
    cell = Cell()
    cell.add(post(0, A), verdict(1, post_id="post-0"), *variants(2, start=1))
    assert told(cell.add(verdict(2, post_id="post-1", actor="bob"))) == []


def test_verdicts_on_flagged_posts_are_told_from_those_on_others() -> None:
    cell = Cell()
    assert cell.add(post(0, A), verdict(1, post_id="post-0")).judged == {}, "nothing was flagged before"
    cell.add(*variants(2, start=1))
    assert cell.add(verdict(2, post_id="post-1", actor="bob")).judged == {("scam", "uphold"): 1}
    assert cell.add(verdict(3, post_id="post-2", policy="spam")).judged == {}, "flagged, but under another policy"
    overturned = verdict(4, "overturn", post_id="post-2", actor="carol")
    assert cell.add(overturned).judged == {("scam", "overturn"): 1}
    assert cell.add(overturned).judged == {}, "said again"


def test_variants_that_opened_clusters_of_their_own_are_reached_too() -> None:
    cell = Cell(cells.settings(Policy(name="scam", exemplar=0.75), join=0.9))
    cell.add(post(0, A), post(1, near(A, 0.8)))
    assert len(cell.store.hashes["clusters"]) == 2
    assert told(cell.add(verdict(1, post_id="post-0"))) == [
        ("flag", "retroactive", "post-0"),
        ("flag", "retroactive", "post-1"),
    ]


def test_an_overturned_label_takes_its_flags_back() -> None:
    cell = Cell()
    cell.add(post(0, A), verdict(1, post_id="post-0"), *variants(2, start=1))
    folded = cell.add(verdict(2, "overturn", post_id="post-0"))
    assert told(folded) == [("retract", "verdict-2", f"post-{n}") for n in range(3)]
    (first, *_) = flags(folded)
    assert (first.exemplar, first.revision) == (None, 4)
    assert sum(first.shares.values()) == first.similarity
    assert told(cell.add(verdict(3, "overturn", post_id="post-1", actor="bob"))) == [], "taken back once"


def test_mixed_evidence_takes_flags_back_and_sends_posts_to_review() -> None:
    cell = Cell()
    cell.add(post(0, A), verdict(1, post_id="post-0"))
    folded = cell.add(verdict(2, "overturn", post_id="post-0", actor="bob"))
    assert told(folded) == [("retract", "verdict-2", "post-0")]


def test_a_flag_that_another_label_upholds_stays() -> None:
    cell = Cell(cells.settings(Policy(name="scam", centroid=0.7, exemplar=0.7), join=0.9))
    cell.add(post(0, A), post(1, near(A, 0.8)))
    cell.add(verdict(1, post_id="post-0"), verdict(2, post_id="post-1", actor="bob"))
    folded = cell.add(verdict(3, "overturn", cluster_id="0-0", actor="eve"))
    assert ("retract", "verdict-3", "post-1") not in told(folded)


def test_a_verdict_under_another_policy_takes_the_flags_of_the_one_it_supersedes_back() -> None:
    cell = Cell()
    cell.add(post(0, A), verdict(1, post_id="post-0"), post(1, near(A, 0.95)))
    folded = cell.add(verdict(2, post_id="post-0", policy="spam", supersedes="verdict-1"))
    assert {(flag.policy, flag.action, flag.post_id) for flag in flags(folded)} == {
        ("scam", "retract", "post-0"),
        ("scam", "retract", "post-1"),
        ("spam", "flag", "post-0"),
        ("spam", "flag", "post-1"),
    }


def test_a_verdict_in_another_cell_takes_the_flags_of_the_one_it_supersedes_back() -> None:
    """The two posts are far apart, so that neither cell would hear of the other's verdict."""
    given = cells.settings(Policy(name="scam", exemplar=0.95))
    here, there = (
        Cell(given),
        Fold(fold_settings(given, manifest()), manifest(), 1, position=0, quantizer=Quantizer(np.stack([A, B]))),
    )
    here.add(post(0, A), verdict(1, post_id="post-0"))
    upheld, supersedes = (
        verdict(3, post_id="post-1"),
        verdict(2, post_id="post-1", actor="bob", supersedes="verdict-1"),
    )
    assert continues(there.fold([(0, post(1, B)), (1, upheld)], position=2)) == []
    [copy] = continues(there.fold([(2, supersedes)], position=3))
    assert told(here.add(copy)) == [("retract", "verdict-2", "post-0")]


def test_further_upheld_posts_take_no_flag_back_when_its_exemplar_is_looked_at_no_more() -> None:
    cell = Cell(cells.settings(Policy(name="scam", exemplar=0.95), exemplars=2))
    cell.add(*variants(5))
    parts = [cell.add(verdict(number, post_id=f"post-{number}", actor=f"actor-{number}")) for number in range(5)]
    assert [told(part) for part in parts] == [[("flag", "retroactive", f"post-{number}")] for number in range(5)]


def test_a_benign_exception_takes_back_the_flags_nearest_to_it_only() -> None:
    cell = Cell()
    cell.add(post(0, A), *(verdict(n, post_id="post-0", actor=f"actor-{n}") for n in range(5)))
    cell.add(post(1, near(A, 0.8)), post(2, near(A, 0.95, seed=2)))
    folded = cell.add(verdict(9, "overturn", post_id="post-1"))
    assert told(folded) == [("retract", "verdict-9", "post-1")]


def test_an_upheld_flag_comes_back_with_a_higher_revision() -> None:
    cell = Cell()
    cell.add(post(0, A), verdict(1, post_id="post-0"))
    (taken,) = flags(cell.add(verdict(2, "overturn", post_id="post-0")))
    (again,) = flags(cell.add(verdict(3, post_id="post-0")))
    assert (taken.flag_id, taken.action, again.action) == (again.flag_id, "retract", "flag")
    assert again.revision > taken.revision


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
def test_long_work_is_done_in_chunks_and_each_post_once(chunk: int) -> None:
    cell = Cell(cells.settings(verdicts=Verdicts(chunk_posts=chunk)))
    cell.add(*variants(7))
    parts = follow(cell, cell.add(verdict(1, post_id="post-0")))
    assert [len(flags(part)) for part in parts[:-1]] == [chunk] * (len(parts) - 1)
    assert [flag.post_id for part in parts for flag in flags(part)] == [f"post-{n}" for n in range(7)]
    assert len({flag.revision for part in parts for flag in flags(part)}) == len([p for p in parts if flags(p)])
    assert cell.store.contents().get("unfinished") is None


def test_posts_between_the_chunks_are_judged_by_the_verdict_and_not_reached_again() -> None:
    cell = Cell(cells.settings(verdicts=Verdicts(chunk_posts=2)))
    cell.add(*variants(4))
    first = cell.add(verdict(1, post_id="post-0"), *variants(2, start=4))
    rest = follow(cell, cell.add(*continues(first)))
    counts = Counter(flag.post_id for part in [first, *rest] for flag in flags(part))
    assert counts == dict.fromkeys([f"post-{n}" for n in range(6)], 1)


def test_a_repeated_continue_record_does_nothing() -> None:
    cell = Cell(cells.settings(verdicts=Verdicts(chunk_posts=2)))
    cell.add(*variants(5))
    (record,) = continues(cell.add(verdict(1, post_id="post-0")))
    assert len(flags(cell.add(record))) == 2
    repeated = cell.add(record)
    assert repeated.outputs == []
    assert cell.add(ContinueRecord(cause="never", cursor=-1, time=START)).outputs == []


@pytest.mark.parametrize("at", range(4))
def test_a_restart_between_chunks_changes_nothing(at: int) -> None:
    def run(*, restarted: bool) -> list[tuple[str, str, str]]:
        cell = Cell(cells.settings(verdicts=Verdicts(chunk_posts=2)))
        cell.add(*variants(7))
        parts = [cell.add(verdict(1, post_id="post-0"))]
        while waiting := continues(parts[-1]):
            if restarted and len(parts) == at:
                cell.restart()
            parts.append(cell.add(*waiting))
        return [line for part in parts for line in told(part)]

    assert run(restarted=True) == run(restarted=False)


def capped(flags_per_verdict: int, sample: int = 2) -> Settings:
    return cells.settings(Policy(name="scam", flags_per_verdict=flags_per_verdict, sample=sample))


def test_a_verdict_flags_at_most_so_many_posts_and_then_asks_about_a_sample() -> None:
    from consumers.contracts.decision import Decision

    cell = Cell(capped(3))
    cell.add(post(0, A), verdict(1, post_id="post-0"))
    folded = cell.add(*variants(7, start=1))
    decisions = [output.payload for output in folded.outputs if isinstance(output.payload, Decision)]
    assert [found.outcome for found in decisions] == [
        "flagged",
        "flagged",
        "review",
        "clear",
        "review",
        "clear",
        "review",
    ]
    assert [found.capped for found in decisions[2:]] == [(), ("scam",)] * 2 + [()]
    cell.restart()
    more = cell.add(verdict(2, post_id="post-3", actor="bob"), post(20, near(A, 0.95)))
    assert ("flag", "live", "post-20") not in told(more), "eight have matched and two verdicts allow six"


def test_the_cap_holds_for_posts_before_the_verdict_too() -> None:
    cell = Cell(capped(2))
    cell.add(*variants(5))
    assert len(flags(cell.add(verdict(1, post_id="post-0")))) == 2


def test_flags_are_forgotten_after_the_retraction_window() -> None:
    cell = Cell(cells.settings(verdicts=Verdicts(retraction_seconds=60.0), maintenance_records=1, members=1))
    cell.add(post(0, A), verdict(1, post_id="post-0"), post(1, near(A, 0.95)))
    cell.add(post(2, B, time=START + 10_000_000), post(3, B))
    assert cell.store.contents().get("flagged") is None
    assert told(cell.add(verdict(2, "overturn", post_id="post-0", cluster_id=None))) == []


def test_the_flagged_posts_kept_are_bounded() -> None:
    cell = Cell(cells.settings(verdicts=Verdicts(flagged_posts=2), maintenance_records=1))
    cell.add(post(0, A), verdict(1, post_id="post-0"), *variants(5, start=1), post(9, B))
    assert sorted(cell.store.hashes["flagged"]) == ["5", "6"]


def test_a_flag_of_a_post_that_is_no_member_any_more_is_taken_back() -> None:
    cell = Cell(cells.settings(members=1))
    cell.add(post(0, A), verdict(1, post_id="post-0"), *variants(3, start=1))
    cell.restart()
    folded = cell.add(verdict(2, "overturn", cluster_id="0-0"), verdict(3, "overturn", cluster_id="0-0", actor="bob"))
    assert Counter(flag.post_id for flag in flags(folded) if flag.action == "retract") == dict.fromkeys(
        [f"post-{n}" for n in range(4)], 1
    )


def test_flags_in_shadow_are_retroactive_too() -> None:
    cell = Cell(cells.settings(Policy(name="scam", mode="shadow")))
    cell.add(*variants(2))
    assert {flag.mode for flag in flags(cell.add(verdict(1, post_id="post-0")))} == {"shadow"}


def test_the_post_that_a_verdict_waited_for_is_flagged_too() -> None:
    cell = Cell()
    cell.add(verdict(1, post_id="post-1"), post(0, A))
    parts = follow(cell, cell.add(post(1, A)))
    assert [told(part) for part in parts] == [
        [("flag", "retroactive", "post-0")],
        [("flag", "retroactive", "post-1")],
    ]
    assert [flag.revision for part in parts for flag in flags(part)] == [2, 3]


def test_a_flag_that_waiting_verdicts_overturn_at_once_is_taken_back_under_a_later_revision() -> None:
    cell = Cell()
    cell.add(post(0, A), verdict(1, post_id="post-0"))
    cell.add(*(verdict(number, "overturn", post_id="post-9", actor=f"actor-{number}") for number in (2, 3)))
    parts = [cell.add(post(9, A))]
    while waiting := [record for part in parts[-1:] for record in continues(part)]:
        parts.append(cell.add(*waiting))
    found = [(flag.action, flag.revision) for part in parts for flag in flags(part) if flag.post_id == "post-9"]
    assert [action for action, _ in found] == ["flag", "retract"]
    assert len({revision for _, revision in found}) == 2
