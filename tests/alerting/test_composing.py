"""Each channel is told what it asked for, and many things at once in one summary."""

from __future__ import annotations

from typing import Any

import pytest

from consumers.alerting.composing import MOST_NOTICES, Composed, compose
from consumers.alerting.grouping import Due
from consumers.alerting.settings import Channel
from tests.alerting.flags import NOW
from tests.alerting.notices import notice


def channel(**fields: Any) -> Channel:
    return Channel.model_validate({"name": "any", "webhook": "http://127.0.0.1:1/"} | fields)


def composed(*due: Due, above: int = 10, **fields: Any) -> list[Composed]:
    return compose(due, channel(**fields), above=above, now_ms=NOW)


def test_a_notice_alone_keeps_its_id() -> None:
    [found] = composed(Due(notice(1), {"p": 3}))
    assert found.notification.notification_id == notice(1).notice_id
    assert (found.notification.kind, found.held) == ("first", {"p": 3})


def test_too_many_at_once_are_one_summary_the_gravest_first() -> None:
    many = [Due(notice(number, severity="critical" if number == 7 else "low"), {"p": number}) for number in range(12)]
    [found] = composed(*many)
    assert (found.notification.kind, found.notification.severity, found.notification.flags) == (
        "summary",
        "critical",
        24,
    )
    assert found.notification.notices[0].campaign == "0-7"
    assert found.held == {"p": 0}
    assert composed(*reversed(many))[0].notification.notification_id == found.notification.notification_id
    assert len(composed(*many[:10])) == 10


def test_what_quiet_hours_held_back_is_one_summary_beside_what_is_new() -> None:
    found = composed(Due(notice(1), {}, waited=True), Due(notice(2), {}, waited=True), Due(notice(3), {}))
    assert [one.notification.kind for one in found] == ["summary", "first"]


def test_a_summary_spells_out_so_many_and_counts_the_others() -> None:
    [found] = composed(*(Due(notice(number), {}) for number in range(MOST_NOTICES + 5)))
    assert (len(found.notification.notices), found.notification.more) == (MOST_NOTICES, 5)
    assert found.notification.flags == 2 * (MOST_NOTICES + 5)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, 3),
        ({"severities": ["critical"]}, 1),
        ({"policies": ["scam"]}, 2),
        ({"kinds": ["escalation"]}, 1),
        ({"severities": ["low"]}, 0),
    ],
)
def test_a_channel_is_told_what_it_asked_for(fields: dict[str, Any], told: int) -> None:
    notices = [notice(1), notice(2, severity="critical", policy="csam"), notice(3, kind="escalation")]
    assert len(composed(*(Due(one, {}) for one in notices), **fields)) == told


def test_a_channel_without_summaries_is_told_each_by_itself() -> None:
    assert len(composed(*(Due(notice(number), {}) for number in range(20)), kinds=["first"])) == 20
    coop = {"reporter_id": "shoal", "reporter_type": "u", "item_type": "p"}
    assert len(composed(*(Due(notice(number), {}) for number in range(20)), format="coop", coop=coop)) == 20


def test_a_report_cannot_say_that_a_flag_was_taken_back() -> None:
    back = Due(notice(1, kind="retraction"), {})
    assert composed(back, format="ozone-report") == []
    assert len(composed(back, format="ozone-event", ozone={"created_by": "did:plc:x"})) == 1
