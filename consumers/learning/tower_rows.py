"""Posts in files -> what the encoders of a bundle make of them and of altered copies; kept on disk."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from consumers.contracts.source import Source
from consumers.encoding.work import ABSENT, USED, SourceRecord
from consumers.posts.altered import FORM, altered_copy
from consumers.posts.files import REMEDY, count_posts, posts_at, with_media_below
from consumers.steps import reasons
from consumers.steps.decode import decode
from consumers.steps.fetch import fetch
from consumers.steps.parse import parse
from models.fusion import FusionLayout
from models.post_rows import PostRows, group_posts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from consumers.encoding.work import PostInWork
    from consumers.posts.files import PostLine
    from consumers.posts.produce import Refuse
    from consumers.settings import Settings
    from models.bundle import Bundle
    from models.tower_cache import TowerCache, View

CHUNK = 32
"""Posts that are decoded and embedded together, with their copies."""
FILE = Source("file", "file", 0, 0, 0)
"""Where such posts come from: no topic."""
_QUIET = frozenset((USED, ABSENT, reasons.NO_ENCODER))


@dataclass(slots=True)
class _Seen:
    """A post on its way: `wanted` are the views that are not kept yet."""

    line: PostLine
    digest: bytes = b""
    complaint: str | None = None
    views: dict[int, View] = field(default_factory=dict)
    wanted: dict[int, PostInWork] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EmbeddedPosts:
    """`rows` and digest of every usable post; `repeated` posts equal an earlier one byte for byte, and count once."""

    rows: PostRows
    digests: tuple[bytes, ...]
    unusable: int
    repeated: int


def embed_posts(
    settings: Settings,
    bundle: Bundle,
    data: Path,
    *,
    copies: int,
    cache: TowerCache | None,
    group_by: str | None,
    refuse: Refuse,
    advance: Callable[[int, int], None],
    most: int | None = None,
) -> EmbeddedPosts:
    """Read, decode and embed posts as the consumers do.

    Args:
        settings: limits, and where media may lie besides the folder of the posts.
        bundle: its encoders are the towers.
        data: a file of JSON lines, or a folder.
        copies: altered copies of each post.
        cache: views that are there are not embedded again, and new ones are put there.
        group_by: an attribute of the posts that says what a post shows; posts without it are grouped by likeness.
        refuse: told of what cannot be used: where, why, what to do.
        advance: told how many posts are done, of how many lines, now and then.
        most: no more posts than these.

    Raises:
        SettingsError, OSError: nothing can be read there.
    """
    settings = with_media_below(settings, data)
    whole = count_posts(data)
    lines = islice(posts_at(data, settings.limits.post_bytes, refuse), most)
    kept: dict[bytes, _Seen] = {}
    unusable = repeated = done = 0
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        while chunk := list(islice(lines, CHUNK)):
            for seen in _embedded(chunk, pool, settings, bundle, copies, cache):
                if seen.complaint is not None:
                    refuse(f"{seen.line.where}: post {seen.line.post.post_id!r}: {seen.complaint}")
                if not seen.views.get(0):
                    unusable += 1
                elif seen.digest in kept:
                    repeated += 1
                else:
                    seen.line = dataclasses.replace(seen.line, value=b"")  # its media are no longer needed
                    kept[seen.digest] = seen
            done += len(chunk)
            advance(done, whole)
    rows = _rows(list(kept.values()), bundle, 1 + copies, group_by)
    return EmbeddedPosts(rows, tuple(kept), unusable, repeated)


def _embedded(
    chunk: Sequence[PostLine],
    pool: ThreadPoolExecutor,
    settings: Settings,
    bundle: Bundle,
    copies: int,
    cache: TowerCache | None,
) -> list[_Seen]:
    kinds = {str(modality.kind) for modality in bundle.manifest.modalities}
    posts = list(pool.map(lambda line: _prepared(line, settings, bundle, kinds, copies, cache), chunk))
    new: dict[bytes, View] = {}
    wanted = [(seen, number, work) for seen in posts for number, work in seen.wanted.items()]
    views = _embed([work for _, _, work in wanted], bundle)
    for (seen, number, work), view in zip(wanted, views, strict=True):
        seen.views[number] = view
        if view and set(work.parts.values()) <= _QUIET and work.failure is None:
            new[_key(seen.digest, number)] = view
        if number == 0:
            seen.complaint = _complaint(work)
        work.inputs.clear()
    if cache is not None:
        cache.put(new)
    return posts


def _prepared(
    line: PostLine, settings: Settings, bundle: Bundle, kinds: set[str], copies: int, cache: TowerCache | None
) -> _Seen:
    seen = _Seen(line)
    work = parse(
        SourceRecord(FILE, None, line.value),
        settings.limits,
        time.time_ns() // 1_000_000,
        settings.encode.future_seconds,
    )
    fetch(work, settings.media, settings.limits)
    if work.failure is not None:
        seen.complaint = _complaint(work)
        return seen
    seen.digest = _digest(work)
    for number in range(1 + copies):
        known = None if cache is None else cache.get(_key(seen.digest, number))
        if known is not None:
            seen.views[number] = known
            continue
        if number == 0:
            copy = dataclasses.replace(work, files=dict(work.files), parts=dict(work.parts))
        else:
            words = tuple(np.frombuffer(seen.digest, dtype=np.uint32).tolist())
            copy = altered_copy(work, kinds, (number, *words))
        decode(copy, bundle, settings.limits)
        seen.wanted[number] = copy
    return seen


def _digest(work: PostInWork) -> bytes:
    """Of what encoders see of a post."""
    digest = hashlib.sha256()
    post = work.post
    told = [("caption", (post.caption or "").encode() if post else b"")]
    told += [(f"vector {name}", np.array(v).tobytes()) for name, v in sorted(post.vectors.items())] if post else []
    told += [(kind, file) for kind, files in sorted(work.files.items()) for file in files]
    for name, value in told:
        digest.update(f"{name} {len(value)} ".encode())
        digest.update(value)
    return digest.digest()


def _key(digest: bytes, number: int) -> bytes:
    return hashlib.sha256(digest + bytes((number, FORM if number else 0))).digest()


def _embed(works: Sequence[PostInWork], bundle: Bundle) -> list[View]:
    """Every item of every view by itself; averages are taken later."""
    views: list[View] = [{} for _ in works]
    with bundle.lock:
        for name, encoder in bundle.encoders.items():
            here = [number for number, work in enumerate(works) if work.failure is None and name in work.inputs]
            for number, rows in _rows_of(encoder, [list(works[number].inputs[name]) for number in here], here):
                if np.isfinite(rows).all():
                    views[number][name] = rows
                else:
                    works[number].parts[name] = reasons.EMBEDDING_FAILED
    return views


def _rows_of(encoder: Any, items: list[list[Any]], numbers: list[int]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    if not items:
        return
    rows = encoder.embed([item for given in items for item in given])
    places = np.cumsum([len(given) for given in items])[:-1]
    yield from zip(numbers, np.split(rows, places), strict=True)


def _complaint(work: PostInWork) -> str | None:
    """What of a post cannot be used, and what to do; None where all of it can."""
    if work.failure is not None:
        return f"{work.failure.reason}: {work.failure.detail}; {REMEDY}"
    dropped = [f"{name} {reason}" for name, reason in sorted(work.parts.items()) if reason not in _QUIET]
    return f"{', '.join(dropped)}; mend it, or it counts without" if dropped else None


def _rows(posts: list[_Seen], bundle: Bundle, views: int, group_by: str | None) -> PostRows:
    names = tuple(modality.name for modality in bundle.manifest.modalities)
    items, counts = {}, {}
    for name in names:
        found = [[seen.views.get(number, {}).get(name) for number in range(views)] for seen in posts]
        there = [rows for line in found for rows in line if rows is not None]
        if not there:
            continue
        items[name] = np.concatenate(there)
        counts[name] = np.array([[0 if rows is None else len(rows) for rows in line] for line in found])
    ids = tuple(seen.line.post.post_id for seen in posts)
    rows = PostRows(ids, items, counts, np.arange(len(posts)))
    if not items:
        return rows
    told = {}
    if group_by is not None:
        told = {
            p.line.post.post_id: p.line.post.attributes[group_by] for p in posts if group_by in p.line.post.attributes
        }
    return dataclasses.replace(rows, groups=group_posts(rows, FusionLayout.of(bundle.manifest), told))
