"""The checker is worth what it catches: a build without one of the guards, and one broken promise of each kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from consumers.cells.fold import Fold
from consumers.cells.fold_settings import fold_settings
from consumers.cells.outputs import keep
from consumers.contracts import cell_log
from consumers.contracts.flag import Flag
from consumers.recovery.verify import Difference
from tests.cells import small_cells as cells
from tests.faults.checker import INVARIANTS, violations
from tests.faults.found import Found, Logged, Written
from tests.faults.mutants import MUTANTS
from tests.faults.proofs import PROOFS
from tests.faults.scenarios import load
from tests.faults.stream import StreamPost
from tests.faults.suite import run_fault
from tests.faults.trace import Note

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.context import Servers
    from tests.faults.proofs import Proof

A, B = cells.directions(2)
SEEDS = (1, 2, 3)


@pytest.mark.kafka
@pytest.mark.redis
@pytest.mark.parametrize("proof", PROOFS, ids=[proof.mutant for proof in PROOFS])
@pytest.mark.timeout(900)
def test_a_build_without_a_guard_is_caught(servers: Servers, proof: Proof) -> None:
    """The guard is there for a moment that a loaded machine may miss: some run has to come upon it."""
    found: set[str] = set()
    for seed in SEEDS:
        outcome = run_fault(load()[proof.fault], servers, seed=seed, mutant=proof.mutant).outcome
        found |= {violation.invariant for violation in outcome.violations}
        if proof.invariants & found:
            return
    pytest.fail(f"not caught by any of the seeds {SEEDS}: broken was {found or 'nothing'}")


def test_there_is_a_proof_for_every_guard() -> None:
    assert {proof.mutant for proof in PROOFS} == set(MUTANTS)
    assert all(proof.fault in load() for proof in PROOFS)


def good_run() -> Found:
    """A cell with a campaign of three copies, the second of which is upheld, and a post of another kind."""
    records: list[cell_log.Record] = [
        cells.post(0, A), cells.post(1, A), cells.post(2, B), cells.verdict(3, post_id="post-1"), cells.post(4, A),
    ]  # fmt: skip
    settings = cells.settings()
    found = Found(settings=settings, manifest=cells.manifest(), quantizer=None)
    found.logs[0] = [Logged(offset, cell_log.encode(one), one) for offset, one in enumerate(records)]
    posts = {offset: one for offset, one in enumerate(records) if isinstance(one, cell_log.PostRecord)}
    found.posts = {("topic", 0, offset) for offset in posts}
    for offset, one in posts.items():
        found.published["topic", 0, offset] = StreamPost(one.post_id, "noise" if offset == 2 else "copy", 0, b"")
    found.committed = {"encode": {0: 5}, "assign": {0: 5}, "route": {0: 1}}
    found.positions = {0: 5}
    fold = Fold(fold_settings(settings, found.manifest), found.manifest, 0, position=0)
    folded = fold.fold(list(enumerate(records)), position=5)
    for output, offset in zip(folded.outputs, folded.offsets, strict=True):
        written = Written(0, keep(output, 0, offset, settings).value or b"")
        (found.flags if isinstance(output.payload, Flag) else found.decisions).append((written, output.payload))  # type: ignore[arg-type]
    return found


def broken(found: Found) -> set[str]:
    return {violation.invariant for violation in violations(found)}


def test_a_run_that_kept_every_promise_has_no_violations() -> None:
    found = good_run()
    assert violations(found) == []
    assert [(flag.post_id, flag.cause) for _, flag in found.flags] == [
        ("post-0", "retroactive"),
        ("post-1", "retroactive"),
        ("post-4", "live"),
    ]


def lose_a_decision(found: Found) -> None:
    del found.decisions[1]


def write_a_decision_twice(found: Found) -> None:
    found.decisions.append(found.decisions[-1])


def write_a_flag_twice(found: Found) -> None:
    found.flags.append(found.flags[0])


def give_a_revision_another_content(found: Found) -> None:
    written, flag = found.flags[0]
    other = msgspec.structs.replace(flag, severity="low")
    found.flags.append((Written(written.partition, msgspec.json.encode(other)), other))


def set_an_offset_back(found: Found) -> None:
    found.went_back.append("the committed offset of encode went from 5 to 3")


def swap_two_decisions(found: Found) -> None:
    found.decisions[0], found.decisions[1] = found.decisions[1], found.decisions[0]


def let_redis_differ(found: Found) -> None:
    found.differences.append(Difference("clusters", "0", "Redis lacks it"))


def leave_redis_behind(found: Found) -> None:
    found.positions[0] = 4


def write_after_a_take_over(found: Found) -> None:
    found.trace = [
        Note("claimed", 1, 10, 11, 0, "old"),
        Note("claimed", 2, 20, 21, 0, "new"),
        Note("wrote", 1, 30, 31, 0, "old", 4, 5),
    ]


def make_a_flag_up(found: Found) -> None:
    written, flag = found.flags[0]
    other = msgspec.structs.replace(flag, flag_id="made-up")
    found.flags.append((Written(written.partition, msgspec.json.encode(other)), other))


def take_too_much_memory(found: Found) -> None:
    found.memory_mb, found.most_memory_mb = 900.0, 700.0


def never_come_to_an_end(found: Found) -> None:
    found.late.append("no progress")


def lose_a_flag(found: Found) -> None:
    del found.flags[0]


@pytest.mark.parametrize(
    ("break_it", "invariant"),
    [
        (lose_a_decision, "I1"),
        (write_a_decision_twice, "I1"),
        (write_a_flag_twice, "I2"),
        (give_a_revision_another_content, "I2"),
        (set_an_offset_back, "I3"),
        (swap_two_decisions, "I3"),
        (let_redis_differ, "I4"),
        (leave_redis_behind, "I4"),
        (write_after_a_take_over, "I5"),
        (make_a_flag_up, "I5"),
        (take_too_much_memory, "I6"),
        (never_come_to_an_end, "I7"),
        (lose_a_flag, "I8"),
    ],
)
def test_a_broken_promise_is_told_under_its_invariant(break_it: Callable[[Found], None], invariant: str) -> None:
    found = good_run()
    break_it(found)
    assert invariant in broken(found)


def test_every_invariant_is_checked() -> None:
    assert list(INVARIANTS) == [f"I{number}" for number in range(1, 9)]


def test_the_truth_finds_a_flag_missing_where_the_fold_is_wrong_in_the_checker_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A fold that ignores verdicts, everywhere: its own comparison is content, the count of the truth is not."""

    def deaf(self: Fold, offset: int, record: Any, batch: Any) -> None:
        self._state.advance(record.time)

    monkeypatch.setattr(Fold, "_fold_other", deaf)
    found = good_run()
    assert found.flags == []
    assert {violation.invariant for violation in violations(found)} == {"I8"}


def test_repeated_records_are_no_violation_without_transactions() -> None:
    found = good_run()
    found.exact = False
    found.decisions.append(found.decisions[-1])
    found.flags.append(found.flags[0])
    assert violations(found) == []
