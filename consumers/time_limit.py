"""Work that may hang, in a thread of its own: whoever waits for it gives up when it makes no progress."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

LOOK_SECONDS = 0.1


class HangError(RuntimeError):
    """The work made no progress for too long. Its thread cannot be ended, so the process should."""


def watched(work: Callable[[Callable[[], None]], T], *, longest: float, meanwhile: Callable[[], None]) -> T:
    """What `work` gives.

    Args:
        work: called with a function by which it says that it has finished another piece.
        longest: seconds that a piece may take.
        meanwhile: called again and again while it works.

    Raises:
        HangError: a piece took longer.
        Exception: what `work` raised.
    """
    since = time.monotonic()
    given: list[T] = []
    raised: list[Exception] = []

    def progress() -> None:
        nonlocal since
        since = time.monotonic()

    def run() -> None:
        try:
            given.append(work(progress))
        except Exception as error:  # noqa: BLE001  # raised in the thread that waits
            raised.append(error)

    thread = threading.Thread(target=run, name="watched", daemon=True)
    thread.start()
    while thread.is_alive():
        meanwhile()
        thread.join(LOOK_SECONDS)
        if thread.is_alive() and time.monotonic() - since > longest:
            raise HangError(f"nothing was finished for {longest:.0f} s")
    if raised:
        raise raised[0]
    return given[0]
