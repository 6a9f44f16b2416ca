"""Decoded parts -> embeddings, in few large calls. The one post that breaks a call is found and fails alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from consumers.metrics import BATCH
from consumers.steps import reasons
from models.verification import pack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from consumers.encoding.work import PostInWork
    from models.bundle import Bundle, Encoder

STEP = "embed"


class EncoderError(RuntimeError):
    """An encoder that works no more: a lost device, memory that is used up."""


def embed(batch: Sequence[PostInWork], bundle: Bundle) -> None:
    """Fill `embeddings` and `features` of every post without a failure, and free its inputs; a batch at a time.

    Several items of one modality (images of a post, windows of a recording) are averaged and brought to unit length.
    A post on which an encoder fails, or which embeds to something that is not finite, becomes a failure.

    Raises:
        EncoderError: an encoder fails on everything; nothing is decided about any post.
    """
    with bundle.lock:
        for name, encoder in bundle.encoders.items():
            posts = [work for work in batch if work.failure is None and name in work.inputs]
            if posts:
                _embed_modality(posts, name, encoder)
    for work in batch:
        work.inputs.clear()


def _embed_modality(posts: Sequence[PostInWork], name: str, encoder: Encoder) -> None:
    """Embed one modality of some posts; when that fails, halve them until the one that breaks it stands alone."""
    items: list[Any] = [item for work in posts for item in work.inputs[name]]
    try:
        rows, maps, layout = encoder.look(items)
        if not np.isfinite(rows).all():
            raise FloatingPointError("the embedding is not finite")  # handled like a failing call
    except Exception as error:  # noqa: BLE001  # whatever the encoder raises is this post's end and no other's
        if len(posts) == 1:
            _check_encoder(name, encoder)
            posts[0].fail(reasons.EMBEDDING_FAILED, STEP, f"{name}: {type(error).__name__}: {error}")
            return
        middle = len(posts) // 2
        _embed_modality(posts[:middle], name, encoder)
        _embed_modality(posts[middle:], name, encoder)
        return
    BATCH.labels(name).observe(len(items))
    start = 0
    for work in posts:
        count = len(work.inputs[name])
        work.embeddings[name] = _average(rows[start : start + count])
        if maps is not None:
            work.features[name] = pack(maps[start : start + count], layout)
        start += count


def _check_encoder(name: str, encoder: Encoder) -> None:
    """Raise when an encoder fails on its own example too: that is no post's fault, and no post may pay for it."""
    try:
        encoder.embed([encoder.example()])
    except Exception as error:
        raise EncoderError(f"the {name} encoder fails on everything: {type(error).__name__}: {error}") from error


def _average(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The direction of the mean of unit rows (k, d): float32 (d,); the first row where they cancel out."""
    mean: NDArray[np.float32] = rows.mean(axis=0)
    length = np.float32(np.linalg.norm(mean))
    unit: NDArray[np.float32] = mean / length if length > 1e-6 else rows[0]
    return unit
