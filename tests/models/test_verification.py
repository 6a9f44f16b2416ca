from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.verification import MOST_MAPS, agreement, pack, unpack
from tests.pictures import features, picture, small


@given(st.integers(1, MOST_MAPS + 2).flatmap(lambda count: arrays(np.uint8, (count, 16, 18))))
def test_features_say_what_they_are_and_hold_the_first_maps(maps: np.ndarray) -> None:
    found = unpack(pack(maps, "image"))
    assert found is not None
    assert found[1] == (16, 18)
    assert found[2] == [one.tobytes() for one in maps[:MOST_MAPS]]


@given(st.binary(max_size=600))
def test_arbitrary_bytes_are_no_features_or_whole_maps(data: bytes) -> None:
    found = unpack(data)
    if found is not None:
        assert {len(one) for one in found[2]} == {found[1][0] * found[1][1]}


@pytest.mark.parametrize(
    "other", [b"", b"\x01\x28\x28", b"\x09" + features(1)["image"][1:], features(1)["image"][:-1]]
)
def test_what_is_no_features_cannot_be_compared(other: bytes) -> None:
    assert agreement(features(1)["image"], other) is None
    assert agreement(other, features(1)["image"]) is None


def test_features_of_another_size_cannot_be_compared() -> None:
    assert agreement(features(1)["image"], pack(small(picture(1), 32)[None], "image")) is None


def test_of_several_images_the_two_that_agree_best_count() -> None:
    mine = pack(np.stack([small(picture(1)), small(picture(2))]), "image")
    theirs = pack(np.stack([small(picture(3)), small(picture(2))]), "image")
    assert agreement(mine, theirs) == pytest.approx(1.0, abs=1e-3)
    assert agreement(mine, features(4)["image"]) < 0.6  # type: ignore[operator]
