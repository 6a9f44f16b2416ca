from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.contracts.source import Source
from consumers.settings import Policy
from consumers.state.codec import (
    ClusterValue,
    CodecError,
    Entry,
    EvidenceValue,
    FlaggedValue,
    LabelValue,
    MemberValue,
    MissingValue,
    SettingsValue,
    StateChanges,
    UnfinishedValue,
    Value,
    WaitingValue,
    decode,
    encode,
    pack_sums,
    sums_of,
)
from tests.cells.small_cells import rules

integers = st.integers(min_value=0, max_value=2**62)
texts = st.text(st.characters(codec="utf-8"), max_size=12)
numbers = st.floats(allow_nan=False)
vectors = st.binary(max_size=32)
features = st.dictionaries(texts, vectors, max_size=2)
sources = st.builds(Source, texts, texts, integers, integers, integers)
states = st.sampled_from(["none", "violating", "disputed", "benign"])
values = st.one_of(
    st.builds(
        ClusterValue, numbers, numbers, vectors, integers, integers, integers, integers, st.tuples(integers, integers)
    ),
    st.builds(MemberValue, texts, sources, integers, integers, vectors, features),
    st.builds(
        FlaggedValue, texts, sources, integers, vectors, st.dictionaries(texts, integers, max_size=3), features
    ),
    st.builds(WaitingValue, integers, integers, vectors),
    st.builds(MissingValue, integers, st.tuples(integers), vectors),
    st.builds(UnfinishedValue, st.tuples(texts), st.tuples(integers, integers), integers, integers, st.booleans()),
    st.builds(SettingsValue, integers, st.just(rules(Policy(name="scam", required=("text",))))),
    st.builds(
        EvidenceValue, integers, texts, texts, st.booleans(), texts, texts, integers, integers, vectors, features
    ),
    st.builds(
        LabelValue,
        st.sampled_from(["none", "violating", "disputed", "benign"]),
        numbers,
        integers,
        integers,
        integers,
    ),
    integers,
)


@given(values)
def test_a_value_survives_the_store(value: Value) -> None:
    kind: Any = type(value)
    assert decode(kind, Entry("clusters", "1", encode(value))) == value


@given(st.binary(), st.sampled_from(get_args(Value)))
def test_arbitrary_bytes_are_an_error_that_names_the_field(data: bytes, kind: type[ClusterValue]) -> None:
    try:
        decode(kind, Entry("members", "17", data))
    except CodecError as error:
        assert str(error).startswith("the state in Redis is damaged: members 17: ")


def test_the_last_word_about_a_field_counts() -> None:
    changes = StateChanges()
    changes.set("marks", "a", b"1")
    changes.delete("marks", "a")
    changes.delete("marks", "b")
    changes.set("marks", "b", b"2")
    assert changes.sets == {"marks": {"b": b"2"}}
    assert changes.deletes == {"marks": {"a"}}


def test_a_value_of_another_kind_is_an_error() -> None:
    with pytest.raises(CodecError, match="labels 1:scam"):
        decode(LabelValue, Entry("labels", "1:scam", encode(7)))


@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.booleans())
def test_sums_survive_the_store_to_the_last_bit(seed: int, count: int, faded: bool) -> None:
    post = np.random.default_rng(seed).standard_normal(24).astype(np.float16).astype(np.float32)
    sums = post * np.float32(0.7) if faded else post
    packed, half = pack_sums(sums, count)
    value = ClusterValue(1.0, 1.0, packed, 0, count, 0, 0, (), half)
    assert np.array_equal(sums_of(value), sums)
    assert half == (count == 1 and not faded), "a lone post takes two bytes a number"
