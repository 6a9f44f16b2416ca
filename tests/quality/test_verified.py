"""Verified parts: pairs that agree go first, and only the nearest from the manifest's cosine on are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from tests.pictures import features
from tests.quality.originals import Generated, make
from tests.quality.recognisers import COMPACT, MAPS, VERIFIED, VerifiedPart
from tests.quality.verified import AGREED, CANDIDATES, verified_scores
from tests.quality.views import bundle, features_of, recogniser

if TYPE_CHECKING:
    from models.manifest import Verification
    from models.training.kinds import Kind

SHOWN = [features(seed)["image"] for seed in range(CANDIDATES + 2)]


def asked() -> Verification:
    return msgspec.structs.replace(bundle().manifest.verification["image"], threshold=0.7, cosine=0.5)


@pytest.mark.parametrize(("cosine", "raised"), [(0.9, True), (0.5, True), (0.4, False)])
def test_a_pair_that_agrees_is_raised_from_the_cosine_on(cosine: float, raised: bool) -> None:
    cosines = np.full((1, 2), cosine, dtype=np.float32)
    scores = verified_scores(cosines, SHOWN[:1], SHOWN[:2], asked())
    np.testing.assert_array_equal(scores, cosines + np.array([[AGREED * raised, 0.0]], dtype=np.float32))


def test_only_the_nearest_are_compared() -> None:
    falling = np.linspace(0.9, 0.6, CANDIDATES + 2, dtype=np.float32)[None]
    for place in (CANDIDATES - 1, CANDIDATES):
        scores = verified_scores(falling, [SHOWN[place]], SHOWN, asked())
        assert (scores[0, place] > AGREED) == (place < CANDIDATES)


@pytest.mark.parametrize(
    ("kind", "nothing"),
    [("image", np.full((64, 64, 3), 9, dtype=np.uint8)), ("audio", np.zeros(900, dtype=np.float32))],
)
def test_both_recognisers_look_once_and_see_the_same(kind: Kind, nothing: np.ndarray) -> None:
    items = [make(Generated(kind, "calibration", 6, number)) for number in range(2)]
    items.append(nothing)
    found = features_of(items, kind, (COMPACT, VERIFIED))
    alone = recogniser(COMPACT, kind).features(items)
    np.testing.assert_allclose(found[COMPACT], alone, atol=1e-5)
    verified = recogniser(VERIFIED, kind)
    assert isinstance(verified, VerifiedPart)
    assert not found[VERIFIED][2].any(), "what holds nothing is absent"
    scores = verified.scores(found[VERIFIED], found[VERIFIED])
    np.testing.assert_allclose(np.diagonal(scores)[:2], 1.0 + AGREED, atol=1e-3)
    assert (scores[2] == 0.0).all()


def test_a_recording_of_two_windows_has_two_maps_and_more_are_left_out() -> None:
    rng = np.random.default_rng(1)
    samples = [rng.uniform(-0.5, 0.5, 16_000 * seconds).astype(np.float32) for seconds in (5, 10, 20)]
    verified = recogniser(VERIFIED, "audio")
    assert isinstance(verified, VerifiedPart)
    given = bundle().manifest.verification["audio"]
    held = [len(one) // (given.height * given.width) for one in verified.maps(verified.features(samples))]
    assert held == [1, 2, MAPS]
