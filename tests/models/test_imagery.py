from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.imagery import blank, fit_image, patched_size, resize_square
from models.manifest import ImageInput


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40))
def test_any_image_becomes_a_square_of_the_size(height: int, width: int, size: int) -> None:
    assert resize_square(np.zeros((height, width, 3), dtype=np.uint8), size).shape == (size, size, 3)


def test_shrinking_averages_so_that_fine_stripes_become_grey() -> None:
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 200
    assert np.abs(resize_square(stripes, 16).astype(int) - 100).max() <= 1


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (200, 30, 90)])
def test_one_colour_is_blank_however_vivid(colour: tuple[int, int, int]) -> None:
    assert blank(np.full((20, 30, 3), colour, dtype=np.uint8))


def test_an_image_with_something_on_it_is_not_blank() -> None:
    page = np.full((50, 50, 3), 255, dtype=np.uint8)
    page[20:30, 20:30] = 0
    assert not blank(page)


def ramp(height: int, width: int) -> np.ndarray:
    """Red grows to the right, green downwards."""
    down, across = np.mgrid[:height, :width]
    return np.stack([across * 255 // width, down * 255 // height, np.zeros_like(down)], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("resample", ["area", "nearest", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize(("height", "width"), [(40, 90), (90, 40), (8, 8), (200, 3)])
def test_every_way_to_stretch_gives_the_square(resample: str, height: int, width: int) -> None:
    form = ImageInput(size=16, resample=resample)  # type: ignore[arg-type]
    assert fit_image(ramp(height, width), form).shape == (16, 16, 3)


def test_the_middle_is_cut_from_what_keeps_its_shape() -> None:
    fitted = fit_image(ramp(100, 300), ImageInput(size=20, edge=20, resample="bilinear"))
    assert fitted.shape == (20, 20, 3)
    # the middle third of the width, the whole height
    assert abs(int(fitted[10, 0, 0]) - 85) < 8
    assert abs(int(fitted[10, 19, 0]) - 170) < 8
    assert fitted[0, 10, 1] < 12
    assert fitted[19, 10, 1] > 240


def test_an_image_smaller_than_the_cut_is_framed_in_black() -> None:
    fitted = fit_image(np.full((10, 10, 3), 200, dtype=np.uint8), ImageInput(size=16, edge=10, resample="nearest"))
    assert fitted.shape == (16, 16, 3)
    assert (fitted[3:13, 3:13] == 200).all()
    assert fitted.sum() == 200 * 10 * 10 * 3


@pytest.mark.parametrize(("height", "width"), [(100, 100), (30, 1_000), (1_000, 30), (1, 1), (333, 500)])
def test_patches_are_whole_and_not_too_many(height: int, width: int) -> None:
    form = ImageInput(size=64, patch=8, resample="bilinear")
    fitted = fit_image(ramp(height, width), form)
    assert fitted.shape[0] % 8 == fitted.shape[1] % 8 == 0
    patches = (fitted.shape[0] // 8) * (fitted.shape[1] // 8)
    assert 1 <= patches <= form.patches == 64
    assert patches >= 32 or min(fitted.shape[:2]) == 8
    assert fitted.shape[:2] == patched_size(height, width, 8, 64)
