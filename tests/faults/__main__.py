"""Run the fault suite, show a table, and write docs/faults.md and build/faults.json."""

from __future__ import annotations

import argparse
import sys

from tests.faults.scenarios import load
from tests.faults.suite import run_fault, shared_servers
from tests.servers import ROOT, Missing


def main() -> int:
    """Run it; 1 when a promise was broken or a part is missing."""
    parser = argparse.ArgumentParser(prog="make faults ARGS=...", description=__doc__)
    parser.add_argument("--only", action="append", default=[], help="faults whose name holds this; may be repeated")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--mutant", default=None)
    options = parser.parse_args()
    chosen = [fault for name, fault in load().items() if not options.only or any(w in name for w in options.only)]
    good = True
    try:
        with shared_servers() as servers:
            for fault in chosen:
                for seed in range(options.first_seed, options.first_seed + options.seeds):
                    run = run_fault(fault, servers, seed, options.mutant, ROOT / "build" / "faults")
                    good &= run.good
                    print(
                        f"{fault.name} seed {seed}: {'good' if run.good else 'BROKEN'} {run.seconds:.1f} s, "
                        f"resumed {run.outcome.resumed}, {run.outcome.memory_mb:.0f} MB, {run.outcome.posts} posts",
                        flush=True,
                    )
                    for violation in run.outcome.violations:
                        print("   ", violation.invariant, violation.text[:3000], flush=True)
    except Missing as missing:
        print(f"make faults: this machine has {missing}", file=sys.stderr)
        return 1
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
