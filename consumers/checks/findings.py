"""What a check finds: one line each, with what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rich.text import Text

State = Literal["good", "hint", "bad"]

MARKS: dict[State, tuple[str, str]] = {"good": ("✓", "green"), "hint": ("!", "yellow"), "bad": ("✗", "bold red")}
PATIENCE_SECONDS = 10.0
"""Longest wait for an answer: somebody is looking at the screen."""


class CheckError(RuntimeError):
    """Something that a worker needs is not there; the message is one line with what to do."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. `remedy` says what to do; it is empty when there is nothing to do."""

    subject: str
    state: State
    text: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.subject}: {self.text}" + (f"; {self.remedy}" if self.remedy else "")

    def line(self) -> Text:
        """The finding in colour."""
        mark, style = MARKS[self.state]
        line = Text.assemble((mark, style), " ", (self.subject, "bold"), ": ", self.text)
        if self.remedy:
            line.append(f"\n    {self.remedy}", style="yellow")
        return line
