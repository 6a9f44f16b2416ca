"""The shapes of calls: nothing is lost, little is padded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.encoders.buckets import (
    CPU_BUCKETS,
    GPU_BUCKETS,
    MOST_PADDING,
    Buckets,
    cut_rows,
    cut_texts,
    size_for,
    width_for,
    widths_of,
)
from models.manifest import TextInput

sizes = st.sets(st.integers(1, 200), min_size=1, max_size=8).map(lambda found: tuple(sorted(found)))


def form(most: int, *, full: bool = False) -> TextInput:
    return TextInput(tokenizer="tokenizer.json", max_tokens=most, full=full)


@given(count=st.integers(1, 1000), rows=sizes)
def test_all_rows_are_called_once_and_calls_are_two_thirds_full(count: int, rows: tuple[int, ...]) -> None:
    buckets = Buckets(rows, fixed=True)
    calls = cut_rows(count, buckets)
    assert sum(calls) == count
    for call in calls:
        size = size_for(call, buckets)
        assert size in rows
        assert call >= size * (1 - MOST_PADDING) or size == rows[0]


@given(count=st.integers(1, 1000))
def test_a_cpu_takes_every_number_of_rows_up_to_the_most(count: int) -> None:
    calls = cut_rows(count, CPU_BUCKETS)
    assert calls == [16] * (count // 16) + ([count % 16] if count % 16 else [])
    assert all(size_for(call, CPU_BUCKETS) == call for call in calls)


@given(
    lengths=st.lists(st.integers(0, 300), min_size=1, max_size=200),
    most=st.integers(8, 300),
    full=st.booleans(),
    buckets=st.sampled_from([CPU_BUCKETS, GPU_BUCKETS, Buckets((4, 8), (20,), fixed=True)]),
)
def test_texts_of_like_length_share_a_call(lengths: list[int], most: int, full: bool, buckets: Buckets) -> None:
    lengths = [min(length, most) for length in lengths]
    wanted = form(most, full=full)
    calls = cut_texts(lengths, wanted, buckets)
    assert sorted(int(place) for picked, _ in calls for place in picked) == list(range(len(lengths)))
    for picked, width in calls:
        assert len(picked) <= buckets.rows[-1]
        assert max(lengths[place] for place in picked) <= width <= most
        if buckets.fixed:
            assert width in widths_of(wanted, buckets)
            shortest = min(width_for(lengths[place], wanted, buckets) for place in picked)
            assert shortest >= width * (1 - MOST_PADDING)
        elif not full:
            assert {width_for(lengths[place], wanted, buckets) for place in picked} == {width}


def test_widths_are_the_lengths_up_to_what_the_encoder_knows() -> None:
    assert widths_of(form(77), GPU_BUCKETS) == [16, 32, 48, 64, 77]
    assert widths_of(form(64, full=True), GPU_BUCKETS) == [64]


def test_more_rows_than_a_call_may_have_are_refused() -> None:
    with pytest.raises(ValueError, match="9 rows in one call; the most are 8"):
        size_for(9, Buckets((4, 8), fixed=True))


def test_one_long_text_does_not_pad_the_short_ones() -> None:
    calls = cut_texts([10] * 60 + [500], form(512), GPU_BUCKETS)
    assert [(len(picked), width) for picked, width in calls] == [(60, 16), (1, 512)]
    assert calls[-1][0] == [60]


def test_on_a_cpu_a_few_long_texts_pad_nothing() -> None:
    calls = cut_texts([10, 96, 12, 95, 11, 94], form(96), CPU_BUCKETS)
    assert [(len(picked), width) for picked, width in calls] == [(3, 12), (3, 96)]
