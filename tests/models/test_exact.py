from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.exact import dot, exp2, lengths, log2, square

ULP = 2.0**-52


def _pairwise(numbers: list[float]) -> float:
    """The order of additions that the fold's bits rest on, written down: numpy must keep to it."""
    count = len(numbers)
    if count < 8:
        total = -0.0
        for number in numbers:
            total += number
        return total
    if count <= 128:
        lanes = numbers[:8]
        full = count - count % 8
        for start in range(8, full, 8):
            lanes = [lane + numbers[start + place] for place, lane in enumerate(lanes)]
        total = ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]))
        for number in numbers[full:]:
            total += number
        return total
    half = count // 2
    half -= half % 8
    return _pairwise(numbers[:half]) + _pairwise(numbers[half:])


@given(st.integers(1, 1100), st.integers(0, 2**32 - 1))
def test_a_sum_of_products_is_added_in_the_order_written_down(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, two = rng.standard_normal((2, count)).astype(np.float32) * rng.choice([1e-6, 1.0, 1e6], (2, count))
    one, two = one.astype(np.float32), two.astype(np.float32)
    products = [float(a) * float(b) for a, b in zip(one.tolist(), two.tolist(), strict=True)]
    assert float(dot(one, two)) == _pairwise(products)
    assert square(one) == float(dot(one, one))


@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_a_row_does_not_depend_on_its_neighbours(rows: int, blocks: int, size: int, seed: int) -> None:
    array = np.random.default_rng(seed).standard_normal((rows, blocks, size)).astype(np.float32)
    found = dot(array, array)
    for row in range(rows):
        for block in range(blocks):
            assert found[row, block] == dot(array[row, block], array[row, block])
            assert lengths(array)[row, block] == math.sqrt(found[row, block])


@given(st.floats(-1000, 1000))
def test_powers_of_two_are_right_to_the_last_bit_but_one(exponent: float) -> None:
    assert exp2(exponent) == pytest.approx(2.0**exponent, rel=2 * ULP, abs=0.0)


def test_whole_powers_of_two_are_exact_and_small_ones_vanish() -> None:
    assert [exp2(float(n)) for n in range(-1074, 1024)] == [math.ldexp(1.0, n) for n in range(-1074, 1024)]
    assert exp2(-1e9) == 0.0


@given(st.lists(st.floats(1e-300, 1e300), min_size=1, max_size=20))
def test_logarithms_are_right_to_the_last_bits(numbers: list[float]) -> None:
    for number, found in zip(numbers, log2(np.array(numbers)).tolist(), strict=True):
        assert found == pytest.approx(math.log2(number), rel=2 * ULP, abs=2 * ULP)


def test_logarithms_of_powers_of_two_are_exact() -> None:
    powers = np.ldexp(1.0, np.arange(-1022, 1024))
    assert np.array_equal(log2(powers), np.arange(-1022, 1024))


def test_a_product_of_two_numbers_of_the_log_is_exact() -> None:
    one, two = np.array([[1.0 + 2.0**-23], [1.0 - 2.0**-24]], dtype=np.float32)
    assert Fraction(float(dot(one, two))) == Fraction(float(one[0])) * Fraction(float(two[0]))
