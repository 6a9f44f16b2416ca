"""Dead letters as the command shows them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consumers.kafka.dead_letters import DeadLetter
from consumers.settings import SettingsError
from consumers.shown.dead_letters import VALUE_BYTES, details_of, place_of, row_of

LETTER = DeadLetter(
    partition=1,
    offset=42,
    timestamp=1_700_000_000_000,
    topic="posts",
    source_partition=3,
    source_offset=7,
    key=b"post-\xff",
    value=b"\xfe" * 5000,
    headers=(("trace", b"abc"), ("empty", None)),
    reason="not-json",
    step="parse",
    detail="broken at byte 0",
)


def test_a_row_names_the_place_the_origin_and_the_reason() -> None:
    assert row_of(LETTER) == {
        "place": "1:42",
        "time": "2023-11-14T22:13:20+00:00",
        "reason": "not-json",
        "step": "parse",
        "key": "post-\ufffd",
        "from": "posts:3:7",
        "bytes": 5000,
    }


def test_a_place_that_is_not_known_is_left_out() -> None:
    assert row_of(replace(LETTER, topic="verdicts", source_partition=-1, source_offset=-1))["from"] == "verdicts"


def test_details_hold_headers_and_only_the_beginning_of_the_value() -> None:
    details = details_of(LETTER)
    assert details["headers"] == {"trace": "abc", "empty": ""}
    assert len(details["value"]) == VALUE_BYTES
    assert details["detail"] == "broken at byte 0"


def test_a_letter_without_key_and_value_can_be_shown() -> None:
    letter = DeadLetter(0, 0, 0, "posts", 0, 0, None, None, (), "empty", "parse", "")
    assert details_of(letter)["bytes"] == 0


def test_a_place_is_partition_and_offset() -> None:
    assert place_of("1:42") == (1, 42)


@pytest.mark.parametrize("text", ["", "1", "1:", ":2", "a:1", "1:2:3", "-1:2", "1:٣x"])
def test_anything_else_is_no_place(text: str) -> None:
    with pytest.raises(SettingsError, match="PARTITION:OFFSET"):
        place_of(text)
