"""Measure, show tables, and write build/bench.json."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import Console
from rich.table import Table

from tests.benchmarks.assign import measure_assign
from tests.benchmarks.baseline import measure_baseline
from tests.benchmarks.delivery import measure_delivery
from tests.benchmarks.encoders import measure_encoders
from tests.benchmarks.moves import measure_moves
from tests.benchmarks.pipeline import measure_pipeline
from tests.benchmarks.scale import measure_scale
from tests.benchmarks.verdicts import measure_verdicts
from tests.quality.cells import measure_cells
from tests.servers import ROOT, Missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Figures(Protocol):
    """What a group gives."""

    def numbers(self) -> dict[str, Any]:
        """For build/bench.json."""

    def rows(self) -> Iterator[tuple[str, str]]:
        """For a table."""


GROUPS: dict[str, tuple[str, Callable[[], Figures]]] = {
    "pipeline": ("the whole job beside its encoders", lambda: measure_pipeline(count=4000, seconds=30.0)),
    "assign": ("assigning alone, on one core", measure_assign),
    "baseline": ("micro-clusters beside DBSTREAM", measure_baseline),
    "scale": ("a post among more and more clusters", measure_scale),
    "delivery": ("effectively once beside at least once", lambda: measure_delivery(posts=1500, rounds=4)),
    "encoders": ("two encode processes beside one", lambda: measure_encoders(posts=1500, rounds=2)),
    "verdicts": ("how soon a verdict counts", lambda: measure_verdicts(posts=1500, seconds=60.0)),
    "moves": ("a cell moves", lambda: measure_moves({384: (1_000, 10_000, 100_000), 768: (100_000,)})),
    "cells": ("many cells beside one", measure_cells),
}
"""By name: what it is about, and what measures it with the amounts that docs/performance.md tells of."""


def main() -> int:
    """Run the groups asked for; 1 where a part is missing."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.add_argument("--only", default=",".join(GROUPS), help=f"some of {','.join(GROUPS)}; all by default")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench.json", help="where the figures go")
    options = parser.parse_args()
    names = [name.strip() for name in options.only.split(",")]
    unknown = [name for name in names if name not in GROUPS]
    if unknown:
        parser.error(f"--only {options.only}: {', '.join(unknown)} unknown; known: {', '.join(GROUPS)}")
    machine, cores = f"{_processor()}, {os.cpu_count()} cores", os.sched_getaffinity(0)
    for name in names:
        title, measure = GROUPS[name]
        try:
            figures = measure()
        except Missing as missing:
            print(f"make bench: this machine has {missing}", file=sys.stderr)
            return 1
        finally:
            os.sched_setaffinity(0, cores)  # some groups pin themselves
        table = Table("measured", "figure", title=f"{title}, on {machine}")
        for row in figures.rows():
            table.add_row(*row)
        Console().print(table)
        keep(options.json, name, figures.numbers() | {"machine": machine})
    return 0


def keep(path: Path, name: str, numbers: dict[str, Any]) -> None:
    """Put the figures of a group into the file; those of other groups stay."""
    known = json.loads(path.read_text()) if path.exists() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(known | {name: numbers}, indent=1) + "\n")


def _processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    sys.exit(main())
