"""Measure, show a table, and write build/bench.json."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.benchmarks.pipeline import measure_pipeline
from tests.servers import ROOT, Missing


def main() -> int:
    """Run it; 1 where a part is missing."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.add_argument("--posts", type=int, default=4000, help="posts at saturation (default 4000)")
    parser.add_argument("--seconds", type=float, default=40.0, help="at each of the lower rates (default 40)")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench.json", help="where the figures go")
    options = parser.parse_args()
    try:
        figures = measure_pipeline(options.posts, options.seconds)
    except Missing as missing:
        print(f"make bench: this machine has {missing}", file=sys.stderr)
        return 1
    table = Table("measured", "figure", title=f"on {_processor()}, {os.cpu_count()} cores")
    for row in figures.rows():
        table.add_row(*row)
    Console().print(table)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(figures.numbers(), indent=1) + "\n")
    return 0


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
