"""What a child process runs: `shoal`, with crash points, a guard removed or another clock, as its environment says.

Everything is patched from here, so the product has no hooks for its tests:

    SHOAL_TEST_POINTS   what to do at crash points; see crash_points.install
    SHOAL_TEST_MUTANT   the guard to remove; see mutants.MUTANTS
    SHOAL_TEST_CLOCK    seconds by which this process's clock is wrong
    SHOAL_TEST_TRACE    a file to which claims, writes to Redis and crash points are noted
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time

from consumers import cli
from tests.faults import crash_points, mutants, trace


def work(arguments: list[str], environment: dict[str, str], log: str) -> None:
    """Run `shoal` with these arguments, writing to the file `log`; does not return."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    # the process that started us ends us as a daemon, yet a worker has children of its own
    multiprocessing.current_process().daemon = False
    os.environ.clear()
    os.environ.update(environment)
    _set_clock(float(environment.get("SHOAL_TEST_CLOCK", 0.0)))
    trace.install(environment.get("SHOAL_TEST_TRACE"))
    mutants.install(environment.get("SHOAL_TEST_MUTANT"))
    crash_points.install(environment.get("SHOAL_TEST_POINTS", ""))
    sys.argv = ["shoal", *arguments]
    cli.main()


def _set_clock(seconds: float) -> None:
    if seconds:
        now, now_ns = time.time, time.time_ns
        time.time = lambda: now() + seconds
        time.time_ns = lambda: now_ns() + int(seconds * 1e9)
