"""Retrieval across modalities: the shipped bundle, a rotated space, and untrained towers."""

from __future__ import annotations

import pytest

from consumers.bundles import find_bundle
from models.bundle import open_bundle
from tests.quality.retrieval import held_out_pairs, retrieval, table

pytestmark = pytest.mark.torch

PAIRS = 60


@pytest.mark.parametrize("other", ["image", "audio"])
def test_the_joint_space_is_what_finds_pairs(other: str) -> None:
    bundle = open_bundle(find_bundle("compact"), provider="cpu", intra_op_threads=1)
    found = list(retrieval(bundle, held_out_pairs("image" if other == "image" else "audio", PAIRS)))
    assert {(one.asked, one.found) for one in found} == {("text", other), (other, "text")}
    for one in found:
        chance = 10 / PAIRS
        if one.space == "aligned":
            assert one.at_1 <= one.at_10
            assert one.at_10 > 2.5 * chance
        else:
            assert one.at_10 < 2.5 * chance
    assert table(found, PAIRS).count("\n") == 3
