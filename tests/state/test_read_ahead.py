"""A thread that reads ahead."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from consumers.state.read_ahead import AHEAD, read_ahead

if TYPE_CHECKING:
    from collections.abc import Iterator


def _failing() -> Iterator[int]:
    yield 1
    raise KeyError("broken")


def test_all_pieces_come_in_order() -> None:
    assert list(read_ahead(iter(range(100)))) == list(range(100))


def test_what_reading_raises_comes_after_what_was_read() -> None:
    pieces = read_ahead(_failing())
    assert next(pieces) == 1
    with pytest.raises(KeyError, match="broken"):
        next(pieces)


def test_nothing_is_read_further_ahead_than_said_and_nothing_when_nobody_takes_it() -> None:
    read: list[int] = []
    more = threading.Event()

    def source() -> Iterator[int]:
        for number in range(1_000):
            read.append(number)
            if number == AHEAD + 1:
                more.set()
            yield number

    pieces = read_ahead(source())
    assert next(pieces) == 0
    assert more.wait(60), "it reads on by itself"
    assert len(read) <= AHEAD + 3
    pieces.close()
    assert len(read) <= AHEAD + 3
    assert not [thread for thread in threading.enumerate() if thread.name == "read-ahead"]
