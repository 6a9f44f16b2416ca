"""Bytes of the posts topic -> a post, or the reason why it is none."""

from __future__ import annotations

import json
import unicodedata
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from consumers.contracts.codec import MessageError, decode_json
from consumers.contracts.post import SCHEMA, Post
from consumers.encoding.work import PostInWork, SourceRecord
from consumers.steps import reasons

if TYPE_CHECKING:
    from consumers.settings import Limits

STEP = "parse"
LONGEST_ID = 512

_decoder = msgspec.json.Decoder(Post)
_keep = {0x09, 0x0A, 0x0D}
_CONTROLS = {code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if code not in _keep}
_INVISIBLE = {"Cf", "Cc", "Zs", "Zl", "Zp", "Mn"}
_FILLERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and signs, by their category, that show nothing."""

REPLACEMENT = "\ufffd"


def parse(record: SourceRecord, limits: Limits, now_ms: int, future_seconds: float) -> PostInWork:
    """Read a record of the posts topic.

    Its effective time is `created_at` where that can be read (without a zone it is UTC), else Kafka's timestamp, and
    in any case between 1970 and `future_seconds` ahead. Half surrogate pairs become U+FFFD; bytes that are not UTF-8
    drop the caption they stand in.

    Args:
        record: as it was read.
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
        post, text = _post(record.value)
    except MessageError as error:
        work.fail(error.reason, STEP, str(error))
        return work
    if not post.post_id or len(post.post_id) > LONGEST_ID or (not text and REPLACEMENT in post.post_id):
        work.fail(reasons.INVALID, STEP, f"post_id must have 1 to {LONGEST_ID} characters")
        return work
    work.time = max(0, min(_created_ms(post, record), latest))
    if not text and REPLACEMENT in (post.caption or ""):
        work.parts["text"] = reasons.UNDECODABLE
        post = msgspec.structs.replace(post, caption=None)
    caption = _caption(post.caption, limits, work)
    work.post = msgspec.structs.replace(post, caption=caption)
    if caption is None and not post.media and not post.vectors and "text" not in work.parts:
        work.fail(reasons.NO_PARTS, STEP, "no caption with anything to read, no media and no vectors")
    return work


def _post(value: bytes | None) -> tuple[Post, bool]:
    """The post, and whether its bytes are UTF-8.

    Raises:
        MessageError: there is no post in it.
    """
    try:
        return decode_json(_decoder, value, SCHEMA), True
    except MessageError as error:
        if value is None or error.reason != "not-json":
            raise
        mended = _mended(value)
        if mended is None:
            raise
        return decode_json(_decoder, mended, SCHEMA), _is_utf8(value)


def _mended(value: bytes) -> bytes | None:
    """What a lenient reader makes of JSON with half surrogate pairs or bytes that are not UTF-8, in proper JSON.

    None when that is not JSON either. Phones cut captions in the middle of an emoji.
    """
    try:
        content = json.loads(value.decode("utf-8-sig", "replace"), strict=False)
        text = json.dumps(content, ensure_ascii=False)
    except (ValueError, RecursionError):
        return None
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _caption(caption: str | None, limits: Limits, work: PostInWork) -> str | None:
    """The caption without control characters; None when nothing of it can be read, or it is too long."""
    if caption is None:
        return None
    if len(caption) > limits.caption_characters:
        work.parts["text"] = reasons.TOO_LONG
        return None
    cleaned = caption.translate(_CONTROLS).strip()
    shown = any(unicodedata.category(sign) not in _INVISIBLE and sign not in _FILLERS for sign in cleaned)
    return cleaned if shown else None


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
