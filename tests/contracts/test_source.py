from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from consumers.contracts.source import NAMESPACE, Source, decision_id, flag_id

source = Source("posts", "topic-id", 3, 42, 1000)


def test_ids_are_the_same_at_every_replay() -> None:
    replayed = Source("posts", "topic-id", 3, 42, 2000)
    assert decision_id("compact-1", source) == decision_id("compact-1", replayed)
    assert flag_id("compact-1", source, "scam") == flag_id("compact-1", replayed, "scam")


@given(st.text(max_size=40), st.integers(0, 2**31), st.integers(0, 2**63), st.text(max_size=20))
def test_ids_are_the_uuids_of_their_names(topic_id: str, partition: int, offset: int, policy: str) -> None:
    given = Source("posts", topic_id, partition, offset, 0)
    name = f"compact-1:{topic_id}:{partition}:{offset}"
    assert decision_id("compact-1", given) == str(uuid.uuid5(NAMESPACE, name))
    assert flag_id("compact-1", given, policy) == str(uuid.uuid5(NAMESPACE, f"{name}:{policy}"))


def test_a_topic_made_again_has_other_ids() -> None:
    again = Source("posts", "another-topic-id", 3, 42, 1000)
    assert decision_id("compact-1", source) != decision_id("compact-1", again)
    assert source.mark != again.mark


@given(
    st.tuples(st.text(max_size=5), st.integers(0, 99), st.integers(0, 99)),
    st.tuples(st.text(max_size=5), st.integers(0, 99), st.integers(0, 99)),
)
def test_two_records_share_an_id_only_when_they_are_the_same(
    one: tuple[str, int, int], other: tuple[str, int, int]
) -> None:
    a, b = (Source("posts", *place, 0) for place in (one, other))
    assert (decision_id("b", a) == decision_id("b", b)) == (one == other)
