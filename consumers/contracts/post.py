"""A post: what a platform publishes and Shoal decides on."""

from __future__ import annotations

from typing import Literal

import msgspec

SCHEMA = "shoal.post/1"


class Media(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An image or audio part, inline as base64 in `data` or by `uri` below a configured prefix.

    Attributes:
        media_id: the platform's id; only repeated in reports.
        kind: `image` or `audio`; any other kind drops the part.
        content_type: what the sender says it is; the bytes decide.
        data: the file in base64.
        uri: where the file is, when it is not inline.
        sha256: digest of the file in hexadecimal; when given it must match.
    """

    media_id: str | None = None
    kind: str
    content_type: str | None = None
    data: str | None = None
    uri: str | None = None
    sha256: str | None = None


class Post(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A post with at least one part. Unknown fields are ignored."""

    schema: Literal["shoal.post/1"] = "shoal.post/1"
    post_id: str
    created_at: str | None = None
    author: str | None = None
    surface: str | None = None
    caption: str | None = None
    media: tuple[Media, ...] = ()
    vectors: dict[str, tuple[float, ...]] = {}
    attributes: dict[str, str] = {}
