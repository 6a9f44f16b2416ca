from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.contracts import cell_log
from consumers.contracts.source import Source
from tests.cells.small_cells import rules

integers = st.integers(min_value=0, max_value=2**62)
texts = st.text(st.characters(codec="utf-8"), max_size=20)
names = st.dictionaries(texts, texts, max_size=3)
sources = st.builds(Source, texts, texts, integers, integers, integers)
decisions = st.sampled_from(["uphold", "overturn"])
verdicts = st.builds(
    cell_log.VerdictRecord,
    verdict_id=texts,
    decision=decisions,
    policy=texts,
    actor=texts,
    time=integers,
    post_id=st.none() | texts,
    vector=st.none() | st.binary(max_size=64),
    source=st.none() | sources,
    asked=integers,
)
records = st.one_of(
    st.builds(
        cell_log.PostRecord,
        post_id=texts,
        source=sources,
        time=integers,
        parts=names,
        vector=st.binary(max_size=64),
        actor=st.none() | texts,
        features=st.dictionaries(texts, st.binary(max_size=8), max_size=2),
    ),
    st.builds(
        cell_log.DeadRecord,
        post_id=st.none() | texts,
        source=sources,
        time=integers,
        reason=texts,
        step=texts,
        parts=names,
    ),
    verdicts,
    st.builds(
        cell_log.EvidenceRecord,
        verdict_id=texts,
        decision=decisions,
        policy=texts,
        actor=texts,
        time=integers,
        vector=st.binary(max_size=64),
        post=texts,
        post_id=texts,
    ),
    st.builds(cell_log.MissingRecord, cell=integers, verdict=verdicts, time=integers),
    st.builds(cell_log.ContinueRecord, cause=texts, cursor=integers, time=integers),
    st.builds(cell_log.SettingsRecord, time=integers, settings=st.just(rules()), first=st.booleans(), actor=texts),
    st.builds(cell_log.EraseRecord, post_id=texts, time=integers),
)


@given(records)
def test_a_record_survives_the_log(record: cell_log.Record) -> None:
    assert cell_log.decode(cell_log.encode(record)) == record


@given(st.binary())
def test_arbitrary_bytes_are_a_decode_error_or_a_record(value: bytes) -> None:
    try:
        cell_log.decode(value)
    except msgspec.DecodeError:
        pass


def test_an_unknown_kind_is_a_decode_error() -> None:
    with pytest.raises(msgspec.DecodeError):
        cell_log.decode(msgspec.msgpack.encode({"kind": "from-the-future"}))
