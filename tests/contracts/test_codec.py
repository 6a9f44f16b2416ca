from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.contracts.codec import MessageError, decode_json
from consumers.contracts.post import SCHEMA, Post

decoder = msgspec.json.Decoder(Post)

texts = st.text(st.characters(codec="utf-8"))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b"not json", "not-json"),
        (b'{"post_id": "1", "caption": "\xff\xfe"}', "not-json"),
        (b'{"post_id": "1"', "not-json"),
        (b'{"post_id": "1", "deep": ' + b"[" * 100_000, "not-json"),
        (b"[1, 2]", "invalid"),
        (b'{"schema": "shoal.post/2", "post_id": "1"}', "wrong-schema"),
        (b'{"schema": "another/1", "post_id": "1"}', "wrong-schema"),
        (b'{"schema": "shoal.post/1"}', "invalid"),
        (b'{"post_id": 7}', "invalid"),
        (b'{"post_id": "1", "media": [{"data": ""}]}', "invalid"),
    ],
)
def test_what_is_not_a_post_has_a_reason(value: bytes | None, reason: str) -> None:
    with pytest.raises(MessageError) as caught:
        decode_json(decoder, value, SCHEMA)
    assert caught.value.reason == reason


def test_a_post_without_schema_is_taken_as_the_current_one() -> None:
    assert decode_json(decoder, b'{"post_id": "1", "caption": "hi"}', SCHEMA).caption == "hi"


@given(st.binary())
def test_arbitrary_bytes_never_crash(value: bytes) -> None:
    try:
        decode_json(decoder, value, SCHEMA)
    except MessageError:
        pass


@given(
    st.recursive(st.none() | st.booleans() | st.floats() | texts, lambda x: st.lists(x) | st.dictionaries(texts, x))
)
def test_arbitrary_json_never_crashes(value: object) -> None:
    try:
        decode_json(decoder, json.dumps(value).encode(), SCHEMA)
    except MessageError:
        pass


@given(post_id=texts, caption=st.none() | texts, attributes=st.dictionaries(texts, texts))
def test_a_post_survives_the_wire(post_id: str, caption: str | None, attributes: dict[str, str]) -> None:
    post = Post(post_id=post_id, caption=caption, attributes=attributes)
    assert decode_json(decoder, msgspec.json.encode(post), SCHEMA) == post
