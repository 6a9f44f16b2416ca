"""Bytes of the posts topic -> a post, or the reason why it is none."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from consumers.contracts.codec import MessageError, decode_json
from consumers.contracts.post import SCHEMA, Post
from consumers.steps import reasons
from consumers.work import PostInWork, SourceRecord

if TYPE_CHECKING:
    from consumers.settings import Limits

STEP = "parse"
LONGEST_ID = 512

_decoder = msgspec.json.Decoder(Post)
_keep = {0x09, 0x0A, 0x0D}
_CONTROLS = {code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if code not in _keep}
_INVISIBLE = {"Cf", "Cc", "Zs", "Zl", "Zp", "Mn"}


def parse(record: SourceRecord, limits: Limits, now_ms: int, future_seconds: float) -> PostInWork:
    """Read a record of the posts topic.

    Args:
        limits: what a post may hold.
        now_ms: this machine's clock, milliseconds since 1970.
        future_seconds: a post dated further ahead counts as this much ahead.

    Returns:
        The post with its effective time; a failure of step `parse` when it is not a post that can be decided.
    """
    latest = now_ms + int(future_seconds * 1000)
    work = PostInWork(record, time=max(0, min(record.source.timestamp, latest)))
    size = len(record.value or b"")
    if size > limits.post_bytes:
        work.fail(reasons.TOO_LARGE, STEP, f"{size} bytes, the limit is {limits.post_bytes} (limits.post_bytes)")
        return work
    try:
        post = decode_json(_decoder, record.value, SCHEMA)
    except MessageError as error:
        work.fail(error.reason, STEP, str(error))
        return work
    if not post.post_id or len(post.post_id) > LONGEST_ID:
        work.fail("invalid", STEP, f"post_id must have 1 to {LONGEST_ID} characters")
        return work
    work.time = max(0, min(_created_ms(post, record), latest))
    caption = _caption(post.caption, limits, work)
    work.post = msgspec.structs.replace(post, caption=caption)
    if caption is None and not post.media and not post.vectors and not work.parts.get("text"):
        work.fail(reasons.NO_PARTS, STEP, "no caption with anything to read, no media and no vectors")
    return work


def _caption(caption: str | None, limits: Limits, work: PostInWork) -> str | None:
    """The caption without control characters; None when nothing of it can be read, or it is too long."""
    if caption is None:
        return None
    if len(caption) > limits.caption_characters:
        work.parts["text"] = reasons.TOO_LONG
        return None
    cleaned = caption.translate(_CONTROLS).strip()
    if all(unicodedata.category(character) in _INVISIBLE for character in cleaned):
        return None
    return cleaned


def _created_ms(post: Post, record: SourceRecord) -> int:
    """The post's own time when it can be read, else the time of the record."""
    if post.created_at is None:
        return record.source.timestamp
    try:
        created = datetime.fromisoformat(post.created_at)
        if created.tzinfo is None:
            created = created.replace(tzinfo=UTC)
        return int(created.timestamp() * 1000)
    except (ValueError, OverflowError):
        return record.source.timestamp
