"""The measurement of many cells beside one, on a campaign that a border cuts in two."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.bundle import Bundle, open_bundle
from models.synthetic.posts import Truth
from tests.bundles import write_tiny_bundle
from tests.cells.small_cells import near
from tests.quality.cells import TURN, Run, Said, quality, run
from tests.quality.stream import EncodedStream

if TYPE_CHECKING:
    from pathlib import Path

POSTS = 4 * TURN
UPHELD = Said(TURN, "uphold", "scam", "ada", 0)


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    write_tiny_bundle(tmp_path)
    return open_bundle(tmp_path, provider="cpu", intra_op_threads=1)


def cut_in_two(bundle: Bundle) -> EncodedStream:
    """Variants of one post that lies on the border between two cells."""
    middle = bundle.quantizers["cells_2"].sum(axis=0)
    middle /= np.linalg.norm(middle)
    vectors = np.stack([near(middle, 0.93, seed) for seed in range(POSTS)])
    truth = Truth("gift-card", "scam", "violation")
    return EncodedStream(
        [f"post-{number}" for number in range(POSTS)],
        [truth] * POSTS,
        np.arange(POSTS, dtype=np.float64),
        vectors.astype(np.float16),
    )


def flagged(found: Run) -> set[int]:
    return {int(post_id.removeprefix("post-")) for post_id in found.tally.standing()}


def test_a_verdict_counts_on_both_sides_of_a_border_and_the_campaign_is_one(bundle: Bundle) -> None:
    stream = cut_in_two(bundle)
    one, two = (run(stream, bundle, count, [UPHELD]) for count in (1, 2))
    homes = bundle.cell_of(stream.vectors.astype(np.float32), 2)
    assert 0.2 < homes.mean() < 0.8
    assert (one.copies, two.copies) == (0, 1)
    assert set(range(TURN, POSTS)) <= flagged(one)
    assert set(range(TURN, POSTS)) <= flagged(two)
    assert len(set(one.clusters)) == len(set(two.campaigns)) == 1
    assert len(set(two.clusters)) == 2
    assert len(set(one.groups)) == len(set(two.groups)) == 1
    found = quality(stream, bundle, two, one)
    assert (found.recall, found.precision, found.campaign_rand, found.agreement) == (1.0, 1.0, 1.0, 1.0)


def test_moderators_say_the_same_whatever_the_cells_are(bundle: Bundle) -> None:
    stream = cut_in_two(bundle)
    one = run(stream, bundle, 1, None)
    assert one.said
    assert run(stream, bundle, 2, one.said).said == one.said
