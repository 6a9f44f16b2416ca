"""What workers note down about themselves, with a clock that all processes of a machine share."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import msgspec

from consumers.state.store import StaleOwner, StateStore
from tests.faults.patching import put

if TYPE_CHECKING:
    from pathlib import Path

_file: list[int] = []


class Note(msgspec.Struct, frozen=True):
    """A line of the trace.

    Attributes:
        event: `claimed`, `wrote`, `refused`, or the name of a crash point.
        began, ended: nanoseconds of the machine's monotonic clock, around the call.
    """

    event: str
    pid: int
    began: int
    ended: int
    cell: int = -1
    token: str = ""
    expected: int | None = None
    position: int | None = None


def install(path: str | None) -> None:
    """Note claims and writes to Redis from now on, in the file at `path`; None notes nothing."""
    if path is None:
        return
    _file.append(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND))
    claim, write = StateStore.claim, StateStore.write

    def noted_claim(self: StateStore, cell: int, token: str) -> None:
        began = time.monotonic_ns()
        claim(self, cell, token)
        note("claimed", began, cell=cell, token=token)

    def noted_write(
        self: StateStore, cell: int, token: str, expected: int | None, position: int, *rest: Any, **options: Any
    ) -> Any:
        began, place = time.monotonic_ns(), {"cell": cell, "token": token, "expected": expected, "position": position}
        try:
            answer = write(self, cell, token, expected, position, *rest, **options)
        except StaleOwner:
            note("refused", began, **place)
            raise
        note("wrote" if answer == "written" else "done", began, **place)
        return answer

    put(StateStore, "claim", noted_claim)
    put(StateStore, "write", noted_write)


def note(event: str, began: int | None = None, **fields: Any) -> None:
    """Write a line; one call to the system, so that lines of several processes never mix."""
    if _file:
        now = time.monotonic_ns()
        line = Note(event, os.getpid(), now if began is None else began, now, **fields)
        os.write(_file[0], msgspec.json.encode(line) + b"\n")


def read(path: Path) -> list[Note]:
    """All that has been noted; a line that a killed process left unfinished is passed over."""
    found = []
    for line in path.read_bytes().splitlines() if path.exists() else ():
        try:
            found.append(msgspec.json.decode(line, type=Note))
        except msgspec.DecodeError:
            continue
    return found
