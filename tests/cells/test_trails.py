"""A campaign that drifts: posts that follow flagged ones, as far as an exemplar reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from consumers.settings import Policy
from models.exact import dot
from tests.cells import small_cells as cells
from tests.cells.small_cells import Cell, directions, post, verdict
from tests.cells.test_retroactive import flags, follow, told

if TYPE_CHECKING:
    from consumers.contracts.cell_log import PostRecord
    from consumers.contracts.flag import Flag

A, ASIDE = directions(2)
ASIDE = ((ASIDE - dot(ASIDE, A) * A) / np.sqrt(1 - dot(ASIDE, A) ** 2)).astype(np.float32)


def turned(number: int, degrees: float) -> PostRecord:
    """A post whose vector has turned so far from A."""
    angle = np.radians(degrees)
    return post(number, (np.cos(angle) * A + np.sin(angle) * ASIDE).astype(np.float32))


def ruled(**changes: float) -> Cell:
    """A cell with these thresholds of its own."""
    return Cell(cells.settings(Policy(name="scam", **changes)))


def drifting(cell: Cell) -> list[list[Flag]]:
    """An upheld post, and others each a little further from it; 41 degrees are a cosine of .75, 55 one of .57."""
    cell.add(post(0, A), verdict(1, post_id="post-0"))
    return [flags(cell.add(turned(number, degrees))) for number, degrees in enumerate((30, 45, 54, 60), 1)]


def test_a_drifting_campaign_is_followed_as_far_as_the_exemplar_reaches() -> None:
    by_exemplar, first, second, beyond = drifting(Cell())
    assert by_exemplar[0].trail is None
    assert first[0].trail is not None
    assert first[0].trail.post_id == "post-1"
    assert first[0].exemplar is not None
    assert first[0].exemplar.similarity < first[0].thresholds["exemplar"]
    assert first[0].thresholds["reach"] == 0.75 * first[0].thresholds["exemplar"]
    assert second[0].trail is not None
    assert second[0].trail.post_id == "post-2", "the nearest of the trail"
    assert beyond == []


def test_without_a_flagged_post_on_the_way_the_same_post_is_clear() -> None:
    cell = Cell()
    cell.add(post(0, A), verdict(1, post_id="post-0"))
    assert flags(cell.add(turned(1, 50))) == []


def test_a_policy_with_a_cosine_of_its_own_follows_no_trail_unless_it_asks() -> None:
    assert [len(found) for found in drifting(ruled(exemplar=0.75))] == [1, 0, 0, 0]
    assert [len(found) for found in drifting(ruled(exemplar=0.75, trail=0.9))] == [1, 1, 1, 0]
    assert [len(found) for found in drifting(ruled(trail=1.0))] == [1, 0, 0, 0]


def test_who_overturns_a_post_on_the_way_takes_the_flags_after_it_back() -> None:
    cell = Cell()
    drifting(cell)
    found = follow(cell, cell.add(verdict(2, "overturn", post_id="post-2", actor="bob")))
    gone = {post_id for folded in found for action, _, post_id in told(folded) if action == "retract"}
    assert {"post-2", "post-3"} <= gone


def test_a_verdict_that_counts_for_something_else_leaves_followed_posts_flagged() -> None:
    cell = Cell()
    drifting(cell)
    found = follow(cell, cell.add(verdict(2, post_id="post-1", actor="bob")))
    assert not [told(folded) for folded in found if any(action == "retract" for action, *_ in told(folded))]


def test_when_the_label_falls_the_followed_posts_fall_too() -> None:
    cell = Cell()
    drifting(cell)
    found = follow(cell, cell.add(verdict(2, "overturn", post_id="post-0", actor="bob")))
    gone = {post_id for folded in found for action, _, post_id in told(folded) if action == "retract"}
    assert gone == {"post-1", "post-2", "post-3"} | (gone & {"post-0"})


def test_kept_posts_are_followed_when_a_verdict_reaches_back() -> None:
    cell = Cell()
    cell.add(post(0, A), turned(1, 30), turned(2, 45), turned(3, 54), turned(4, 60))
    found = follow(cell, cell.add(verdict(1, post_id="post-0")))
    reached = [post_id for folded in found for action, _, post_id in told(folded) if action == "flag"]
    assert reached == ["post-0", "post-1", "post-2", "post-3"]


def test_a_cell_that_was_read_from_its_store_follows_the_same_trail() -> None:
    cell = Cell()
    cell.add(post(0, A), verdict(1, post_id="post-0"), turned(1, 30), turned(2, 45))
    cell.restart()
    assert flags(cell.add(turned(3, 54))) == drifting(Cell())[2]
    assert cell.store.contents()["flagged"].keys() >= {"2", "3", "4"}
