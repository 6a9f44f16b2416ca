"""From notices to notifications: which channel wants which, and when several become one."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, NamedTuple

from consumers.alerting.grouping import Due, Held, lowest
from consumers.cells.conclusions import rfc3339
from consumers.contracts.notification import Notice, Notification
from consumers.contracts.source import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from consumers.alerting.settings import Channel

SEVERITIES = ("low", "medium", "high", "critical")
MOST_NOTICES = 50
"""Notices that a summary spells out; the others are counted."""


class Composed(NamedTuple):
    """A notification for one channel, and where the flags stand that it tells of."""

    notification: Notification
    held: Held


def compose(due: Sequence[Due], channel: Channel, *, above: int, now_ms: int) -> list[Composed]:
    """The notifications that tell a channel what is due.

    What was held back is one summary; so is everything when more than `above` notices are due at once. A
    channel of reports takes each notice by itself: a report is about one post.
    """
    wanted = [one for one in due if wants(channel, one.notice)]
    if not _takes_summaries(channel):
        return [_alone(one, now_ms) for one in wanted]
    waited, others = [one for one in wanted if one.waited], [one for one in wanted if not one.waited]
    found = []
    for part, most in ((waited, 1), (others, above)):
        found += [_summary(part, now_ms)] if len(part) > most else [_alone(one, now_ms) for one in part]
    return found


def wants(channel: Channel, notice: Notice) -> bool:
    """Whether a channel is to be told of a notice; a report cannot say that a flag was taken back."""
    return (
        (not channel.severities or notice.severity in channel.severities)
        and (not channel.policies or notice.policy in channel.policies)
        and (not channel.kinds or notice.kind in channel.kinds)
        and not (notice.kind == "retraction" and channel.format in {"coop", "ozone-report"})
    )


def _takes_summaries(channel: Channel) -> bool:
    return channel.format == "shoal" and (not channel.kinds or "summary" in channel.kinds)


def _alone(one: Due, now_ms: int) -> Composed:
    notice = one.notice
    notification = Notification(
        notification_id=notice.notice_id,
        kind=notice.kind,
        severity=notice.severity,
        notices=(notice,),
        flags=notice.flags,
        retractions=notice.retractions,
        created_at=rfc3339(now_ms),
    )
    return Composed(notification, one.held)


def _summary(part: Sequence[Due], now_ms: int) -> Composed:
    notices = sorted((one.notice for one in part), key=lambda one: (-_rank(one), -one.flags, one.notice_id))
    caused = ":".join(sorted(one.notice_id for one in notices))
    notification = Notification(
        notification_id=str(uuid.uuid5(NAMESPACE, f"summary:{caused}")),
        kind="summary",
        severity=notices[0].severity,
        notices=tuple(notices[:MOST_NOTICES]),
        more=len(notices[MOST_NOTICES:]),
        flags=sum(one.flags for one in notices),
        retractions=sum(one.retractions for one in notices),
        created_at=rfc3339(now_ms),
    )
    return Composed(notification, lowest(one.held for one in part))


def _rank(notice: Notice) -> int:
    """Place among the severities; one that is not ours stands lowest."""
    return SEVERITIES.index(notice.severity) if notice.severity in SEVERITIES else -1
