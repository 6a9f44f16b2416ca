"""Progress of a long run: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Advance = "Callable[[int, str], None]"
"""Called with how many steps were done since the last call and a short note."""

SECONDS_BETWEEN_LINES = 20.0


@contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[int, str], None]]:
    """Show how far `title` has come; yields the function that advances it by some steps, with a note."""
    console = Console(stderr=True)
    if console.is_terminal:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, TimeRemainingColumn(), TextColumn("{task.fields[note]}"), console=console) as bar:
            task = bar.add_task(title, total=total, note="")
            yield lambda steps, note: bar.update(task, advance=steps, note=note)
    else:
        yield _lines(title, total)


def _lines(title: str, total: int) -> Callable[[int, str], None]:
    started = last = time.monotonic()
    done = 0

    def advance(steps: int, note: str) -> None:
        nonlocal done, last
        done += steps
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES or done >= total:
            last = now
            print(f"{title}: {done}/{total} after {now - started:.0f} s {note}", file=sys.stderr, flush=True)

    return advance
