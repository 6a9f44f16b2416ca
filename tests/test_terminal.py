"""Results on standard output."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import structlog

from consumers.terminal import print_fields, print_rows, warnings_on_stderr

if TYPE_CHECKING:
    import pytest

ROWS = [
    {
        "name": "[bold]a[/nonsense]",
        "posts": 3,
        "share": 0.25,
        "labels": {"scam": "x"},
        "none": None,
        "place": "verdicts:-1:a",
    }
]


def test_rows_are_a_table_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(ROWS, as_json=False, empty="nothing")
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["name", "posts", "share", "labels", "none", "place"]
    assert row.split() == ["[bold]a[/nonsense]", "3", "0.250", "scam", "x", "-", "verdicts:-1:a"]


def test_a_column_of_numbers_stands_to_the_right(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_rows([{"share": None}, {"share": 0.25}], as_json=False, empty="nothing")
    assert capsys.readouterr().out.splitlines() == ["share", "    -", "0.250"]


def test_rows_are_json_lines_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(ROWS * 2, as_json=True, empty="nothing")
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == ROWS * 2


def test_no_rows_are_a_word_for_people_and_nothing_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([], as_json=False, empty="no clusters yet")
    assert capsys.readouterr().out == "no clusters yet\n"
    print_rows([], as_json=True, empty="no clusters yet")
    assert capsys.readouterr().out == ""


def test_fields_stand_one_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_fields({"posts": 3, "recent": ["a", "b"]}, as_json=False)
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [["posts", "3"], ["recent", "a", "b"]]
    print_fields({"posts": 3}, as_json=True)
    assert capsys.readouterr().out == '{"posts":3}\n'


def test_warnings_do_not_stand_among_the_results(capsys: pytest.CaptureFixture[str]) -> None:
    warnings_on_stderr()
    log = structlog.get_logger()
    log.info("taken")
    log.warning("passed over", path="a.snapshot")
    told = capsys.readouterr()
    assert told.out == ""
    assert "passed over" in told.err
    assert "taken" not in told.err
