"""Embeddings of a batch -> one fused vector a post."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from consumers.steps import reasons

if TYPE_CHECKING:
    from collections.abc import Sequence

    from consumers.encoding.work import PostInWork
    from models.fusion import FusionLayout

STEP = "fuse"


def fuse(batch: Sequence[PostInWork], layout: FusionLayout) -> None:
    """Fill `vector` of every post without a failure, and free its embeddings."""
    posts = [work for work in batch if work.failure is None]
    if not posts:
        return
    present = {name: np.array([name in work.embeddings for work in posts]) for name in layout.names}
    nothing = np.zeros(layout.dimension, dtype=np.float32)
    embeddings = {name: np.stack([work.embeddings.get(name, nothing) for work in posts]) for name in layout.names}
    fused = layout.fuse(embeddings, present)
    for work, vector in zip(posts, fused, strict=True):
        work.embeddings.clear()
        if not vector.any():
            work.fail(reasons.EMBEDDING_FAILED, STEP, "every part embeds to its modality's mean")
        else:
            work.vector = vector
