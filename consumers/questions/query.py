"""What somebody asks about, as a post that goes the way of all posts: parsed, fetched, decoded, embedded, fused."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from consumers.checks.findings import CheckError
from consumers.contracts.post import Media, Post
from consumers.contracts.source import Source
from consumers.encoding.prepare import prepare
from consumers.encoding.work import ABSENT, USED, SourceRecord
from consumers.posts.produce import encode_post
from consumers.settings import SettingsError
from consumers.steps.embed import embed
from consumers.steps.fuse import fuse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from consumers.encoding.work import PostInWork
    from consumers.settings import Settings
    from models.bundle import Bundle

_numbers = msgspec.json.Decoder(tuple[float, ...])
NOWHERE = Source("query", "query", 0, 0, 0)
"""A query has never stood in a topic."""


def query_post(
    settings: Settings, *, text: str | None, image: Path | None, audio: Path | None, vectors: Mapping[str, Path]
) -> Post:
    """A post of these parts, with its files in it; a vector's file holds a JSON list of numbers.

    Raises:
        CheckError: a file cannot be read, is too large, or is no list of numbers.
    """
    media = [
        Media(kind=kind, data=base64.b64encode(_file(path, settings.limits.media_bytes)).decode())
        for kind, path in (("image", image), ("audio", audio))
        if path is not None
    ]
    numbers = {name: _vector(path, settings.limits.media_bytes) for name, path in vectors.items()}
    return Post(post_id="query", caption=text, media=tuple(media), vectors=numbers)


def embed_query(settings: Settings, bundle: Bundle, post: Post) -> NDArray[np.float32]:
    """The fused vector of a query (size,), as the cell log would hold it: every part of it has to be usable.

    Raises:
        CheckError: a part cannot be used; the message names the reason.
    """
    work = embed_value(settings, bundle, encode_post(post)[1])
    dropped = {name: reason for name, reason in work.parts.items() if reason not in {USED, ABSENT}}
    if dropped or work.vector is None:
        told = ", ".join(f"{name}: {reason}" for name, reason in sorted(dropped.items()))
        raise CheckError(f"the query cannot be used: {told or _reason(work)}")
    return as_logged(work.vector)


def embed_value(settings: Settings, bundle: Bundle, value: bytes) -> PostInWork:
    """A post in JSON on its way through the steps of the encoding consumer, up to the fused vector or its failure."""
    record = SourceRecord(NOWHERE, None, value)
    work = prepare(record, bundle, encode=settings.encode, media=settings.media, limits=settings.limits)
    embed([work], bundle)
    fuse([work], bundle.layout)
    return work


def as_logged(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """A fused vector after the rounding to float16 that the cell log does."""
    return vector.astype("<f2").astype(np.float32)


def vector_files(given: Iterable[str]) -> dict[str, Path]:
    """`NAME=FILE` for each vector of a query.

    Raises:
        SettingsError: one is something else.
    """
    found: dict[str, Path] = {}
    for pair in given:
        name, equals, path = pair.partition("=")
        if not (name and equals and path):
            raise SettingsError(f"--vector {pair}: must be NAME=FILE, as in vibration=reading.json")
        found[name] = Path(path)
    return found


def _file(path: Path, limit: int) -> bytes:
    try:
        size = path.stat().st_size if path.is_file() else None
        file = path.read_bytes() if size is not None and size <= limit else None
    except OSError as error:
        raise CheckError(f"{path}: cannot be read ({error.strerror})") from error
    if size is None:
        raise CheckError(f"{path}: no such file")
    if file is None:
        raise CheckError(f"{path}: {size:,} bytes, the limit is {limit:,} (limits.media_bytes)")
    return file


def _vector(path: Path, limit: int) -> tuple[float, ...]:
    try:
        return _numbers.decode(_file(path, limit))
    except msgspec.DecodeError as error:
        raise CheckError(f"{path}: no JSON list of numbers: {error}") from error


def _reason(work: PostInWork) -> str:
    return "it has no part for this bundle" if work.failure is None else work.failure.detail
