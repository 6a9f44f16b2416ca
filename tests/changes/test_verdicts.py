"""A verdict is checked before it is sent, and says in one line what is wrong with it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from consumers.changes.verdicts import VerdictError, require_valid, send_verdict, verdict_message
from consumers.contracts.verdict import Verdict
from consumers.kafka.delivery import Outgoing
from consumers.settings import Settings


def verdict(**fields: Any) -> Verdict:
    given: dict[str, Any] = {"verdict_id": "v", "decision": "uphold", "policy": "spam", "actor": "mod"}
    return Verdict(**(given | fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"post_id": "p"},
        {"flag_id": "f"},
        {"cluster_id": "0-17"},
        {"post_id": "p", "cell": 1},
        {"post_id": "p", "cell": 1, "cell_offset": 0},
    ],
)
def test_a_verdict_with_one_target_is_valid(fields: dict[str, Any]) -> None:
    require_valid(verdict(**fields), 2)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "has none"),
        ({"post_id": "p", "flag_id": "f"}, "post_id and flag_id"),
        ({"post_id": "p", "policy": "No Spaces"}, "policy must"),
        ({"post_id": ""}, "post_id must"),
        ({"post_id": "p" * 1000}, "post_id must"),
        ({"post_id": "p", "actor": ""}, "actor must"),
        ({"cluster_id": "x"}, "cluster_id must"),
        ({"cluster_id": "2-1"}, "cluster_id must"),
        ({"post_id": "p", "cell": 2}, "cells 0 to 1"),
        ({"post_id": "p", "cell_offset": 2}, "goes with a cell"),
    ],
)
def test_what_is_wrong_is_said(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(VerdictError, match=text):
        require_valid(verdict(**fields), 2)


def test_nothing_is_sent_that_is_not_valid() -> None:
    settings = Settings()
    with pytest.raises(VerdictError):
        send_verdict(settings, decision="uphold", policy="spam", actor="mod")


def test_verdicts_about_one_target_keep_their_order() -> None:
    messages = [verdict_message(Settings(), verdict(verdict_id=str(number), post_id="p")) for number in range(2)]
    assert [message.key for message in messages] == [b"p", b"p"]
    assert all(isinstance(message, Outgoing) and message.partition == -1 for message in messages)
    assert msgspec.json.decode(messages[1].value or b"")["verdict_id"] == "1"
