"""The measurement of campaigns, on streams whose groups are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.bundle import open_bundle
from tests.bundles import write_tiny_bundle
from tests.quality.campaigns import group_posts, table
from tests.quality.drawn_streams import two_campaigns

if TYPE_CHECKING:
    from pathlib import Path


def test_joined_splinters_are_the_campaigns_and_noise_makes_groups_impure(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path)
    bundle = open_bundle(tmp_path, provider="cpu", intra_op_threads=1)
    stream = two_campaigns(bundle, 300, 0.87)
    micro, joined, *split = group_posts(stream, bundle, counts=(2,))
    assert joined.rand == 1.0
    assert joined.purity == 1.0
    assert micro.rand <= joined.rand
    assert split[-1].groups == 2
    assert split[-1].purity < 1.0
    assert table([[micro, joined, *split]]).count("\n") == 1 + 2 + len(split)
