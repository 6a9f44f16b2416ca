from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.imagery import blank, resize_square


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
