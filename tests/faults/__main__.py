"""Run the fault suite, show a table, and write docs/faults.md (a whole run only) and build/faults.json."""

from __future__ import annotations

import argparse
import queue
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from rich.console import Console

from tests.faults import report
from tests.faults.context import RESUME_SECONDS, SESSION_SECONDS
from tests.faults.proofs import PROOFS
from tests.faults.report import Proven
from tests.faults.scenarios import load
from tests.faults.suite import Run, run_fault, shared_servers
from tests.servers import ROOT, Missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.faults.context import Servers
    from tests.faults.proofs import Proof
    from tests.faults.scenarios import Fault

T = TypeVar("T")

SEEDS = 3
KEPT = ROOT / "build" / "faults"
"""Logs of the workers of runs that broke a promise."""


class MapServers(Protocol):
    """What `_side_by_side` gives."""

    def __call__(self, run: Callable[..., T], cases: Iterable[tuple[Any, ...]]) -> list[T]:
        """The results in the order of the cases."""


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
    try:
        with _side_by_side(options.jobs) as map_servers:
            # one seed after the other: a fault that starts many processes is never run beside itself
            runs = map_servers(_run, [(fault, seed) for seed in _seeds(options) for fault in chosen])
            proven = map_servers(_prove, [(proof, faults[proof.fault], options.seed or 1) for proof in proofs])
        if options.jobs > 1 and any(run.late for run in runs):
            with _side_by_side(1) as one_by_one:
                again = iter(one_by_one(_run_alone, [(faults[run.fault], run) for run in runs if run.late]))
            runs = [next(again) if run.late else run for run in runs]
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
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time (default 2); most of each is waiting")
    parser.add_argument("--list", action="store_true", help="name the faults, and run none")
    return parser.parse_args()


def _wanted(name: str, only: list[str]) -> bool:
    return not only or any(part in name for part in only)


def _seeds(options: argparse.Namespace) -> Iterable[int]:
    return [options.seed] if options.seed is not None else range(1, options.seeds + 1)


@contextmanager
def _side_by_side(jobs: int) -> Iterator[MapServers]:
    """A map of a function over cases, in their order: so many at a time, each with servers of its own."""
    free: queue.SimpleQueue[Servers] = queue.SimpleQueue()
    with ExitStack() as stack:
        for _ in range(jobs):
            free.put(stack.enter_context(shared_servers()))
        pool = ThreadPoolExecutor(jobs)
        stack.callback(pool.shutdown, cancel_futures=True)

        def map_servers(run: Callable[..., T], cases: Iterable[tuple[Any, ...]]) -> list[T]:
            def run_one(case: tuple[Any, ...]) -> T:
                servers = free.get()
                try:
                    return run(servers, *case)
                finally:
                    free.put(servers)

            return list(pool.map(run_one, cases))

        yield map_servers


def _run(servers: Servers, fault: Fault, seed: int) -> Run:
    run = run_fault(fault, servers, seed, keep=KEPT)
    _tell(f"{fault.name}, seed {seed}", run, "kept" if run.good else "BROKEN")
    return run


def _run_alone(servers: Servers, fault: Fault, broken: Run) -> Run:
    """Again, with nothing beside it: what a machine was too busy for is told apart from what is broken."""
    return replace(_run(servers, fault, broken.seed), beside=broken)


def _prove(servers: Servers, proof: Proof, fault: Fault, seed: int) -> Proven:
    """Run a fault without a guard; again with other seeds where the moment that needs the guard did not come."""
    for turn in range(seed, seed + SEEDS):
        run = run_fault(fault, servers, turn, proof.mutant, KEPT)
        caught = bool(proof.invariants & {violation.invariant for violation in run.outcome.violations})
        _tell(f"without {proof.mutant}: {run.fault}", run, "caught" if caught else "NOT CAUGHT")
        if caught:
            break
    return Proven(proof.mutant, run, caught)


def _tell(what: str, run: Run, outcome: str) -> None:
    resumed = "" if run.outcome.resumed is None else f", resumed in {run.outcome.resumed:.1f} s"
    print(f"{outcome:10} {what} ({run.seconds:.0f} s, {run.outcome.posts} posts{resumed})", flush=True)
    for violation in run.outcome.violations:
        print(f"           {violation.invariant}: {violation.text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
