"""Outputs are the same bytes whether they are written at once or by a later owner from Redis."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.cells.conclusions import DeadVerdict, Output
from consumers.cells.outputs import Kept, keep, outgoing, pack, unpack
from consumers.contracts.verdict import Verdict
from consumers.settings import Settings, Topics

KEPT = st.builds(
    Kept,
    role=st.sampled_from(("decisions", "flags", "dead_letters")),
    key=st.none() | st.binary(),
    value=st.none() | st.binary(),
    headers=st.lists(st.tuples(st.text(max_size=8), st.none() | st.binary(max_size=8)), max_size=3).map(tuple),
    partition=st.integers(-1, 63),
    offset=st.integers(-1, 2**63 - 1),
)


@given(st.lists(KEPT, max_size=5))
def test_what_is_stored_comes_back(outputs: list[Kept]) -> None:
    assert unpack(pack(outputs)) == outputs


def test_no_bytes_are_no_outputs() -> None:
    assert unpack(b"") == []


def test_something_else_is_refused() -> None:
    with pytest.raises(msgspec.DecodeError):
        unpack(b"\xc1")


@pytest.mark.parametrize("role", ["decisions", "flags", "dead_letters"])
def test_the_topic_is_the_one_in_force_when_it_is_written(role: str) -> None:
    settings = Settings(topics=Topics(decisions="d2", flags="f2", dead_letters="x2"))
    [kept] = unpack(pack([Kept(role, b"k", b"v", (), 3)]))  # type: ignore[arg-type]
    written = outgoing(kept, settings, "small-1")
    assert written.topic == getattr(settings.topics, role)
    assert (written.key, written.value, written.partition) == (b"k", b"v", 3)


def test_a_verdict_without_a_target_goes_back_as_a_verdict() -> None:
    verdict = Verdict(verdict_id="v", decision="uphold", policy="spam", post_id="gone", actor="mod")
    output = Output("dead_letter", "gone", DeadVerdict(verdict, "unknown-target", "assign", "nobody knows it"), 5)
    kept = keep(output, 0, 7, Settings())
    headers = dict(kept.headers)
    assert (kept.role, kept.offset) == ("dead_letters", 7)
    assert msgspec.json.decode(kept.value or b"", type=Verdict) == verdict
    assert headers["__connect.errors.topic"] == b"verdicts"
    assert headers["shoal.reason"] == b"unknown-target"
