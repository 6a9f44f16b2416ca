"""Two maps where they lie best on each other: copies lie well, other pictures do not, and no processor may differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import fft

from models.registration import IMAGE, _made, _mirrored, area_shares, products, score
from tests.pictures import SIDE, picture, small

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

ENOUGH = 0.7


def agreement(one: Pixels, two: Pixels, enough: float = 2.0) -> float:
    return score(small(one).tobytes(), small(two).tobytes(), (SIDE, SIDE), IMAGE, enough=enough)


def framed(drawn: Pixels) -> Pixels:
    return np.asarray(cv2.copyMakeBorder(drawn, 30, 30, 30, 30, cv2.BORDER_CONSTANT, value=255), dtype=np.uint8)


def turned(drawn: Pixels) -> Pixels:
    size = len(drawn)
    matrix = cv2.getRotationMatrix2D((size / 2, size / 2), 10, 1.0)
    return np.asarray(cv2.warpAffine(drawn, matrix, (size, size)), dtype=np.uint8)


COPIES: dict[str, Callable[[Pixels], Pixels]] = {
    "same": lambda drawn: drawn,
    "mirrored": lambda drawn: drawn[:, ::-1],
    "cropped": lambda drawn: drawn[10:125, 35:150],
    "framed": framed,
    "darker": lambda drawn: np.asarray(drawn * 0.6 + 10, dtype=np.uint8),
    "turned": turned,
    "a band above": lambda drawn: np.vstack([np.full((40, drawn.shape[1]), 255, dtype=np.uint8), drawn]),
}


@pytest.mark.parametrize("name", COPIES)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_copy_lies_well_on_its_original_either_way(name: str, seed: int) -> None:
    original = picture(seed)
    copy = COPIES[name](original)
    assert agreement(original, copy) >= ENOUGH
    assert agreement(copy, original) >= ENOUGH


@pytest.mark.parametrize("seed", range(10, 16))
def test_other_pictures_do_not_lie_on_each_other(seed: int) -> None:
    assert agreement(picture(seed), picture(seed + 100)) < 0.6


def test_a_flat_picture_lies_on_nothing() -> None:
    flat = np.full((SIDE, SIDE), 90, dtype=np.uint8)
    assert agreement(flat, picture(1)) < 0.5
    assert agreement(flat, flat) < 0.5


def test_what_is_enough_ends_the_search_and_changes_no_answer() -> None:
    for one, two in ((picture(1), COPIES["cropped"](picture(1))), (picture(1), picture(2))):
        assert (agreement(one, two, ENOUGH) >= ENOUGH) == (agreement(one, two) >= ENOUGH)
        assert agreement(one, two, ENOUGH) <= agreement(one, two)


@given(arrays(np.uint8, (16, 20)), arrays(np.uint8, (16, 20)))
@settings(max_examples=15, deadline=None)
def test_any_two_maps_have_a_finite_score_of_at_most_one(one: Pixels, two: Pixels) -> None:
    found = score(one.tobytes(), two.tobytes(), (16, 20), IMAGE)
    assert -1.0 <= found <= 1.0 + 1e-9


@given(
    arrays(np.float32, (30, 31), elements=st.integers(-8, 8).map(float)),
    arrays(np.float32, (22, 26), elements=st.integers(-8, 8).map(float)),
)
@settings(max_examples=20, deadline=None)
def test_the_products_of_the_search_are_whole_numbers_once_rounded(ground: Pixels, laid: Pixels) -> None:
    """They are computed in float32, in an order of the library's own: rounding has to leave nothing of that."""
    both = np.stack([laid, laid[::-1]])
    spectra = np.conj(fft.rfft2(both, s=ground.shape)) * fft.rfft2(ground)
    windows = np.lib.stride_tricks.sliding_window_view(ground.astype(np.int64), laid.shape)
    for found, one in zip(products(spectra, 31, (9, 6)), both, strict=True):
        assert np.array_equal(found, (windows * one.astype(np.int64)).sum(axis=(2, 3)))


def test_products_are_whole_where_they_are_largest() -> None:
    ground, laid = np.full((50, 50), 8, dtype=np.float32), np.full((1, 40, 40), 8, dtype=np.float32)
    spectra = np.conj(fft.rfft2(laid, s=ground.shape)) * fft.rfft2(ground)
    assert np.array_equal(products(spectra, 50, (11, 11))[0], np.full((11, 11), 64 * 1600))


@given(st.integers(1, 60), st.integers(1, 60))
def test_areas_are_shared_out_whole(large: int, small_: int) -> None:
    shares = area_shares(large, small_)
    assert np.array_equal(shares.sum(axis=1), np.full(small_, large))
    assert np.array_equal(shares.sum(axis=0), np.full(large, small_))


@given(arrays(np.uint8, (18, 23)), st.sampled_from(IMAGE.scales))
@settings(max_examples=15, deadline=None)
def test_mirroring_what_is_laid_is_laying_the_mirrored_map_to_the_last_bit(
    one: Pixels, scale: tuple[float, float]
) -> None:
    mirrored = _mirrored(_made(one, (18, 23), *scale, 0))
    laid = _made(np.ascontiguousarray(one[:, ::-1]), (18, 23), *scale, 0)
    assert np.array_equal(mirrored.fine, laid.fine)
    assert np.array_equal(mirrored.coarse, laid.coarse)
    assert mirrored.energy == laid.energy
