"""Features through the fold: with posts, members, evidence and copies of it, and what they keep from a flag."""

from __future__ import annotations

import numpy as np
import pytest

from consumers.cells.conclusions import CellRecord
from consumers.cells.fold import Fold, Folded
from consumers.cells.fold_settings import fold_settings
from consumers.contracts.cell_log import EvidenceRecord
from consumers.contracts.flag import Flag
from consumers.settings import Policy
from models.quantizer import Quantizer
from tests.cells import small_cells as cells
from tests.cells.small_cells import Cell, directions, manifest, near, post, source, verdict
from tests.pictures import features

A, B = directions(2)
SAME, OTHER = features(1), features(2)
VERIFYING = cells.settings(Policy(name="scam", verification={"image": 0.7}))


def told(*folded: Folded) -> list[tuple[str, str]]:
    outputs = [output.payload for part in folded for output in part.outputs]
    return [(flag.action, flag.post_id) for flag in outputs if isinstance(flag, Flag)]


def labelled(given: object = VERIFYING) -> Cell:
    cell = Cell(given)  # type: ignore[arg-type]
    cell.add(post(0, A, features=SAME), verdict(1, post_id="post-0"))
    return cell


def test_a_look_alike_is_refused_and_counted_and_a_copy_is_flagged() -> None:
    folded = labelled().add(post(1, near(A, 0.97), features=OTHER), post(2, near(A, 0.9), features=SAME))
    assert told(folded) == [("flag", "post-2")]
    assert folded.refused == {"scam": 1}
    [flag] = [output.payload for output in folded.outputs if isinstance(output.payload, Flag)]
    assert flag.thresholds["verification image"] == 0.7


@pytest.mark.parametrize("given", [cells.settings(), cells.settings(Policy(name="scam", verification={}))])
def test_without_verification_features_are_not_asked(given: object) -> None:
    assert told(labelled(given).add(post(1, near(A, 0.97), features=OTHER))) == [("flag", "post-1")]


def test_posts_without_features_are_judged_by_cosines_alone() -> None:
    assert told(labelled().add(post(1, near(A, 0.97)))) == [("flag", "post-1")]
    cell = Cell(VERIFYING)
    cell.add(post(0, A), verdict(1, post_id="post-0"))
    assert told(cell.add(post(1, near(A, 0.97), features=OTHER))) == [("flag", "post-1")]


def test_a_restart_keeps_the_features_of_exemplars_members_and_flagged_posts() -> None:
    cell = labelled()
    cell.add(post(1, near(A, 0.93, 1), features=SAME), post(2, near(A, 0.93, 2), features=OTHER))
    contents = cell.store.contents()
    cell.restart()
    folded = cell.add(post(3, near(A, 0.97), features=OTHER), post(4, near(A, 0.97), features=SAME))
    assert told(folded) == [("flag", "post-4")]
    assert told(cell.add(verdict(2, post_id="post-2", actor="bob"))) == [("flag", "post-2"), ("flag", "post-3")]
    assert contents["members"].keys() <= cell.store.contents()["members"].keys()


def test_a_verdict_reaches_back_to_copies_and_not_to_look_alikes() -> None:
    cell = Cell(VERIFYING)
    cell.add(
        post(0, A, features=SAME), post(1, near(A, 0.93, 1), features=SAME), post(2, near(A, 0.93, 2), features=OTHER)
    )
    assert told(cell.add(verdict(1, post_id="post-0"))) == [("flag", "post-0"), ("flag", "post-1")]


def test_a_flag_is_taken_back_when_only_a_look_alike_is_left_behind_it() -> None:
    cell = labelled()
    cell.add(verdict(2, post_id="post-0", actor="bob"), post(1, near(A, 0.93, 1), features=OTHER))
    flagged = cell.add(verdict(3, post_id="post-1", actor="eve"), post(2, near(A, 0.93, 3), features=OTHER))
    assert told(flagged) == [("flag", "post-0"), ("flag", "post-1"), ("flag", "post-2")][-len(told(flagged)) :]
    better = verdict(4, post_id="post-0", actor="eve", supersedes="verdict-3")
    assert told(cell.add(better)) == [("retract", "post-1"), ("retract", "post-2")]


def test_look_alikes_that_are_upheld_and_nearer_take_no_flag_back() -> None:
    cell = labelled()
    copy = near(A, 0.9)
    assert told(cell.add(post(1, copy, features=SAME))) == [("flag", "post-1")]
    cell.add(*(post(number, near(copy, 0.97, number), features=features(number)) for number in range(2, 6)))
    upheld = [cell.add(verdict(number, post_id=f"post-{number}", actor=f"actor-{number}")) for number in range(2, 6)]
    assert told(*upheld) == [("flag", f"post-{number}") for number in range(2, 6)]


def test_an_overturned_post_takes_no_flag_back_whose_exemplar_lies_beyond_nearer_look_alikes() -> None:
    cell = labelled()
    copy = near(A, 0.9)
    cell.add(post(1, copy, features=SAME))
    cell.add(*(post(number, near(copy, 0.97, number), features=features(number)) for number in range(2, 8)))
    cell.add(*(verdict(number, post_id=f"post-{number}", actor=f"actor-{number}") for number in range(2, 8)))
    cell.add(post(8, near(A, 0.8, 9), features=features(9)))
    overturned = cell.add(verdict(9, post_id="post-8", decision="overturn", actor="bob"))
    assert told(overturned) == []
    cell.add(verdict(10, post_id="post-0", actor="eve"))
    gone = [
        verdict(11, post_id="post-0", decision="overturn"),
        verdict(12, post_id="post-0", decision="overturn", actor="eve"),
    ]
    assert ("retract", "post-1") in told(cell.add(*gone)), "only look-alikes are left"


def test_a_verdict_that_brings_its_post_brings_its_features() -> None:
    cell = Cell(VERIFYING)
    brought = {"vector": A.astype("<f2").tobytes(), "source": source(900), "cell_offset": 7, "features": SAME}
    cell.add(verdict(1, post_id="old", **brought))
    folded = cell.add(post(1, near(A, 0.97), features=OTHER), post(2, near(A, 0.97), features=SAME))
    assert told(folded) == [("flag", "post-2")]


def test_copies_of_evidence_for_other_cells_hold_the_features() -> None:
    quantizer = Quantizer(np.stack([A, near(A, 0.9)]))
    fold = Fold(fold_settings(VERIFYING, manifest()), manifest(), 0, position=0, quantizer=quantizer)
    folded = fold.fold([(0, post(0, A, features=SAME)), (1, verdict(1, post_id="post-0"))], position=2)
    [copy] = [output.payload.record for output in folded.outputs if isinstance(output.payload, CellRecord)]
    assert isinstance(copy, EvidenceRecord)
    assert copy.features == SAME
    there = Cell(VERIFYING)
    there.add(copy)
    later = there.add(post(1, near(A, 0.97), features=OTHER), post(2, near(A, 0.97), features=SAME))
    assert told(later) == [("flag", "post-2")]


def test_the_verdict_on_a_cluster_has_no_features() -> None:
    cell = Cell(VERIFYING)
    cell.add(post(0, A, features=SAME), verdict(1, cluster_id="0-0"))
    assert told(cell.add(post(1, near(A, 0.97), features=OTHER))) == [("flag", "post-1")]
