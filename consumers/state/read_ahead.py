"""Reading the next pieces of something while the last one is worked on."""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

T = TypeVar("T")

AHEAD = 2
"""Pieces read and not taken yet, at most."""

TURN_SECONDS = 0.1
"""How soon a reader notices that nobody takes any more."""


def read_ahead(pieces: Iterator[T]) -> Generator[T, None, None]:
    """The same pieces, read by a thread of their own from the first `next` on; what it raises is raised here."""
    read: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(AHEAD)
    done = threading.Event()

    def put(piece: T | None, error: BaseException | None) -> None:
        while not done.is_set():
            with suppress(queue.Full):
                read.put((piece, error), timeout=TURN_SECONDS)
                return

    def run() -> None:
        try:
            for piece in pieces:
                put(piece, None)
                if done.is_set():
                    return
            put(None, StopIteration())
        except BaseException as error:  # noqa: BLE001  # raised where it is waited for
            put(None, error)

    thread = threading.Thread(target=run, name="read-ahead", daemon=True)
    thread.start()
    try:
        while True:
            piece, error = read.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            assert piece is not None  # noqa: S101  # a piece or an error
            yield piece
            del piece
    finally:
        done.set()
        thread.join()
