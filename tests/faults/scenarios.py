"""The faults. Each is a function that takes a Context, and is known by its name.

How to write one:

    @fault("redis flushed")
    def redis_flushed(context: Context) -> None:
        context.configure(redis=Redis(url=..., prefix="own"))    # before anything else; only if it needs its own
        context.start()                                           # a worker with all consumers, ready
        context.feeder                                            # posts and verdicts begin to flow
        ...                                                       # do it
        context.fault_over()                                      # progress is due from here on
        context.finish()                                          # waits for the end of everything, stops the workers

The suite then has the checker read everything; the scenario asserts nothing of its own, unless the fault did not
happen as it was meant: then it raises NotReached. `context.seed` varies the timing. Servers of its own go into
`context.closing` (an ExitStack). A module of scenarios is listed in `MODULES`.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.context import Context

MODULES = (
    "crash_scenarios",
    "process_scenarios",
    "kafka_scenarios",
    "posts_scenarios",
    "retention_scenarios",
    "redis_scenarios",
    "snapshot_scenarios",
)


@dataclass(frozen=True)
class Fault:
    """A scenario under its name."""

    name: str
    run: Callable[[Context], None]


FAULTS: dict[str, Fault] = {}


def fault(name: str) -> Callable[[Callable[[Context], None]], Callable[[Context], None]]:
    """Register a scenario."""

    def register(function: Callable[[Context], None]) -> Callable[[Context], None]:
        assert name not in FAULTS, name
        FAULTS[name] = Fault(name, function)
        return function

    return register


def load() -> dict[str, Fault]:
    """All faults, in the order of the table."""
    for module in MODULES:
        importlib.import_module(f"tests.faults.{module}")
    return FAULTS
