"""A simulated stream as the cell log holds it: fused vectors with their truth, encoded once and kept under build/."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

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
from models.synthetic.posts import StreamPlan, Truth, generate_stream
from tests.servers import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from consumers.work import PostInWork
    from models.bundle import Bundle

BATCH = 64


@dataclass(frozen=True, slots=True)
class EncodedStream:
    """Posts in order of time.

    Attributes:
        vectors: float16 (posts, fused dimension), as the cell log holds them.
        created: float64 (posts,), seconds from the beginning.
    """

    post_ids: list[str]
    truths: list[Truth]
    created: NDArray[np.float64]
    vectors: NDArray[np.float16]

    def __len__(self) -> int:
        return len(self.post_ids)


def encoded_stream(plan: StreamPlan) -> EncodedStream:
    """The stream of a plan through the shipped bundle; from build/streams when it has been encoded before."""
    folder = find_bundle(Settings().bundle)
    kept = ROOT / "build" / "streams" / f"{read_manifest(folder).bundle_id}-{plan.seed}-{plan.posts}-{plan.campaigns}"
    if not kept.with_suffix(".npy").exists():
        _encode(plan, folder, kept)
    notes = msgspec.json.decode(kept.with_suffix(".json").read_bytes(), type=list[tuple[str, float, Truth]])
    post_ids, created, truths = zip(*notes, strict=True)
    return EncodedStream(list(post_ids), list(truths), np.array(created), np.load(kept.with_suffix(".npy")))


def _encode(plan: StreamPlan, folder: Path, kept: Path) -> None:
    bundle = open_bundle(folder, provider="cpu", intra_op_threads=1)
    settings = Settings()
    notes: list[tuple[str, float, Truth]] = []
    batch: list[PostInWork] = []
    rows: list[NDArray[np.float16]] = []
    for made in generate_stream(plan):
        work = decoded_post(settings, bundle, msgspec.json.encode(post_of(made)))
        if work.failure is None:
            notes.append((made.post_id, made.created, made.truth))
            batch.append(work)
        if len(batch) == BATCH:
            rows += _vectors(batch, bundle)
            batch = []
    rows += _vectors(batch, bundle)
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.with_suffix(".json").write_bytes(msgspec.json.encode(notes))
    np.save(kept.with_suffix(".npy"), np.stack(rows))


def _vectors(batch: list[PostInWork], bundle: Bundle) -> list[NDArray[np.float16]]:
    embed(batch, bundle)
    fuse(batch, bundle.layout)
    assert all(work.vector is not None for work in batch)  # nothing of a simulated stream is a dead letter
    return [work.vector.astype("<f2") for work in batch if work.vector is not None]
