"""The measurement of campaigns, on streams whose groups are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.bundle import open_bundle
from models.synthetic.posts import Truth
from tests.bundles import write_tiny_bundle
from tests.cells import near
from tests.quality.campaigns import group_posts, table
from tests.quality.stream import EncodedStream

if TYPE_CHECKING:
    from pathlib import Path


def test_joined_splinters_are_the_campaigns_and_noise_makes_groups_impure(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path)
    bundle = open_bundle(tmp_path, provider="cpu", intra_op_threads=1)
    rng = np.random.default_rng(1)
    size = bundle.layout.size
    middles = rng.standard_normal((2, size))
    middles /= np.linalg.norm(middles, axis=1, keepdims=True)
    rows, truths = [], []
    for number in range(300):
        which = number % 3
        if which == 2:
            noise = rng.standard_normal(size)
            rows.append(noise / np.linalg.norm(noise))
            truths.append(Truth(None, None, "benign"))
        else:
            rows.append(near(middles[which].astype(np.float32), 0.87, number))
            truths.append(Truth(f"campaign-{which}", "scam", "violation"))
    ids = [f"post-{number}" for number in range(300)]
    stream = EncodedStream(ids, truths, np.arange(300.0), np.stack(rows).astype(np.float16))
    micro, joined, *split = group_posts(stream, bundle, counts=(2,))
    assert joined.rand == 1.0
    assert joined.purity == 1.0
    assert micro.rand <= joined.rand
    assert split[-1].groups == 2
    assert split[-1].purity < 1.0
    assert table([[micro, joined, *split]]).count("\n") == 1 + 2 + len(split)
