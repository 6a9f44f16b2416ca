"""Tables of docs/quality.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.quality.metrics import interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def share(count: int, of: int) -> str:
    """A share in percent with its 95% interval."""
    low, high = interval(count, of)
    return f"{count / of:.1%} ({low:.1%} to {high:.1%})"
