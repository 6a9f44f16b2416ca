"""A simulated stream as the cell log holds it: fused vectors with their truth, encoded once and kept under build/."""

from __future__ import annotations

import itertools
import zlib
from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import msgspec
import numpy as np

from consumers.bundles import find_bundle
from consumers.demo.encoder_rate import decoded_post
from consumers.demo.feed import post_of
from consumers.settings import Settings
from consumers.steps.embed import embed
from consumers.steps.fuse import fuse
from models.bundle import open_bundle
from models.manifest import read_manifest
from models.synthetic.posts import Truth, generate_stream
from tests.servers import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from consumers.encoding.work import PostInWork
    from models.bundle import Bundle
    from models.synthetic.posts import StreamPlan, SyntheticPost

BATCH = 64

Note: TypeAlias = tuple[str, float, Truth, dict[str, bytes]]
"""Of a post: its id, when it came, its truth, its features."""


@dataclass(frozen=True, slots=True)
class EncodedStream:
    """Posts in order of time.

    Attributes:
        vectors: float16 (posts, fused dimension), as the cell log holds them.
        created: float64 (posts,), seconds from the beginning.
        features: of every post by modality, for verification; none where they are not wanted.
    """

    post_ids: list[str]
    truths: list[Truth]
    created: NDArray[np.float64]
    vectors: NDArray[np.float16]
    features: list[dict[str, bytes]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.post_ids)


def encoded_stream(plan: StreamPlan) -> EncodedStream:
    """The stream of a plan through the shipped bundle; from build/streams when it has been encoded before."""
    named = "-".join(str(value) for value in astuple(plan))
    return encoded_posts(f"stream-{named}", lambda: generate_stream(plan))


def encoded_posts(name: str, made: Callable[[], Iterable[SyntheticPost]]) -> EncodedStream:
    """Posts through the shipped bundle; from build/streams when some of this name have been encoded before."""
    folder = find_bundle(Settings().bundle)
    manifest = read_manifest(folder)
    maps = sorted((kind, one.layout, one.height, one.width) for kind, one in manifest.verification.items())
    kept = ROOT / "build" / "streams" / f"{manifest.bundle_id}-{zlib.crc32(repr(maps).encode()):08x}-{name}"
    if not _vectors_of(kept).exists():
        _encode(made(), folder, kept)
    notes = msgspec.msgpack.decode(_notes_of(kept).read_bytes(), type=list[Note])
    post_ids, created, truths, features = zip(*notes, strict=True)
    vectors = np.load(_vectors_of(kept))
    return EncodedStream(list(post_ids), list(truths), np.array(created), vectors, list(features))


def _encode(made: Iterable[SyntheticPost], folder: Path, kept: Path) -> None:
    bundle = open_bundle(folder, provider="cpu", intra_op_threads=1)
    settings = Settings()
    notes: list[Note] = []
    rows: list[NDArray[np.float16]] = []
    posts = iter(made)
    while some := list(itertools.islice(posts, BATCH)):
        batch = [(one, decoded_post(settings, bundle, msgspec.json.encode(post_of(one)))) for one in some]
        usable = [(one, work) for one, work in batch if work.failure is None]
        rows += _vectors([work for _, work in usable], bundle)
        notes += [(one.post_id, one.created, one.truth, dict(work.features)) for one, work in usable]
    kept.parent.mkdir(parents=True, exist_ok=True)
    _notes_of(kept).write_bytes(msgspec.msgpack.encode(notes))
    np.save(_vectors_of(kept), np.stack(rows))


def _notes_of(kept: Path) -> Path:
    return kept.with_name(f"{kept.name}.notes")


def _vectors_of(kept: Path) -> Path:
    return kept.with_name(f"{kept.name}.npy")


def _vectors(batch: list[PostInWork], bundle: Bundle) -> list[NDArray[np.float16]]:
    embed(batch, bundle)
    fuse(batch, bundle.layout)
    assert all(work.vector is not None for work in batch)  # nothing of a simulated stream is a dead letter
    return [work.vector.astype("<f2") for work in batch if work.vector is not None]
