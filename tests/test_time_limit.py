"""Work in a thread of its own: what it gives, what it raises, and what happens when it hangs."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from consumers.time_limit import HangError, watched

if TYPE_CHECKING:
    from collections.abc import Callable

FOREVER_SECONDS = 10_000.0


def test_what_the_work_gives_comes_back_and_meanwhile_is_called() -> None:
    called: list[None] = []

    def work(_: Callable[[], None]) -> int:
        assert threading.current_thread() is not threading.main_thread()
        while len(called) < 2:
            time.sleep(0.001)
        return 7

    assert watched(work, longest=FOREVER_SECONDS, meanwhile=lambda: called.append(None)) == 7


def test_what_the_work_raises_is_raised() -> None:
    def work(_: Callable[[], None]) -> None:
        raise ValueError("as it is")

    with pytest.raises(ValueError, match="as it is"):
        watched(work, longest=FOREVER_SECONDS, meanwhile=lambda: None)


def test_work_without_progress_is_given_up_and_work_with_progress_is_not() -> None:
    go_on = threading.Event()

    def work(progress: Callable[[], None]) -> str:
        # together longer than a piece may take
        for _ in range(20):
            time.sleep(0.1)
            progress()
        go_on.wait()
        return "too late"

    began = time.monotonic()
    with pytest.raises(HangError, match="nothing was finished for 1 s"):
        watched(work, longest=1.0, meanwhile=lambda: None)
    go_on.set()
    assert time.monotonic() - began >= 2.0
