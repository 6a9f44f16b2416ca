"""A post that is erased leaves nothing of itself in a cell, and the others as they were."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.contracts import cell_log
from consumers.contracts.cell_log import EraseRecord, EvidenceRecord, MissingRecord
from consumers.contracts.decision import Decision
from consumers.contracts.flag import Flag
from consumers.settings import Verdicts
from consumers.state import codec
from consumers.state.codec import ClusterValue, Entry, ErasedValue
from tests.cells import small_cells as cells
from tests.cells.small_cells import SIZE, START, Cell, directions, near, post, source, verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from consumers.cells.fold import Folded
    from consumers.contracts.cell_log import Record

A, B, C = directions(3)


def erase(post_id: str, number: int = 0) -> EraseRecord:
    return EraseRecord(post_id=post_id, time=START, erase_id=f"erasure-{number}")


def entries(cell: Cell, number: int = 0) -> int:
    value = cell.store.hashes["erased"][f"erasure-{number}"]
    return codec.decode(ErasedValue, Entry("erased", "", value)).entries


def outcomes(folded: Folded) -> list[str]:
    return [output.payload.outcome for output in folded.outputs if isinstance(output.payload, Decision)]


def centroids(cell: Cell) -> dict[str, NDArray[np.float32]]:
    found = {}
    for name, data in cell.store.contents().get("clusters", {}).items():
        sums = codec.sums_of(codec.decode(ClusterValue, Entry("clusters", name, data)))
        found[name] = sums / np.linalg.norm(sums)
    return found


def assert_nothing_left(cell: Cell, post_id: str, *vectors: NDArray[np.float32]) -> None:
    """Neither its id nor its vectors stand anywhere, and no cluster is one of them alone."""
    traces = [post_id.encode(), *(vector.astype("<f2").tobytes() for vector in vectors)]
    for kind, held in cell.store.contents().items():
        for name, value in held.items():
            assert not any(trace in value or trace in name.encode() for trace in traces), (kind, name)
    for name, centroid in centroids(cell).items():
        assert all(float(centroid @ vector) < 0.9999 for vector in vectors), name


def test_a_post_leaves_its_members_and_the_sum_of_its_cluster() -> None:
    cell = Cell()
    others = [post(0, A), post(2, near(A, 0.9, seed=2))]
    cell.add(others[0], post(1, near(A, 0.9, seed=1), post_id="erased"), others[1], erase("erased"))
    without = Cell()
    without.add(others[0], others[1])
    assert entries(cell) == 1
    assert_nothing_left(cell, "erased", near(A, 0.9, seed=1))
    assert centroids(cell)["0"] == pytest.approx(centroids(without)["0"], abs=1e-3)


def test_a_cluster_of_this_post_alone_goes() -> None:
    cell = Cell()
    cell.add(post(0, A, post_id="erased"), post(1, B), erase("erased"))
    assert sorted(cell.store.contents()["clusters"]) == ["1"]
    assert outcomes(cell.add(post(2, A))) == ["clear"]


@pytest.mark.parametrize("late", [0, 10, 100_000])
def test_a_sum_that_did_not_fade_since_its_verdict_gives_the_whole_vector_back(late: int) -> None:
    """However much later the cluster was joined again."""
    cell = Cell()
    other = post(2, near(A, 0.9, seed=2), time=START + 1000 * late)
    cell.add(post(0, A, post_id="erased"), verdict(1, post_id="erased"), verdict(2, post_id="later"), other)
    cell.add(verdict(3, post_id="post-2", actor="bob"), erase("erased"))
    assert_nothing_left(cell, "erased", A)
    assert centroids(cell)["0"] == pytest.approx(near(A, 0.9, seed=2), abs=2e-3)


def test_its_evidence_goes_and_labels_follow_for_the_posts_after_it() -> None:
    cell = Cell()
    before = cell.add(post(0, A, post_id="erased"), verdict(1, post_id="erased"), post(1, near(A, 0.9)))
    assert outcomes(before) == ["clear", "flagged"]
    folded = cell.add(erase("erased"), post(2, near(A, 0.9, seed=3)))
    assert outcomes(folded) == ["clear"]
    assert not any(isinstance(output.payload, Flag) for output in folded.outputs), "an erasure is no verdict"
    assert "labels" not in cell.store.contents()
    assert folded.erased


def test_other_evidence_keeps_the_label() -> None:
    cell = Cell()
    cell.add(post(0, A, post_id="erased"), post(1, near(A, 0.95)))
    cell.add(verdict(1, post_id="erased"), verdict(2, post_id="post-1", actor="bob"), erase("erased"))
    assert outcomes(cell.add(post(2, near(A, 0.95)))) == ["flagged"]


def test_a_flagged_post_is_forgotten_too() -> None:
    cell = Cell(cells.settings(members=1))
    cell.add(post(0, A), verdict(1, post_id="post-0"), post(1, near(A, 0.9), post_id="erased"), post(2, A))
    cell.add(erase("erased"))
    assert entries(cell) == 1
    assert "erased" not in str(cell.store.contents()["flagged"])


def test_verdicts_that_wait_for_it_or_were_given_up_go_too() -> None:
    cell = Cell()
    missing = MissingRecord(cell=1, verdict=verdict(8, post_id="erased", asked=3), time=START)
    cell.add(verdict(1, post_id="erased"), missing, verdict(2, post_id="another"), erase("erased"))
    assert entries(cell) == 2
    assert_nothing_left(cell, "erased")
    assert list(cell.store.contents()["waiting"]) == ["verdict-2"]


def test_a_post_that_only_verdicts_brought_goes_with_the_cluster_they_opened() -> None:
    cell = Cell()
    carried = verdict(1, post_id="erased", vector=C.astype("<f2").tobytes(), source=source(900), cell_offset=7)
    copy = EvidenceRecord(
        verdict_id="v", decision="uphold", policy="scam", actor="eve", time=START,
        vector=B.astype("<f2").tobytes(), post="topic:0:901", post_id="erased",
    )  # fmt: skip
    cell.add(carried, copy, verdict(2, post_id="erased", actor="bob"), post(1, near(C, 0.9)), erase("erased"))
    assert_nothing_left(cell, "erased", B, C)
    assert centroids(cell)["0"] == pytest.approx(near(C, 0.9), abs=2e-3)
    assert len(centroids(cell)) == 1


def test_a_verdict_about_the_cluster_that_was_this_post_goes_too() -> None:
    cell = Cell()
    cell.add(post(0, A, post_id="erased"), verdict(1, cluster_id="0-0"), post(1, near(A, 0.9)), erase("erased"))
    assert_nothing_left(cell, "erased", A)
    assert "evidence" not in cell.store.contents()


def test_a_cluster_left_with_evidence_only_goes_on_as_that() -> None:
    cell = Cell()
    other = near(A, 0.9)
    cell.add(post(0, A, post_id="erased"))
    cell.add(verdict(1, post_id="old", vector=other.astype("<f2").tobytes(), source=source(900), cell_offset=7))
    cell.add(erase("erased"))
    assert_nothing_left(cell, "erased", A)
    assert centroids(cell)["0"] == pytest.approx(other, abs=2e-3)
    assert outcomes(cell.add(post(1, other))) == ["flagged"]


def test_all_edits_of_a_post_go() -> None:
    cell = Cell()
    cell.add(post(0, A, post_id="erased"), post(1, B, post_id="erased"), post(2, near(A, 0.9)), erase("erased"))
    assert entries(cell) == 2
    assert_nothing_left(cell, "erased", A, B)


def test_a_post_that_nobody_knows_changes_nothing_but_the_note() -> None:
    cell = Cell()
    cell.add(post(0, A), verdict(1, post_id="post-0"))
    before = cell.store.contents()
    cell.add(erase("never"))
    after = cell.store.contents()
    assert after.pop("erased")
    assert after == before
    assert entries(cell) == 0


def test_the_notes_are_bounded_also_after_a_restart() -> None:
    cell = Cell()
    cell.add(*(erase("never", number) for number in range(99)))
    cell.restart()
    cell.add(*(erase("never", number) for number in range(99, 120)))
    assert sorted(cell.store.hashes["erased"]) == sorted(f"erasure-{number}" for number in range(20, 120))


def _random_log(seed: int) -> tuple[list[Record], str, list[NDArray[np.float32]]]:
    """Posts around three directions, verdicts on them in every way, and the one that is erased in the end."""
    rng = random.Random(seed)
    records: list[Record] = []
    vectors: dict[str, list[NDArray[np.float32]]] = {}
    for number in range(rng.randrange(2, 30)):
        kind = rng.choice(["post", "post", "verdict", "carried", "cluster", "missing"])
        name = f"post-id-{rng.randrange(6)}"
        given = {"actor": rng.choice("ab"), "policy": rng.choice(["scam", "spam"])}
        decision = rng.choice(["uphold", "uphold", "overturn"])
        vector = near([A, B, C][rng.randrange(3)], rng.uniform(0.8, 0.98), seed=1000 * seed + number)
        if kind == "post":
            time = START + rng.choice([1000, 1000, 500_000]) * number
            records.append(post(number, vector, post_id=name, time=time))
            vectors.setdefault(name, []).append(vector)
        elif kind == "verdict":
            records.append(verdict(number, decision, post_id=name, **given))
        elif kind == "carried":
            data = vector.astype("<f2").tobytes()
            records.append(verdict(number, decision, post_id=name, vector=data, source=source(number, 5), **given))
            vectors.setdefault(name, []).append(vector)
        elif kind == "cluster":
            # by somebody else: one who said more about the same thing before would replace what names the post
            given["actor"] = "c"
            records.append(verdict(number, decision, cluster_id=f"0-{rng.randrange(number + 1)}", **given))
        else:
            lost = verdict(1000 + number, decision, post_id=name, asked=3, **given)
            records.append(MissingRecord(cell=1, verdict=lost, time=START))
    erased = rng.choice(sorted(vectors)) if vectors else "post-id-0"
    return records, erased, vectors.get(erased, [])


@settings(max_examples=150, deadline=None)
@given(st.integers(min_value=0, max_value=10**6), st.booleans())
def test_no_entry_holds_an_erased_post_whatever_was_said_of_it(seed: int, restarted: bool) -> None:
    records, erased, vectors = _random_log(seed)
    cell = Cell(cells.settings(verdicts=Verdicts(chunk_posts=4), maintenance_records=7, fade_weight=0.05))
    cell.add(*records)
    if restarted:
        cell.restart()
    cell.add(erase(erased))
    traces = [erased.encode(), *(vector.astype("<f2").tobytes() for vector in vectors)]
    for kind, held in cell.store.contents().items():
        for name, value in held.items():
            assert not any(trace in value or trace in name.encode() for trace in traces), (kind, name)
    cell.restart()
    cell.add(erase(erased, 1))
    assert entries(cell, 1) == 0


def test_the_random_logs_hold_the_post_in_every_way() -> None:
    held: set[str] = set()
    for seed in range(60):
        records, erased, _ = _random_log(seed)
        cell = Cell()
        cell.add(*records)
        for kind, values in cell.store.contents().items():
            if any(erased.encode() in value for value in values.values()):
                held.add(kind)
    assert held == {"members", "evidence", "flagged", "waiting", "missing"}


def test_the_record_survives_the_log() -> None:
    assert cell_log.decode(cell_log.encode(erase("p"))) == erase("p")
    assert len(A) == SIZE
