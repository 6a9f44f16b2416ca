"""What is done with one post before the encoders: parse, fetch, decode."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog

from consumers.encoding.work import PostInWork
from consumers.metrics import STEP
from consumers.steps import reasons
from consumers.steps.decode import decode
from consumers.steps.fetch import fetch
from consumers.steps.parse import parse

if TYPE_CHECKING:
    from consumers.encoding.work import SourceRecord
    from consumers.settings import Encode, Limits, Media
    from models.bundle import Bundle

log = structlog.get_logger()


def prepare(record: SourceRecord, bundle: Bundle, *, encode: Encode, media: Media, limits: Limits) -> PostInWork:
    """Parse, fetch and decode one post. Whatever it raises on the way is this post's failure, and nobody else's."""
    now_ms = time.time_ns() // 1_000_000
    work = PostInWork(record, time=min(record.source.timestamp, now_ms))
    step = "parse"
    try:
        with STEP.labels("parse").time():
            work = parse(record, limits, now_ms, encode.future_seconds)
        step = "fetch"
        with STEP.labels("fetch").time():
            fetch(work, media, limits)
        step = "decode"
        with STEP.labels("decode").time():
            decode(work, bundle, limits)
    except Exception as error:
        post_id = None if work.post is None else work.post.post_id
        log.exception("a step failed on a post", step=step, post_id=post_id, offset=record.source.offset)
        work.fail(reasons.INTERNAL_ERROR, step, f"{type(error).__name__}: {error}")
    return work
