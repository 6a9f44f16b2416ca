"""How a run is spread over worker processes: the long files first, test by test; the short ones file by file."""

from __future__ import annotations

import os

from xdist.scheduler import LoadScopeScheduling

LONG = (
    "tests/faults/",
    "tests/models/training/test_train.py",
    "tests/integration/",
    "tests/deploy/test_dockerfile.py",
    "tests/deploy/test_alerts_end_to_end.py",
    "tests/test_processors.py",
    "tests/test_wheel.py",
    "tests/demo/test_demo.py",
    "tests/models/export/",
    "tests/commands/",
    "tests/test_encode.py",
    "tests/test_assign.py",
)
"""What takes long, the longest first; the beginnings of paths."""

TOGETHER = (
    "tests/integration/test_bad_input.py",
    "tests/integration/test_inputs.py",
    "tests/integration/test_object_stores.py",
    "tests/models/",
    "tests/deploy/",
    "tests/test_wheel.py",
)
"""Of these, files whose tests share something that is expensive to make."""

MOST_PROCESSES = 8


class LongFirst(LoadScopeScheduling):  # type: ignore[misc]  # xdist tells no types
    """Gives the next piece of work to the process that is free; a file's expensive fixtures are made once."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return nodeid if file.startswith(LONG) and not file.startswith(TOGETHER) else file


def rank(nodeid: str) -> int:
    """The place of a test in the order of a run."""
    return next((place for place, start in enumerate(LONG) if nodeid.startswith(start)), len(LONG))


def process_count() -> int:
    """Twice the cores: most of the tests wait for a broker or a process most of the time."""
    return min(2 * len(os.sched_getaffinity(0)), MOST_PROCESSES)
