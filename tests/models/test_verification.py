from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.folded_text import letter_maps
from models.verification import MOST_MAPS, Layout, agreement, pack, pairs, unpack
from tests.pictures import features, picture, small
from tests.sounds import mapped, notes, sound_features


@given(
    st.integers(1, MOST_MAPS + 2).flatmap(lambda count: arrays(np.uint8, (count, 16, 18))),
    st.sampled_from(get_args(Layout)),
)
def test_features_say_what_they_are_and_hold_the_first_maps(maps: np.ndarray, layout: Layout) -> None:
    found = unpack(pack(maps, layout))
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


def test_maps_of_another_layout_cannot_be_compared_though_their_sides_are_the_same() -> None:
    one, two = pack(small(picture(1))[None], "image"), pack(small(picture(1))[None], "sound")
    assert agreement(one, two) is None
    assert pairs(one, two) == 0
    assert pairs(two, two) == 1


def test_of_several_windows_of_sound_the_two_that_agree_best_count() -> None:
    mine = pack(np.stack([mapped(notes(1)), mapped(notes(2))]), "sound")
    agreed = agreement(mine, sound_features(2)["audio"])
    assert agreed == agreement(sound_features(2)["audio"], sound_features(2)["audio"])
    assert agreement(mine, sound_features(4)["audio"]) < 0.5 < agreed  # type: ignore[operator]


def test_letters_of_texts_are_compared_as_such() -> None:
    one, two, other = (pack(letter_maps([text], 16, 24), "text") for text in ("free money", "FR3E M0NEY", "good day"))
    assert agreement(one, two) == 1.0
    assert agreement(one, other) == 0.0


@given(st.binary(min_size=800, max_size=800), st.binary(min_size=800, max_size=800))
@settings(max_examples=20, deadline=None)
def test_hostile_maps_have_a_score_like_any_others(one: bytes, two: bytes) -> None:
    for code in (b"\x01", b"\x02", b"\x03"):
        found = agreement(code + b"\x14\x14" + one, code + b"\x14\x14" + two)
        assert found is not None
        assert -1.0 <= found <= 1.0 + 1e-9
