"""Results on standard output: tables for people, JSON lines for programs."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from consumers.checks.findings import Finding

_WIDTH_WITHOUT_TERMINAL = 160


def console() -> Console:
    """Standard output; wide enough for a table when it is a pipe."""
    return Console(width=None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL, highlight=False, emoji=False)


def print_json(value: Any) -> None:
    """One JSON line."""
    print(msgspec.json.encode(value).decode(), flush=True)  # noqa: T201  # the command's result


def print_rows(rows: Iterable[Mapping[str, Any]], *, as_json: bool, empty: str) -> None:
    """A table with the rows' keys as columns, or one JSON line a row. `empty` is said when there is no row."""
    if as_json:
        for row in rows:
            print_json(row)
        return
    found = list(rows)
    if not found:
        console().print(empty)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in found[0]:
        values = {type(row[name]) for row in found} - {type(None)}
        table.add_column(name, justify="right" if values and values <= {int, float} else "left", overflow="fold")
    for row in found:
        table.add_row(*(_cell(value) for value in row.values()))
    console().print(table)


def print_findings(findings: Iterable[Finding], *, as_json: bool) -> bool:
    """One line a finding, as soon as it is known; gives whether none of them is red."""
    good = True
    for finding in findings:
        good = good and finding.state != "bad"
        if as_json:
            print_json(finding)
        else:
            console().print(finding.line(), soft_wrap=True)
    return good


@contextmanager
def progress_bar(text: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error while it is a terminal; give it what is done and how much there is."""
    err = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=err, transient=True, disable=not err.is_terminal,
    ) as progress:  # fmt: skip
        task = progress.add_task(text, total=None)
        yield lambda done, whole: progress.update(task, completed=done, total=whole)


def warnings_on_stderr() -> None:
    """What the command has to warn of must not stand among its results."""
    import structlog  # noqa: PLC0415  # few commands need it, and it is a fifth of the time of `shoal --help`

    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def print_fields(fields: Mapping[str, Any], *, as_json: bool) -> None:
    """One thing, a field a line."""
    if as_json:
        print_json(fields)
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in fields.items():
        table.add_row(name, _cell(value))
    console().print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, dict):
        return "  ".join(f"{name} {_cell(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return "  ".join(_cell(item) for item in value)
    return escape(str(value))
