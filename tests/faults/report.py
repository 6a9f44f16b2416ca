"""The table of a run: in a terminal, as docs/faults.md, and as build/faults.json."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.faults.suite import Run

HEAD = """# Faults

Written by `make faults` itself. Every line is a fault done on purpose to real consumers in processes of their own, on
a real Kafka broker and a real Redis, while a seeded stream of posts and verdicts goes on. Afterwards a checker reads
everything and asks whether the promises of [delivery.md](delivery.md) were kept:

- I1: every input record below the committed offset has exactly one terminal outcome.
- I2: (`flag_id`, `revision`) never has two contents, and with transactions none is written twice.
- I3: committed offsets never go back; the order within a partition and a cell is kept.
- I4: the state in Redis is the fold of the log.
- I5: no write of a stale owner landed.
- I6: memory stays bounded.
- I7: progress resumes, and everything comes to its end, within the stated time.
- I8: every post after a verdict in the cell log is judged with it, and every kept post before it gets its flag or its
  retraction exactly once.

The checker folds each cell's log once more and compares every output byte for byte; what a verdict must lead to it
also counts from the stream's own truth, without the fold. Time to resume: from the end of the fault to the first
decision in the last cell that has one (or the first verdict routed, the first batch encoded); the session timeout of
these runs is {session:.0f} s, the limit {limit:.0f} s. A dash stands where nothing stood still. Several runs go on at
a time; one that was late (I7) and broke nothing else is run again with nothing beside it, which counts, and the table
names both.
"""

PROOFS_HEAD = """
## The checker, checked

The same checker on builds with one guard removed. Each must break a promise in the fault that the guard is there for,
and it does where an invariant is named. One that breaks nothing is run with two seeds more: the moment that needs
the guard does not come in every run.
"""


class Proven(NamedTuple):
    """A run of a build without a guard, and whether the checker caught it."""

    guard: str
    run: Run
    caught: bool


def table(runs: Sequence[Run], proven: Sequence[Proven]) -> Iterator[Table]:
    """For a terminal."""
    found = Table("fault", "runs", "outcome", "time to resume")
    for row in _rows(runs):
        found.add_row(row["fault"], str(row["runs"]), row["outcome"], row["resumed"])
    if runs:
        yield found
    checked = Table("guard removed", "fault", "caught by")
    for proof in proven:
        checked.add_row(proof.guard, proof.run.fault, _caught(proof))
    if proven:
        yield checked


def write(
    runs: Sequence[Run], proven: Sequence[Proven], seconds: float, folder: Path, limits: dict[str, float]
) -> None:
    """Write docs/faults.md under `folder`."""
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    lines = [HEAD.format(**limits)]
    lines.append(f"Last run: {when}, {os.cpu_count()} cores, {seconds / 60:.0f} minutes, {_total(runs)}.\n")
    lines += ["| fault | runs | outcome | time to resume | command |", "|---|---|---|---|---|"]
    lines += [
        f"| {row['fault']} | {row['runs']} | {row['outcome']} | {row['resumed']} | `{row['command']}` |"
        for row in _rows(runs)
    ]
    lines += [PROOFS_HEAD, "| guard removed | fault | caught by |", "|---|---|---|"]
    lines += [f"| {proof.guard} | {proof.run.fault} | {_caught(proof)} |" for proof in proven]
    (folder / "docs" / "faults.md").write_text("\n".join(lines) + "\n")


def write_json(runs: Sequence[Run], proven: Sequence[Proven], seconds: float, path: Path) -> None:
    """Write every run to build/faults.json."""
    content: dict[str, Any] = {
        "machine": {"cores": os.cpu_count(), "system": platform.platform()},
        "seconds": round(seconds, 1),
        "faults": _rows(runs),
        "runs": [_run(run) for run in runs],
        "mutants": [{"guard": proof.guard, "caught": proof.caught} | _run(proof.run) for proof in proven],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")


def _run(run: Run) -> dict[str, Any]:
    return {
        "fault": run.fault,
        "seed": run.seed,
        "violations": [tuple(violation) for violation in run.outcome.violations],
        "beside": None if run.beside is None else [tuple(violation) for violation in run.beside.outcome.violations],
        "resumed_seconds": run.outcome.resumed,
        "memory_mb": round(run.outcome.memory_mb),
        "posts": run.outcome.posts,
        "seconds": round(run.seconds, 1),
        "command": command(run.fault, run.seed),
    }


def command(fault: str, seed: int | None = None) -> str:
    """What repeats a fault."""
    wanted = f"--only '{fault}'" + ("" if seed is None else f" --seed {seed}")
    return f'make faults ARGS="{wanted}"'


def _rows(runs: Sequence[Run]) -> list[dict[str, Any]]:
    by_fault: defaultdict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_fault[run.fault].append(run)
    return [
        {
            "fault": fault,
            "runs": len(found),
            "outcome": _outcome(found),
            "resumed": _resumed(found),
            "command": command(fault),
        }
        for fault, found in by_fault.items()
    ]


def _outcome(runs: Sequence[Run]) -> str:
    broken = [run for run in runs if not run.good]
    beside = [run.beside for run in runs if run.beside is not None]
    late = f"; beside others {_broken(beside)}" if beside else ""
    return (f"**{_broken(broken)}**" if broken else "kept") + late


def _broken(runs: Sequence[Run]) -> str:
    names = sorted({violation.invariant for run in runs for violation in run.outcome.violations})
    return f"{', '.join(names)} broken with seed {', '.join(str(run.seed) for run in runs)}"


def _resumed(runs: Sequence[Run]) -> str:
    times = sorted(run.outcome.resumed for run in runs if run.outcome.resumed is not None)
    if not times:
        return "-"
    return f"{statistics.median(times):.1f} s" + (f" (up to {times[-1]:.1f})" if len(times) > 1 else "")


def _caught(proof: Proven) -> str:
    names = ", ".join(sorted({violation.invariant for violation in proof.run.outcome.violations}))
    return names if proof.caught else f"**not caught** ({names or 'nothing broken'})"


def _total(runs: Sequence[Run]) -> str:
    kept = sum(run.good for run in runs)
    return f"{kept} of {len(runs)} runs kept every promise"
