"""Notices and notifications for alerting's tests."""

from __future__ import annotations

from typing import Any

from consumers.alerting.composing import compose
from consumers.alerting.grouping import Due
from consumers.cells.conclusions import rfc3339
from consumers.contracts.flag import NearestExemplar
from consumers.contracts.notification import FlaggedPost, Notice, Notification, Why
from tests.alerting.flags import NOW


def post(number: int, **fields: Any) -> FlaggedPost:
    """One of the flagged posts."""
    given: dict[str, Any] = {"post_id": f"post-{number}", "flag_id": f"flag-{number}", "action": "flag", "cell": 0}
    return FlaggedPost(**({"cell_offset": number} | given | fields))


def notice(number: int = 1, **fields: Any) -> Notice:
    """The first word on campaign `number`."""
    given: dict[str, Any] = {
        "notice_id": f"00000000-0000-5000-8000-{number:012}",
        "kind": "first",
        "bundle": "tiny-00000000",
        "policy": "scam",
        "severity": "high",
        "mode": "live",
        "campaign": f"0-{number}",
        "clusters": (f"0-{number}",),
        "cluster_count": 1,
        "flags": 2,
        "retractions": 0,
        "flags_total": 2,
        "retractions_total": 0,
        "recent": 2,
        "recent_seconds": 600.0,
        "since": rfc3339(NOW - 60_000),
        "until": rfc3339(NOW),
        "why": Why(
            cluster_id=f"0-{number}",
            similarity=0.91,
            shares={"text": 0.5, "image": 0.41},
            bound=0.66,
            exemplar=NearestExemplar("exemplar-1", 0.95),
        ),
        "posts": (post(1), post(2)),
    }
    return Notice(**(given | fields))


def notification(*notices: Notice) -> Notification:
    """The notification of one notice, or the summary of several."""
    from consumers.alerting.settings import Channel

    due = [Due(one, {}) for one in notices or (notice(),)]
    channel = Channel.model_validate({"name": "any", "webhook": "http://127.0.0.1:1/"})
    [made] = compose(due, channel, above=1, now_ms=NOW)
    return made.notification
