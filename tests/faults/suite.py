"""Runs faults one after the other, and writes down what became of them."""

from __future__ import annotations

import shutil
import tempfile
import time
import traceback
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bundles import write_tiny_bundle
from tests.faults.checker import Violation
from tests.faults.context import Context, Outcome, Servers
from tests.faults.stream import MODALITY
from tests.servers import kafka_broker, redis_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.scenarios import Fault


@dataclass
class Run:
    """One run of a fault with one seed.

    Attributes:
        beside: the run before, beside others, which did not come to its end in time.
    """

    fault: str
    seed: int
    outcome: Outcome
    seconds: float
    beside: Run | None = None

    @property
    def good(self) -> bool:
        """Whether every promise was kept."""
        return not self.outcome.violations

    @property
    def late(self) -> bool:
        """Whether nothing else is broken than that something did not come in time."""
        return not self.good and {violation.invariant for violation in self.outcome.violations} <= {"I7", "run"}


@contextmanager
def shared_servers() -> Iterator[Servers]:
    """A broker, a Redis and a bundle for all scenarios.

    Raises:
        Missing: this machine has no Java, no Maven or no redis-server.
    """
    with (
        tempfile.TemporaryDirectory(prefix="shoal-faults-") as folder,
        kafka_broker() as kafka,
        redis_server() as url,
    ):
        bundle = Path(folder) / "tiny"
        write_tiny_bundle(bundle, ("text", MODALITY))
        yield Servers(kafka, url, bundle)


def run_fault(
    fault: Fault,
    servers: Servers,
    seed: int,
    mutant: str | None = None,
    keep: Path | None = None,
    patience: float = 1.0,
) -> Run:
    """Run a fault once, and check.

    Args:
        patience: see Context.
        keep: where the workers' logs go when a promise is broken.
    """
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="shoal-fault-"))
    context = Context(servers, folder, seed, mutant, patience)
    with context.closing:
        try:
            fault.run(context)
            outcome = context.check()
        except Exception as error:  # noqa: BLE001  # a scenario that breaks is a fault that was not survived
            last = traceback.extract_tb(error.__traceback__)[-1]
            text = f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})"
            outcome = Outcome([Violation("run", text)], None, 0.0, 0)
    if outcome.violations and keep is not None:
        shutil.copytree(folder, keep / f"{fault.name}-{seed}".replace(" ", "-").replace("/", "-"), dirs_exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    return Run(fault.name, seed, outcome, time.monotonic() - began)
