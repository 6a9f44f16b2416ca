"""Decoding JSON messages: a clear reason for everything that is not one of ours."""

from __future__ import annotations

from typing import TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)

CONTENT_TYPE = ("content-type", b"application/json")


class MessageError(ValueError):
    """A message that cannot be read.

    Attributes:
        reason: one of a small closed set of names, fit for a metric label and the shoal.reason header.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class _Head(msgspec.Struct):
    schema: str = ""


_head: msgspec.json.Decoder[_Head] = msgspec.json.Decoder(_Head)


def decode_json(decoder: msgspec.json.Decoder[T], value: bytes | None, schema: str) -> T:
    """Decode `value` as a message of `schema` ("shoal.post/1"); unknown fields are ignored.

    Raises:
        MessageError: reason `empty`, `not-json`, `wrong-schema` (another name or major version) or `invalid`
            (a field is missing or of the wrong type).
    """
    if not value:
        raise MessageError("empty", "the record has no value")
    try:
        found = _head.decode(value).schema
        if found not in {"", schema}:
            raise MessageError("wrong-schema", f"schema is {found[:64]!r}, this topic takes {schema!r}")
        return decoder.decode(value)
    except msgspec.ValidationError as error:
        raise MessageError("invalid", str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MessageError("not-json", str(error)) from error
