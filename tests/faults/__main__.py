"""Run the fault suite, show a table, and write docs/faults.md (a whole run only) and build/faults.json."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from typing import TYPE_CHECKING

from rich.console import Console

from tests.faults import report
from tests.faults.context import RESUME_SECONDS, SESSION_SECONDS
from tests.faults.proofs import PROOFS
from tests.faults.report import Proven
from tests.faults.scenarios import load
from tests.faults.suite import Run, run_fault, shared_servers
from tests.servers import ROOT, Missing

if TYPE_CHECKING:
    from tests.faults.context import Servers
    from tests.faults.scenarios import Fault

SEEDS = 3
KEPT = ROOT / "build" / "faults"
"""Logs of the workers of runs that broke a promise."""


def main() -> int:
    """Run it; 1 when a promise was broken, a mutant not caught, or a part is missing."""
    options = _options()
    # ended from outside, it takes its servers along
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    faults, began = load(), time.monotonic()
    chosen = [fault for name, fault in faults.items() if _wanted(name, options.only)]
    proofs = [proof for proof in PROOFS if _wanted(f"mutant {proof.mutant}", options.only)]
    if not chosen and not proofs:
        print(f"make faults: no fault is called {' or '.join(options.only)}; --list names them", file=sys.stderr)
        return 2
    if options.list:
        print(*(fault.name for fault in chosen), *(f"mutant {proof.mutant}" for proof in proofs), sep="\n")
        return 0
    runs: list[Run] = []
    proven: list[Proven] = []
    try:
        with shared_servers() as servers:
            for fault in chosen:
                runs += _run(fault, servers, options)
            for proof in proofs:
                run = run_fault(faults[proof.fault], servers, options.seed or 1, proof.mutant, KEPT)
                caught = bool(proof.invariants & {violation.invariant for violation in run.outcome.violations})
                proven.append(Proven(proof.mutant, run, caught))
                _tell(f"without {proof.mutant}: {run.fault}", run, "caught" if caught else "NOT CAUGHT")
    except Missing as missing:
        print(f"make faults: this machine has {missing}", file=sys.stderr)
        return 1
    seconds = time.monotonic() - began
    for table in report.table(runs, proven):
        Console().print(table)
    report.write_json(runs, proven, seconds, ROOT / "build" / "faults.json")
    if not options.only and options.seed is None:
        report.write(runs, proven, seconds, ROOT, {"session": SESSION_SECONDS, "limit": RESUME_SECONDS})
    return 0 if all(run.good for run in runs) and all(proof.caught for proof in proven) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make faults ARGS=...", description=__doc__)
    parser.add_argument("--only", action="append", default=[], help="faults whose name holds this; may be repeated")
    parser.add_argument("--seeds", type=int, default=SEEDS, help=f"runs of each fault (default {SEEDS})")
    parser.add_argument("--seed", type=int, help="one run, with this seed")
    parser.add_argument("--list", action="store_true", help="name the faults, and run none")
    return parser.parse_args()


def _wanted(name: str, only: list[str]) -> bool:
    return not only or any(part in name for part in only)


def _run(fault: Fault, servers: Servers, options: argparse.Namespace) -> list[Run]:
    runs = []
    seeds = [options.seed] if options.seed is not None else range(1, min(options.seeds, fault.runs or SEEDS) + 1)
    for seed in seeds:
        runs.append(run_fault(fault, servers, seed, keep=KEPT))
        _tell(f"{fault.name}, seed {seed}", runs[-1], "kept" if runs[-1].good else "BROKEN")
    return runs


def _tell(what: str, run: Run, outcome: str) -> None:
    resumed = "" if run.outcome.resumed is None else f", resumed in {run.outcome.resumed:.1f} s"
    print(f"{outcome:10} {what} ({run.seconds:.0f} s, {run.outcome.posts} posts{resumed})", flush=True)
    for violation in run.outcome.violations:
        print(f"           {violation.invariant}: {violation.text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
