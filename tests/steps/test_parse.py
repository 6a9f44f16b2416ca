from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.contracts.source import Source
from consumers.encoding.work import PostInWork, SourceRecord
from consumers.settings import Limits
from consumers.steps import reasons
from consumers.steps.parse import parse

NOW = 1_700_000_000_000
LIMITS = Limits(post_bytes=10_000, caption_characters=100)


def parsed(value: bytes | None, timestamp: int = NOW) -> PostInWork:
    return parse(SourceRecord(Source("posts", "id", 0, 7, timestamp), None, value), LIMITS, NOW, 60.0)


def post(**fields: Any) -> bytes:
    return json.dumps({"post_id": "p", "caption": "hello"} | fields).encode()


def reason(work: PostInWork) -> str | None:
    return None if work.failure is None else work.failure.reason


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b"\x00\x01", "not-json"),
        (post(schema="shoal.post/9"), "wrong-schema"),
        (b'{"caption": "no id"}', "invalid"),
        (post(post_id=""), "invalid"),
        (post(post_id="x" * 513), "invalid"),
        (post(caption=None), reasons.NO_PARTS),
        (post(caption=" \u200b\u200d \t"), reasons.NO_PARTS),
        (post(caption="\u0000\u0007\u001b"), reasons.NO_PARTS),
        (post(caption="\u2800\u3164\u0301"), reasons.NO_PARTS),
        (b'{"post_id": "p", "caption": "x", "deep": ' + b"[" * 9_000, "not-json"),
        (b'{"post_id": "p\xff", "caption": "x"}', "invalid"),
        (b'{"post_id": "p", "caption": "x", "vectors": {"a": [1e999]}}', "invalid"),
        (post(note="x" * 10_001), reasons.TOO_LARGE),
    ],
)
def test_what_cannot_be_decided_has_a_reason(value: bytes | None, expected: str) -> None:
    assert reason(parsed(value)) == expected


def test_control_characters_leave_the_caption_and_line_breaks_stay() -> None:
    work = parsed(post(caption="a\u0000b\u0008c\nd\u009fe"))
    assert work.post is not None
    assert work.post.caption == "abc\nde"


@pytest.mark.parametrize(
    ("escaped", "expected"),
    [
        (b"cut \\ud83d", "cut \ufffd"),
        (b"cut \\ude00 here", "cut \ufffd here"),
        (b"whole \\ud83d\\ude00", "whole \U0001f600"),
        (b"no escape \\\\ud83d", "no escape \\ud83d"),
        (b"both \\\\\\ud83d \\ud83d\\ude00", "both \\\ufffd \U0001f600"),
        (b"raw\x07bell", "rawbell"),
    ],
)
def test_captions_cut_in_the_middle_of_a_character_are_read(escaped: bytes, expected: str) -> None:
    work = parsed(b'{"post_id": "p", "caption": "' + escaped + b'"}')
    assert work.failure is None
    assert work.post is not None
    assert work.post.caption == expected
    assert work.parts == {}


def test_a_caption_that_is_not_utf8_is_dropped_and_the_media_still_count() -> None:
    work = parsed(b'{"post_id": "p", "caption": "caf\xe9 \xff", "media": [{"kind": "image", "data": ""}]}')
    assert work.failure is None
    assert work.post is not None
    assert work.post.caption is None
    assert len(work.post.media) == 1
    assert work.parts == {"text": reasons.UNDECODABLE}


def test_bytes_that_are_not_utf8_elsewhere_leave_the_caption() -> None:
    work = parsed(b'{"post_id": "p", "caption": "hello", "surface": "\xff"}')
    assert work.post is not None
    assert work.post.caption == "hello"


def test_a_byte_order_mark_does_not_matter() -> None:
    assert parsed(b"\xef\xbb\xbf" + post()).failure is None


def test_media_of_an_unknown_kind_do_not_take_the_post_along() -> None:
    assert parsed(post(media=[{"kind": "hologram", "data": ""}])).failure is None


def test_a_caption_over_the_limit_is_dropped_and_the_media_still_count() -> None:
    work = parsed(post(caption="x" * 101, media=[{"kind": "image", "data": ""}]))
    assert work.failure is None
    assert work.post is not None
    assert work.post.caption is None
    assert work.parts == {"text": reasons.TOO_LONG}


@pytest.mark.parametrize(
    ("created_at", "expected"),
    [
        (None, NOW - 5),
        ("2020-01-01T00:00:00Z", 1_577_836_800_000),
        ("2020-01-01T01:00:00+01:00", 1_577_836_800_000),
        ("2020-01-01T00:00:00", 1_577_836_800_000),
        ("2999-01-01T00:00:00Z", NOW + 60_000),
        ("1500-01-01T00:00:00Z", 0),
        ("yesterday", NOW - 5),
        ("", NOW - 5),
    ],
)
def test_the_effective_time_is_the_posts_own_clamped_to_a_minute_ahead(created_at: str | None, expected: int) -> None:
    assert parsed(post(created_at=created_at), timestamp=NOW - 5).time == expected


def test_a_forged_record_timestamp_is_clamped_too() -> None:
    assert parsed(b"not a post", timestamp=NOW * 3).time == NOW + 60_000


@given(st.binary(max_size=300))
def test_arbitrary_bytes_never_crash(value: bytes) -> None:
    work = parsed(value)
    assert (work.post is not None) or (work.failure is not None)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "post_id": st.text(max_size=5) | st.integers(),
            "caption": st.none() | st.text(max_size=120),
            "created_at": st.none() | st.text(max_size=25) | st.datetimes().map(lambda d: d.isoformat()),
            "media": st.lists(
                st.dictionaries(st.sampled_from(["kind", "data", "uri"]), st.text(max_size=5)), max_size=2
            ),
            "vectors": st.dictionaries(
                st.text(max_size=3), st.lists(st.floats(allow_nan=False), max_size=3), max_size=2
            ),
        },
    )
)
def test_anything_like_a_post_is_a_post_or_a_failure(fields: dict[str, Any]) -> None:
    work = parsed(json.dumps(fields).encode())
    assert 0 <= work.time <= NOW + 60_000
    assert work.failure is not None or work.post is not None
