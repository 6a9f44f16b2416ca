"""After a worker died: the posts it may have had at hand are tried in a process of their own, before anybody else.

A post that makes a decoder fault, or eats all memory, takes its process along and cannot be caught in it. What kills
the other process too is a dead letter; no post pays for a worker that was killed for another reason.
"""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from consumers.encoding.embed_alone import START_SECONDS, TriedWith, embed_alone
from consumers.kafka.lookup import record_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from confluent_kafka import Message

    from consumers.contracts.source import Source
    from consumers.encoding.work import SourceRecord
    from consumers.settings import Settings

LOOK_SECONDS = 0.02
"""Between two looks at how much memory a trial takes."""

log = structlog.get_logger()


class TrialError(RuntimeError):
    """No post can be tried: the process for it does not start."""


@dataclass(slots=True)
class _Window:
    """The suspects of a partition: its next `left` records below the offset `end`; those below `tried` have been."""

    count: int
    left: int
    end: int
    tried: int


class Suspects:
    """The records that may have killed a worker, and what came of each. `examine` is called by one thread.

    Args:
        folder: of the bundle.
        post_of: the post in a message; None where it holds none, and cannot kill anybody.
        meanwhile: called all the time while a post is tried.
    """

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        *,
        post_of: Callable[[Message], SourceRecord | None] = record_of,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        self._post_of = post_of
        self._trial = _Trial(settings, folder, meanwhile)
        self._windows: dict[int, _Window] = {}
        self._deaths: dict[tuple[int, int], str] = {}

    def expect(self, partition: int, *, start: int, count: int, end: int) -> None:
        """The first `count` records of a partition from the offset `start` on, and below `end`, are suspects."""
        self._windows[partition] = _Window(count, count, end, tried=start)

    def expected(self, partition: int) -> bool:
        """Whether there are suspects of this partition that have not been tried."""
        window = self._windows.get(partition)
        return window is not None and window.left > 0 and window.tried < window.end

    def examine(self, message: Message) -> None:
        """Try a record that is a suspect. Records of a partition come in order; one that comes again is not tried."""
        partition, offset = message.partition() or 0, message.offset() or 0
        window = self._windows.get(partition)
        if window is None or offset < window.tried:
            return
        if window.left == 0 or offset >= window.end:
            del self._windows[partition]
            return
        post = self._post_of(message)
        death = None if post is None else self._try(post)
        if self.closed:
            # it may have been cut short: a suspect it stays
            return
        window.tried, window.left = offset + 1, window.left - 1
        if death is not None:
            self._deaths[partition, offset] = death
            # they come in waves
            window.left = window.count

    @property
    def closed(self) -> bool:
        """Whether nothing is tried any more."""
        return self._trial.closed

    def death(self, source: Source) -> str | None:
        """How a record kills its process; None for one that does not, or has not been tried."""
        return self._deaths.get((source.partition, source.offset))

    def forget(self, source: Source) -> None:
        """This record is committed."""
        self._deaths.pop((source.partition, source.offset), None)

    def close(self) -> None:
        """End the process of the trials, from whichever thread."""
        self._trial.close()

    def _try(self, record: SourceRecord) -> str | None:
        place = {"partition": record.source.partition, "offset": record.source.offset}
        try:
            death = self._trial.death_by(record)
            if death == KILLED:
                # perhaps by the system, which wanted memory for others
                death = self._trial.death_by(record)
        except (TrialError, OSError) as error:
            log.error("a suspect cannot be tried", reason=str(error), **place)  # noqa: TRY400  # one line says it
            return None
        if death is not None:
            log.warning("a post kills its process", death=death, **place)
        return death


class _Trial:
    """A process that opens the bundle and embeds what it is given, one record after the other; made when needed."""

    def __init__(self, settings: Settings, folder: Path, meanwhile: Callable[[], None]) -> None:
        self._meanwhile = meanwhile
        self._with = TriedWith(folder, settings.encode, settings.media, settings.limits, settings.log)
        self._seconds = settings.encode.stuck_seconds
        self._most_bytes = settings.encode.suspect_bytes
        self._process: Any = None
        self._connection: Any = None
        self._first_bytes = 0
        self._lock = threading.Lock()
        self.closed = False

    def death_by(self, record: SourceRecord) -> str | None:
        """How the process died of this record; None when it lives.

        Raises:
            TrialError: it does not start, or is ending.
        """
        self._meanwhile()
        try:
            self._start()
            self._connection.send(record)
        except OSError:
            # it has ended while it had nothing to do
            self.close(for_good=False)
            self._start()
            self._connection.send(record)
        death = self._outcome()
        if death is not None and self.closed:
            raise TrialError("the worker ends")
        return death

    def close(self, *, for_good: bool = True) -> None:
        """End the process."""
        with self._lock:
            self.closed = self.closed or for_good
            if self._process is not None:
                self._process.kill()
                self._process.join()

    def _start(self) -> None:
        with self._lock:
            if self.closed:
                raise TrialError("the worker ends")
            if self._process is not None and self._process.is_alive():
                return
            # spawn: the child begins with the same main module as this process, and with none of its threads
            context = multiprocessing.get_context("spawn")
            self._connection, theirs = context.Pipe()
            self._process = context.Process(target=embed_alone, args=(theirs, self._with), daemon=True)
            self._process.start()
            theirs.close()
        if not self._ready():
            self.close(for_good=False)
            raise TrialError(f"the process for it is not ready after {START_SECONDS:.0f} s")
        try:
            self._connection.recv()
        except EOFError:
            self._process.join()
            raise TrialError(f"the process for it ended with {self._process.exitcode} while it started") from None
        self._first_bytes = memory_of(self._process.pid)

    def _ready(self) -> bool:
        deadline = time.monotonic() + START_SECONDS
        while not self._connection.poll(LOOK_SECONDS):
            self._meanwhile()
            if time.monotonic() > deadline:
                return False
        return True

    def _outcome(self) -> str | None:
        while not self._connection.poll(LOOK_SECONDS):
            self._meanwhile()
            taken = memory_of(self._process.pid) - self._first_bytes
            if taken > self._most_bytes:
                self.close(for_good=False)
                return f"took {taken:,} bytes of memory (encode.suspect_bytes is {self._most_bytes:,})"
        try:
            self._connection.recv()
        except (EOFError, OSError):
            self._process.join()
            return self._told(self._process.exitcode)
        return None

    def _told(self, code: int) -> str | None:
        if code >= 0:
            log.error("a trial failed, and says nothing of its post", exit_code=code)
            return None
        if -code == signal.SIGALRM:
            return f"took longer than {self._seconds:.0f} s (encode.stuck_seconds)"
        return _killed(signal.Signals(-code))


def _killed(by: signal.Signals) -> str:
    return f"killed its process: {by.name}"


KILLED = _killed(signal.SIGKILL)


def memory_of(process: int) -> int:
    """Bytes of memory that a process holds now; 0 when it is gone."""
    with suppress(OSError, IndexError, ValueError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return 0
