"""How many posts a second the encoders alone would take: the measure beside which the whole job's rate stands."""

from __future__ import annotations

import copy
import time
from typing import TYPE_CHECKING

from consumers.bundles import open_encoders
from consumers.contracts.source import Source
from consumers.encoding.work import PostInWork, SourceRecord
from consumers.steps.decode import decode
from consumers.steps.embed import embed
from consumers.steps.fetch import fetch
from consumers.steps.parse import parse

if TYPE_CHECKING:
    from consumers.settings import Settings
    from models.bundle import Bundle

SECONDS = 2.0


def measure_encoders(settings: Settings, posts: list[bytes]) -> float | None:
    """Posts a second through the encoders, over and over the same decoded posts; None without posts.

    Args:
        settings: the same bundle, provider, threads and batch size as the worker's.
        posts: posts as they stand in the topic.
    """
    bundle = open_encoders(settings)
    decoded = [work for value in posts if (work := decoded_post(settings, bundle, value)).failure is None]
    if not decoded:
        return None
    size = settings.encode.batch_posts
    batches = [decoded[start : start + size] for start in range(0, len(decoded), size)]
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        for batch in batches:
            embed([fresh(work) for work in batch], bundle)
            done += len(batch)
    return done / (time.perf_counter() - start)


def decoded_post(settings: Settings, bundle: Bundle, value: bytes) -> PostInWork:
    """A post of the topic as the embed step gets it."""
    record = SourceRecord(Source("posts", "", 0, 0, 0), None, value)
    work = parse(record, settings.limits, 0, settings.encode.future_seconds)
    fetch(work, settings.media, settings.limits)
    decode(work, bundle, settings.limits)
    return work


def fresh(work: PostInWork) -> PostInWork:
    """The same post before it is embedded: embedding frees what it used up."""
    again = copy.copy(work)
    again.inputs, again.parts, again.features = dict(work.inputs), dict(work.parts), dict(work.features)
    return again
