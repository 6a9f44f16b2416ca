from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.cells.conclusions import CellRecord, DeadVerdict
from consumers.cells.fold import Fold
from consumers.cells.fold_settings import OtherFold
from consumers.cells.missing import counting_cell
from consumers.contracts.cell_log import EraseRecord, EvidenceRecord, MissingRecord, Record, SettingsRecord
from consumers.contracts.decision import Decision
from consumers.contracts.flag import Flag
from consumers.contracts.fold_settings import FOLD, SearchLists
from consumers.contracts.source import decision_id, flag_id
from consumers.contracts.verdict import FusedVector
from consumers.settings import Policy
from consumers.state import codec
from consumers.state.codec import CodecError, Entry
from models.exact import lengths
from tests.cells import small_cells as cells
from tests.cells.small_cells import (
    SIZE,
    START,
    Cell,
    StoreInMemory,
    dead,
    directions,
    manifest,
    near,
    post,
    source,
    verdict,
)

if TYPE_CHECKING:
    from consumers.cells.fold import Folded

BUNDLE = manifest().bundle_id
A, B, C = directions(3)


def _decisions(*folded: Folded) -> list[Decision]:
    return [output.payload for part in folded for output in part.outputs if isinstance(output.payload, Decision)]


def _flags(*folded: Folded) -> list[Flag]:
    """The flags that posts bring themselves, without those that verdicts reach back for."""
    return [flag for flag in _every_flag(*folded) if flag.cause == "live"]


def _every_flag(*folded: Folded) -> list[Flag]:
    return [output.payload for part in folded for output in part.outputs if isinstance(output.payload, Flag)]


def _parts(*present: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Direction A with only these modalities."""
    blocks = A.reshape(3, -1) * np.array([[name in present] for name in cells.NAMES])
    return np.asarray(blocks.ravel() / np.linalg.norm(blocks), dtype=np.float32)


def test_settings_of_another_version_of_the_fold_are_refused_wherever_they_stand() -> None:
    cell = Cell()
    other = msgspec.structs.replace(cell.fold.settings, fold=FOLD + 1)
    told = f"version {FOLD + 1} of the fold, this Shoal folds by version {FOLD}"
    with pytest.raises(OtherFold, match=told):
        cell.add(SettingsRecord(time=START, settings=other))
    with pytest.raises(OtherFold, match=told):
        Fold(other, manifest(), 0, position=0)
    value = codec.encode(codec.SettingsValue(7, other))
    with pytest.raises(OtherFold, match=told):
        Cell().fold.restore([Entry("settings", "settings", value)])


def test_every_post_gets_one_decision_in_log_order() -> None:
    folded = Cell().add(post(0, A), dead(1), post(2, near(A, 0.9)), post(3, B))
    found = _decisions(folded)
    assert [decision.cell_offset for decision in found] == [0, 1, 2, 3]
    assert [decision.outcome for decision in found] == ["clear", "dead_letter", "clear", "clear"]
    assert [decision.cluster_id for decision in found] == ["0-0", None, "0-0", "0-3"]
    assert [decision.opened for decision in found] == [True, False, False, True]
    assert folded.events == {"opened": 2, "joined": 1}
    assert folded.position == 4


def test_a_decision_says_where_the_post_came_from_and_how_near_it_was() -> None:
    folded = Cell().add(post(0, A), post(1, near(A, 0.9)))
    _, found = _decisions(folded)
    assert found.decision_id == decision_id(BUNDLE, source(1))
    assert found.source == source(1)
    assert found.similarity == pytest.approx(0.9, abs=1e-3)
    assert found.similarity == sum(found.shares.values())
    assert list(found.shares) == list(cells.NAMES)
    assert found.decided_at == "2023-11-14T22:13:21.000Z"
    assert folded.outputs[1].timestamp == source(1).timestamp
    assert folded.outputs[1].key == "post-1"


def test_the_decision_of_a_dead_letter_says_why() -> None:
    folded = Cell().add(dead(1))
    (found,) = _decisions(folded)
    assert (found.outcome, found.parts, found.similarity, found.shares) == (
        "dead_letter",
        {"post": "not-json"},
        None,
        {},
    )
    assert folded.outputs[0].key == found.decision_id


@pytest.mark.parametrize("vector", [b"", b"\0" * (2 * SIZE), b"\0" * 7, np.full(SIZE, np.nan, "<f2").tobytes()])
def test_a_record_without_a_usable_vector_is_a_dead_letter_and_its_neighbours_are_not(vector: bytes) -> None:
    found = _decisions(Cell().add(post(0, A), msgspec.structs.replace(post(1, A), vector=vector), post(2, A)))
    assert [decision.outcome for decision in found] == ["clear", "dead_letter", "clear"]
    assert found[1].parts["post"] == "invalid-vector"


def test_a_post_folded_before_changes_nothing() -> None:
    cell = Cell()
    cell.add(post(0, A))
    before = cell.store.contents()
    again = cell.add(post(0, A))
    assert (again.outputs, again.duplicates) == ([], 1)
    assert cell.store.contents() == before
    assert cell.add(post(1, A), post(1, A)).duplicates == 1


def test_marks_are_kept_for_each_source_partition_and_survive_a_restart() -> None:
    cell = Cell()
    cell.add(post(5, A))
    cell.restart()
    folded = cell.add(post(4, A), post(5, A), post(4, A, source=source(4, partition=1)), dead(3))
    assert folded.duplicates == 3
    assert [decision.source.partition for decision in _decisions(folded)] == [1]


def test_an_edited_post_is_decided_again() -> None:
    found = _decisions(Cell().add(post(0, A), post(1, B, post_id="post-0")))
    assert [decision.post_id for decision in found] == ["post-0", "post-0"]
    assert len({decision.decision_id for decision in found}) == 2


def test_an_upheld_verdict_flags_the_posts_after_it() -> None:
    cell = Cell()
    cell.add(post(0, A))
    folded = cell.add(post(1, A), verdict(1, post_id="post-0"), post(2, near(A, 0.9)), post(3, B))
    assert [decision.outcome for decision in _decisions(folded)] == ["clear", "flagged", "clear"]
    (flag,) = _flags(folded)
    assert flag.flag_id == flag_id(BUNDLE, source(2), "scam")
    assert (flag.revision, flag.cell_offset, flag.cause, flag.action) == (3, 3, "live", "flag")
    assert flag.bound == pytest.approx(0.66, abs=0.006)
    assert flag.exemplar is not None
    assert flag.exemplar.post_id == "post-0"
    assert flag.exemplar.similarity == pytest.approx(0.9, abs=1e-3)
    assert sum(flag.shares.values()) == flag.similarity
    assert _decisions(folded)[1].flags == (flag.flag_id,)
    assert folded.verdicts == {("uphold", "counted"): 1}
    assert folded.events["labelled"] == 1
    kinds = ["decision", "flag", "flag", "flag", "decision", "decision"]
    assert [output.kind for output in folded.outputs] == kinds, "two reach back to the posts before"


def test_an_overturned_verdict_takes_the_label_back() -> None:
    cell = Cell()
    cell.add(post(0, A), verdict(1, post_id="post-0"), post(1, near(A, 0.9, seed=1)))
    folded = cell.add(verdict(2, "overturn", post_id="post-1"), post(2, near(A, 0.97, seed=2)))
    assert _flags(folded) == []
    assert folded.events["unlabelled"] == 1
    assert [decision.outcome for decision in _decisions(folded)] == ["review"]


def test_a_verdict_by_flag_finds_the_post_it_was_about() -> None:
    cell = Cell()
    (flag,) = _flags(cell.add(post(0, A), verdict(1, post_id="post-0"), post(1, near(A, 0.9))))
    cell.restart()
    folded = cell.add(verdict(2, "overturn", flag_id=flag.flag_id), post(2, A))
    assert folded.verdicts == {("overturn", "counted"): 1}
    assert _flags(folded) == []


def test_a_verdict_about_a_cluster_takes_its_centroid_as_exemplar() -> None:
    cell = Cell()
    cell.add(post(0, A))
    (flag,) = _flags(cell.add(verdict(1, cluster_id="0-0"), post(1, near(A, 0.9))))
    assert flag.exemplar is not None
    assert flag.exemplar.post_id == "0-0"


def test_a_verdict_that_carries_its_post_works_for_a_post_never_seen() -> None:
    folded = Cell().add(
        verdict(1, post_id="old", vector=C.astype("<f2").tobytes(), source=source(900), cell_offset=7),
        post(1, near(C, 0.9)),
    )
    (flag,) = _flags(folded)
    assert flag.exemplar is not None
    assert flag.exemplar.post_id == "old"
    assert folded.events == {"opened": 1, "joined": 1, "labelled": 1}


def test_evidence_of_a_neighbouring_cell_counts_like_a_verdict() -> None:
    record = EvidenceRecord(
        verdict_id="v", decision="uphold", policy="scam", actor="ada", time=START,
        vector=C.astype("<f2").tobytes(), post="topic:0:900", post_id="old",
    )  # fmt: skip
    assert len(_flags(Cell().add(record, post(1, near(C, 0.9))))) == 1


@pytest.mark.parametrize("target", [{"flag_id": "no-such-flag"}, {"cluster_id": "0-77"}, {"cluster_id": "1-0"}])
def test_a_verdict_about_something_unknown_is_a_dead_letter_when_only_this_cell_was_asked(
    target: dict[str, str],
) -> None:
    cell = Cell()
    cell.add(post(0, A))
    folded = cell.add(verdict(1, **target))
    (output,) = folded.outputs
    assert output.kind == "dead_letter"
    assert isinstance(output.payload, DeadVerdict)
    assert output.payload.reason == "unknown-target"
    assert msgspec.structs.asdict(output.payload.verdict)[next(iter(target))] == output.key
    assert folded.verdicts == {("uphold", "unknown_target"): 1}


@pytest.mark.parametrize("target", [{"flag_id": "no-such-flag"}, {"cluster_id": "0-77"}])
def test_a_verdict_about_something_unknown_is_a_dead_letter_once_every_cell_that_was_asked_says_so(
    target: dict[str, str],
) -> None:
    cell = Cell()
    cell.add(post(0, A))
    asked = verdict(2, asked=2, **target)
    folded = cell.add(asked)
    (report,) = folded.outputs
    assert folded.verdicts == {("uphold", "unknown_target"): 1}
    assert isinstance(report.payload, CellRecord)
    assert isinstance(report.payload.record, MissingRecord)
    assert report.payload.cell == counting_cell(asked.verdict_id, 2)
    assert cell.add(report.payload.record).outputs == []
    (output,) = cell.add(MissingRecord(cell=1, verdict=asked, time=START)).outputs
    assert output.kind == "dead_letter"


def test_the_same_verdict_counts_once_also_after_a_restart() -> None:
    cell = Cell()
    cell.add(post(0, A), verdict(1, post_id="post-0"), verdict(2, "overturn", post_id="post-0"))
    cell.restart()
    folded = cell.add(verdict(1, post_id="post-0"), post(1, A))
    assert folded.verdicts == {("uphold", "duplicate"): 1}
    assert _flags(folded) == []


def test_which_micro_clusters_have_evidence_is_told() -> None:
    cell = Cell()
    cell.add(post(0, A), post(1, B), verdict(1, post_id="post-0"))
    assert [cell.fold.has_evidence(cluster) for cluster in ("0-0", "0-1", "0-9", "none")] == [
        True,
        False,
        False,
        False,
    ]


def test_a_verdict_that_counts_is_known_however_many_came_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumers.cells.cell.MOST_VERDICT_IDS", 2)
    cell = Cell()
    cell.add(post(0, A), *(verdict(n, post_id="post-0", actor=f"actor-{n}") for n in range(5)))
    assert len(cell.store.hashes["verdicts"]) == 2
    assert cell.add(verdict(0, post_id="post-0", actor="actor-0")).verdicts == {("uphold", "duplicate"): 1}


def test_a_verdict_that_finds_its_cell_full_can_be_put_back_with_the_post_it_brought() -> None:
    cell = Cell(cells.settings(labelled_clusters=1))
    cell.add(post(0, A), verdict(1, post_id="post-0"))
    vector = C.astype("<f2").tobytes()
    folded = cell.add(
        verdict(2, post_id="brought", vector=vector, source=source(900)),
        verdict(3, post_id="looked-up", vector=vector, source=source(901), cell_offset=7),
    )
    dead = [output.payload for output in folded.outputs if isinstance(output.payload, DeadVerdict)]
    assert {one.reason for one in dead} == {"cell-full"}
    assert [one.verdict.fused for one in dead] == [FusedVector(bundle=BUNDLE, vector=vector), None]
    assert [(one.verdict.cell, one.verdict.cell_offset) for one in dead] == [(None, None), (0, 7)]


def test_an_actor_may_change_their_mind() -> None:
    cell = Cell()
    cell.add(post(0, A), verdict(1, "overturn", post_id="post-0"), verdict(2, post_id="post-0"))
    assert len(_flags(cell.add(post(1, A)))) == 1


@pytest.mark.parametrize("policy", ["", "Scam", "a b", "x" * 65, "scam\n"])
def test_a_verdict_under_no_policy_harms_nobody(policy: str) -> None:
    folded = Cell().add(post(0, A), verdict(1, post_id="post-0", policy=policy), post(1, A))
    assert folded.verdicts == {("uphold", "unknown_target"): 1}
    assert [decision.outcome for decision in _decisions(folded)] == ["clear", "clear"]


def test_saying_the_same_again_changes_no_label() -> None:
    """Five upheld and one overturned keep a label that they would not give; a sixth is no new evidence."""
    cell = Cell()
    cell.add(post(0, A), *(verdict(n, post_id="post-0", actor=f"actor-{n}") for n in range(5)))
    cell.add(verdict(5, "overturn", post_id="post-0", actor="actor-5"))
    cell.restart()
    again = cell.add(
        verdict(6, post_id="post-0", actor="actor-0"),
        verdict(7, post_id="post-0", actor="actor-1", supersedes="verdict-1"),
        post(1, near(A, 0.9)),
    )
    assert len(_flags(again)) == 1
    assert again.events == {"joined": 1}


def test_a_superseded_verdict_counts_no_longer() -> None:
    cell = Cell()
    cell.add(post(0, A), verdict(1, post_id="post-0"))
    cell.add(verdict(2, "overturn", actor="bob", post_id="post-0", supersedes="verdict-1"))
    assert [decision.outcome for decision in _decisions(cell.add(post(1, A)))] == ["clear"]


def test_policies_are_judged_apart() -> None:
    cell = Cell(cells.settings(Policy(name="shady", mode="shadow", severity="high")))
    cell.add(post(0, A), verdict(1, post_id="post-0", policy="shady"))
    shadow = cell.add(post(1, A))
    assert [(flag.policy, flag.mode, flag.severity) for flag in _flags(shadow)] == [("shady", "shadow", "high")]
    assert _decisions(shadow)[0].outcome == "clear"
    both = cell.add(verdict(2, post_id="post-0", policy="scam"), post(2, A))
    assert [flag.policy for flag in _flags(both)] == ["scam", "shady"]
    assert _decisions(both)[0].outcome == "flagged"
    assert len(_decisions(both)[0].flags) == 2


def test_the_settings_of_a_policy_win_over_the_bundle() -> None:
    strict = Cell(cells.settings(Policy(name="scam", exemplar=0.95)))
    strict.add(post(0, A), verdict(1, post_id="post-0"))
    folded = strict.add(post(1, near(A, 0.9)), post(2, near(A, 0.97)))
    (flag,) = _flags(folded)
    assert (flag.post_id, flag.thresholds["exemplar"]) == ("post-2", 0.95)
    usual = Cell()
    (other,) = _flags(usual.add(post(0, A), verdict(1, post_id="post-0"), post(1, A)))
    assert other.policy_version != flag.policy_version


def test_a_splinter_near_a_labelled_cluster_does_not_hide_a_violation() -> None:
    """The variants of one campaign may open several clusters; only one of them has the verdict."""
    cell = Cell(cells.settings(Policy(name="scam", centroid=0.7, exemplar=0.7)))
    splinter = near(A, 0.72)
    cell.add(post(0, A), verdict(1, post_id="post-0"))
    folded = cell.add(post(1, splinter))
    (decision,) = _decisions(folded)
    (flag,) = _flags(folded)
    assert (decision.cluster_id, decision.opened) == ("0-2", True)
    assert flag.cluster_id == "0-0"
    assert flag.similarity == pytest.approx(0.72, abs=1e-3)
    # Overturning it counts against the label that flagged it.
    after = cell.add(verdict(2, "overturn", flag_id=flag.flag_id), post(2, splinter), post(3, A))
    assert _flags(after) == []
    assert after.events["unlabelled"] == 1


def test_a_look_alike_that_was_overturned_is_an_exception_and_the_rest_is_flagged_on() -> None:
    cell = Cell(cells.settings(Policy(name="scam", centroid=0.6, exemplar=0.6)))
    cell.add(post(0, A))
    cell.add(*(verdict(n, post_id="post-0", actor=f"actor-{n}") for n in range(1, 9)))
    look_alike = near(A, 0.8, seed=4)
    (flag,) = _flags(cell.add(post(1, look_alike)))
    folded = cell.add(verdict(20, "overturn", flag_id=flag.flag_id), post(2, near(look_alike, 0.97)), post(3, A))
    assert [decision.outcome for decision in _decisions(folded)] == ["clear", "flagged"]


def test_a_conjunction_policy_flags_only_what_has_all_parts() -> None:
    together = Policy(name="scam", together=True, centroid=0.5, exemplar=0.5)
    harmless = _parts("text", "image")
    for policy, outcome in ((together, "clear"), (together.model_copy(update={"together": False}), "flagged")):
        cell = Cell(cells.settings(policy))
        cell.add(post(0, A), verdict(1, post_id="post-0"))
        assert [decision.outcome for decision in _decisions(cell.add(post(1, harmless), post(2, A)))] == [
            outcome,
            "flagged",
        ]


def test_an_unlabelled_cluster_fades_and_a_labelled_one_does_not() -> None:
    cell = Cell(cells.settings(maintenance_records=10))
    cell.add(post(0, A), post(1, B), verdict(1, post_id="post-0"))
    late = START + 10_000_000
    folded = cell.add_at([(8, post(2, C, time=late)), (10, post(3, C, time=late)), (11, post(4, A, time=late))], 12)
    assert folded.events["evicted"] == 1
    assert sorted(cell.store.hashes["clusters"]) == ["0", "8"]
    assert [flag.post_id for flag in _flags(folded)] == ["post-4"]
    assert "1" not in cell.store.hashes["members"]
    assert cell.add(verdict(2, post_id="post-1")).verdicts == {("uphold", "waiting"): 1}


def test_too_many_clusters_lose_the_faintest() -> None:
    cell = Cell(cells.settings(maximum_clusters=3, maintenance_records=10))
    many = directions(6, seed=3)
    cell.add(*(post(n, vector) for n, vector in enumerate(many)))
    assert cell.fold.clusters == 6
    assert cell.add_at([(10, post(10, many[0]))], 11).events["evicted"] == 3
    assert sorted(cell.store.hashes["clusters"]) == ["10", "3", "4", "5"]


def test_twins_become_one_and_the_old_id_still_names_it() -> None:
    cell = Cell(cells.settings(maintenance_records=10, join=0.9))
    one, two = A, near(A, 0.88, seed=5)
    middle = (one + two) / np.linalg.norm(one + two)
    cell.add(post(0, one), post(1, two), post(2, middle), post(3, middle))
    assert cell.fold.clusters == 2
    for number in (4, 5, 6, 7):
        cell.add(post(number, near(middle, 0.995, seed=number)))
    folded = cell.add_at([(10, verdict(1, cluster_id="0-1"))], 11)
    assert folded.events["merged"] == 1
    assert folded.verdicts == {("uphold", "counted"): 1}
    assert list(cell.store.hashes["clusters"]) == ["0"]
    assert cell.store.contents().get("rivals") is None
    cell.restart()
    assert [flag.cluster_id for flag in _flags(cell.add(post(20, middle)))] == ["0-0"]
    assert cell.add(verdict(2, cluster_id="0-1", actor="bob")).verdicts == {("uphold", "counted"): 1}


def test_clusters_with_different_labels_never_merge() -> None:
    cell = Cell(cells.settings(maintenance_records=10, join=0.9))
    one, two = A, near(A, 0.88, seed=5)
    middle = (one + two) / np.linalg.norm(one + two)
    cell.add(post(0, one), post(1, two), verdict(1, post_id="post-0"))
    cell.add(verdict(2, post_id="post-1", policy="spam"))
    for number in (4, 5, 6, 7):
        cell.add(post(number, near(middle, 0.995, seed=number)))
    folded = cell.add_at([(10, post(10, C))], 11)
    assert folded.events["merged"] == 0
    assert {"0", "1"} <= set(cell.store.hashes["clusters"])


def test_members_are_bounded_and_the_oldest_are_forgotten() -> None:
    cell = Cell(cells.settings(members=3))
    cell.add(*(post(n, A) for n in range(5)))
    assert sorted(cell.store.hashes["members"]) == ["2", "3", "4"]
    assert cell.add(verdict(1, post_id="post-0")).verdicts == {("uphold", "waiting"): 1}
    assert cell.add(verdict(2, post_id="post-4")).verdicts == {("uphold", "counted"): 1}


def test_a_late_post_counts_at_the_clock() -> None:
    cell = Cell()
    cell.add(post(0, A, time=START + 1_000_000), post(1, A, time=START - 9_000_000))
    entry = Entry("clusters", "0", cell.store.hashes["clusters"]["0"])
    value = codec.decode(codec.ClusterValue, entry)
    assert (value.weight, value.time) == (2.0, START + 1_000_000)


@pytest.mark.parametrize("time", [-(10**17), 10**17])
def test_a_time_beyond_any_calendar_is_written_as_the_nearest_there_is(time: int) -> None:
    (found,) = _decisions(Cell().add(post(0, A, time=time)))
    assert found.decided_at in {"0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"}


@pytest.mark.parametrize(("offsets", "position"), [([4], 6), ([5, 5], 7), ([6, 5], 7), ([5], 5), ([], 4)])
def test_offsets_out_of_order_are_refused(offsets: list[int], position: int) -> None:
    cell = Cell(position=5)
    with pytest.raises(ValueError, match="log offsets must ascend from the position 5"):
        cell.add_at([(offset, post(n, A)) for n, offset in enumerate(offsets)], position)


@pytest.mark.parametrize(
    "entry",
    [
        Entry("clusters", "0", b"\xc1"),
        Entry("clusters", "zero", codec.encode(codec.ClusterValue(1.0, 1.0, b"\0" * 4 * SIZE, 0, 1, 0, 0, ()))),
        Entry("clusters", "0", codec.encode(codec.ClusterValue(1.0, 1.0, b"\0" * 4, 0, 1, 0, 0, ()))),
        Entry("clusters", "0", codec.encode(codec.ClusterValue(1.0, 1.0, b"\0" * 4 * SIZE, 0, 1, 0, 0, (9,)))),
        Entry("rivals", "1-2", codec.encode(1)),
        Entry("labels", "x:scam", codec.encode(codec.LabelValue("none", 0.0, 0, 0))),
        Entry("evidence", "v", codec.encode(codec.EvidenceValue(0, "scam", "ada", bool(1), "p", "p", 1, 0, b"\0"))),
    ],
)
def test_damaged_state_is_refused_by_name(entry: Entry) -> None:
    cell = Cell()
    with pytest.raises(CodecError, match=f"the state in Redis is damaged: {entry.kind} {entry.field}"):
        cell.fold.restore([entry])


SMALL = {"maintenance_records": 13, "members": 4, "exemplars": 2, "maximum_clusters": 9, "fade_weight": 0.1}


def random_log(rng: random.Random, count: int) -> list[tuple[int, Record]]:
    """Everything a log may hold, with gaps between the offsets, and time that jumps."""
    centres = list(directions(3, seed=rng.randrange(100)))
    centres += [near(centre, 0.88, seed=5) for centre in centres]
    centres += [(one + two) / lengths(one + two) for one, two in zip(centres[:3], centres[3:], strict=True)]
    log: list[tuple[int, Record]] = []
    offset, number, time = rng.randrange(50), 0, START
    for _ in range(count):
        offset += rng.choice((1, 1, 1, 2, 7))
        time += rng.choice((0, 1_000, 1_000, -500, 200_000))
        what = rng.random()
        if what < 0.70:
            vector = near(centres[rng.randrange(9)], rng.choice((0.8, 0.93, 0.99)), seed=rng.randrange(1_000))
            log.append((offset, post(number, vector, time=time)))
            number += 1
        elif what < 0.75:
            log.append((offset, dead(number)))
            number += 1
        elif what < 0.80:
            log.append((offset, post(rng.randrange(number + 1), centres[0])))
        elif what < 0.82:
            erased = f"post-{rng.randrange(number + 1)}"
            log.append((offset, EraseRecord(post_id=erased, time=time, erase_id=str(offset))))
        elif what < 0.83:
            promote = rng.choice((0.6, 0.8))
            new = cells.rules(Policy(name="scam", promote=promote), **SMALL, join=rng.choice((0.8, 0.9)))
            rows = np.stack(centres[:3]).astype("<f2").tobytes()
            lists = rng.choice((None, SearchLists(size=cells.SIZE, probes=rng.choice((1, 2)), directions=rows)))
            log.append((offset, SettingsRecord(time=time, settings=msgspec.structs.replace(new, lists=lists))))
        else:
            decision = rng.choice(("uphold", "uphold", "overturn"))
            target = {"post_id": f"post-{rng.randrange(number + 1)}"}
            if rng.random() < 0.3:
                target = {"cluster_id": f"0-{rng.randrange(offset + 1)}"}
            actor, policy = rng.choice("ab"), rng.choice(("scam", "spam"))
            log.append((offset, verdict(offset, decision, actor=actor, policy=policy, time=time, **target)))
    return log


def run_log(
    log: list[tuple[int, Record]], cuts: list[int], *, restarts: bool
) -> tuple[bytes, StoreInMemory, Counter[str]]:
    cell = Cell(cells.settings(**SMALL, join=0.9))
    outputs, events = [], Counter[str]()
    for start, stop in zip([0, *cuts], [*cuts, len(log)], strict=True):
        part = log[start:stop]
        if part:
            folded = cell.add_at(part, part[-1][0] + 1)
            outputs += [(output.kind, output.key, output.payload, output.timestamp) for output in folded.outputs]
            events += folded.events
        if restarts:
            cell.restart()
    return msgspec.json.encode(outputs), cell.store, events


@settings(max_examples=40, deadline=None)
@given(st.integers(min_value=0, max_value=10**6), st.data())
def test_cuts_and_restarts_change_no_byte(seed: int, data: st.DataObject) -> None:
    log = random_log(random.Random(seed), 90)
    cuts = sorted(data.draw(st.lists(st.integers(min_value=0, max_value=len(log)), max_size=12)))
    outputs, store, events = run_log(log, [], restarts=False)
    for restarts in (False, True):
        again, other, same_events = run_log(log, cuts, restarts=restarts)
        assert again == outputs
        assert same_events == events
        assert other.contents() == store.contents()


def test_the_random_logs_reach_everything_worth_cutting() -> None:
    """Without this the property above could hold because nothing happens."""
    events, kinds = Counter[str](), Counter[str]()
    for seed in range(30):
        outputs, store, found = run_log(random_log(random.Random(seed), 90), [], restarts=False)
        events += found
        kinds.update(kind for kind, *_ in msgspec.json.decode(outputs))
        kinds.update(list(store.contents()))
    assert {"opened", "joined", "merged", "evicted", "labelled", "unlabelled"} <= set(events)
    assert {"decision", "flag", "dead_letter", "redirects", "evidence", "labels", "erased"} <= set(kinds)


@pytest.mark.parametrize("restarted", [False, True])
def test_an_edited_post_is_found_by_what_is_kept_of_it(restarted: bool) -> None:
    """Of two posts with one post_id the later is no member any more: the earlier is found, also after a restart."""
    cell = Cell(cells.settings(members=1))
    cell.add(post(0, A, post_id="edited"), post(1, B, post_id="edited"), post(2, near(B, 0.95)))
    if restarted:
        cell.restart()
    cell.add(verdict(1, post_id="edited"))
    assert list(cell.store.hashes["labels"]) == ["0:scam"]
