"""Streams of vectors that nothing was encoded for, with their truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.synthetic.posts import Truth
from tests.cells.small_cells import near
from tests.quality.stream import EncodedStream

if TYPE_CHECKING:
    from models.bundle import Bundle


def two_campaigns(bundle: Bundle, posts: int, cosine: float = 0.93) -> EncodedStream:
    """Two campaigns, and noise as every third post; posts of a campaign have this cosine to its middle."""
    rng = np.random.default_rng(3)
    size = bundle.layout.size
    middles = rng.standard_normal((2, size)).astype(np.float32)
    middles /= np.linalg.norm(middles, axis=1, keepdims=True)
    rows, truths = [], []
    for number in range(posts):
        which = number % 3
        if which == 2:
            noise = rng.standard_normal(size)
            rows.append(noise / np.linalg.norm(noise))
            truths.append(Truth(None, None, "benign"))
        else:
            rows.append(near(middles[which], cosine, 100 + number))  # no seed of the middles
            name = f"campaign-{which}"
            truths.append(Truth(name, "scam", "violation", group=name))
    ids = [f"post-{number}" for number in range(posts)]
    return EncodedStream(ids, truths, np.arange(posts, dtype=np.float64), np.stack(rows).astype(np.float16))
