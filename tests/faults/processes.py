"""Workers started in milliseconds: forked from a process that has imported everything already.

A worker's own start takes seconds, nearly all of it imports; hundreds of kills would take an hour.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import threading
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from tests.faults import worker

if TYPE_CHECKING:
    from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["consumers.run", "tests.faults.worker"])
_asking = threading.Lock()
"""Held while a process is asked for its exit code, which it gives once. Whoever starts another asks all of them too,
and of two threads that ask at the same time one would get 255."""


class Forked:
    """A worker forked from the prepared process; it ends with this one at the latest."""

    def __init__(self, arguments: list[str], environment: dict[str, str], log: Path) -> None:
        log.touch()
        self._process = _context.Process(target=worker.work, args=(arguments, environment, str(log)), daemon=True)
        with _asking:
            self._process.start()
        self.pid = self._process.pid or 0

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        with _asking:
            return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; gives its exit code."""
        wait([self._process.sentinel], timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired("worker", timeout or 0.0)
        return code

    def kill(self) -> None:
        """End it without a word, frozen or not."""
        self._process.kill()

    def send_signal(self, sig: int) -> None:
        """Send it a signal."""
        if self.poll() is None:
            os.kill(self.pid, sig)
