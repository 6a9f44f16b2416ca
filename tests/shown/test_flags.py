"""Flags as the command shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from consumers.contracts.flag import Flag, NearestExemplar
from consumers.contracts.source import Source
from consumers.embedded import embedded_broker
from consumers.kafka.delivery import Outgoing, open_delivery
from consumers.options import settings_from
from consumers.shown.flags import read_flags, row_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.settings import Settings


def flag(name: str, revision: int, action: str = "flag", policy: str = "scam") -> Flag:
    return Flag(
        flag_id=name,
        revision=revision,
        action=action,  # type: ignore[arg-type]
        mode="live",
        cause="live",
        post_id=f"post-{name}",
        source=Source("posts", "id", 0, 1, 1),
        policy=policy,
        severity="high",
        cluster_id="0-1",
        bound=0.66,
        cell=0,
        cell_offset=revision,
        similarity=0.87654,
        shares={"text": 0.5, "image": 0.37654, "audio": 0.0},
        exemplar=NearestExemplar("post-0", 0.9),
        thresholds={},
        bundle="b",
        policy_version="1",
        decided_at=f"2026-03-01T12:00:{revision:02d}Z",
    )


@pytest.fixture
def settings() -> Iterator[Settings]:
    with embedded_broker() as broker:
        broker.create("flags")
        found = settings_from(None, [f"kafka.bootstrap_servers={broker.address}", "kafka.delivery=at-least-once"])
        revisions = [flag("a", 1), flag("b", 2), flag("c", 3, policy="spam"), flag("a", 5, "retract")]
        values = [msgspec.json.encode(one) for one in revisions] + [b"no flag"]
        delivery = open_delivery(found, "test")
        delivery.deliver([Outgoing("flags", b"key", value, partition=0) for value in values])
        delivery.close()
        yield found


def test_revisions_are_read_in_order_and_what_is_no_flag_is_passed_over(settings: Settings) -> None:
    found = [(flag.flag_id, flag.action) for flag in read_flags(settings, policy=None, last=10)]
    assert found == [("a", "flag"), ("b", "flag"), ("c", "flag"), ("a", "retract")]
    assert [flag.flag_id for flag in read_flags(settings, policy="spam", last=10)] == ["c"]
    assert [flag.flag_id for flag in read_flags(settings, policy=None, last=2)] == ["a"]


def test_a_row_names_post_policy_and_shares() -> None:
    row = row_of(flag("a", 7))
    assert (row["post"], row["policy"], row["place"]) == ("post-a", "scam", "0:7")
    assert row["shares"] == {"text": 0.5, "image": 0.37654}
