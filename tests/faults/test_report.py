"""What the table says of runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.faults.checker import Violation
from tests.faults.context import Outcome
from tests.faults.report import table
from tests.faults.suite import Run


def run(seed: int, *broken: str) -> Run:
    outcome = Outcome([Violation(one, "so it was") for one in broken], None, 0.0, 10)
    return Run("frozen", seed, outcome, 1.0)


def told(*runs: Run) -> str:
    [found] = table(runs, [])
    return str(next(iter(found.columns[2].cells)))


def test_a_run_that_was_late_beside_others_and_kept_alone_is_named() -> None:
    late = run(2, "I7", "run")
    assert late.late
    assert told(run(1), replace(run(2), beside=late)) == "kept; beside others I7, run broken with seed 2"


def test_a_run_that_breaks_alone_too_is_broken() -> None:
    assert told(replace(run(2, "I7"), beside=run(2, "I7"))).startswith("**I7 broken with seed 2**")


@pytest.mark.parametrize("broken", [(), ("I2",), ("I7", "I1"), ("run", "I5")])
def test_what_breaks_any_other_promise_is_not_merely_late(broken: tuple[str, ...]) -> None:
    assert not run(3, *broken).late


def test_what_breaks_a_promise_in_time_is_broken() -> None:
    assert told(run(1), run(3, "I2")) == "**I2 broken with seed 3**"
