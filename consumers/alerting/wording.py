"""A notification in words, for e-mail, chats and pagers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from consumers.contracts.notification import Notice, Notification

UNUSUAL = re.compile(r"[^\w.:/#=+~%-]", re.ASCII)
"""What an id in words does not show: ids come from the platform, and a chat may read commands or markup in them."""

ID_CHARACTERS = 120

WORDS = {
    "first": "new campaign",
    "digest": "since the last word",
    "escalation": "growing fast",
    "retraction": "nothing new",
}


def title_of(notification: Notification) -> str:
    """One line: severity, policy, how many."""
    if notification.kind == "test":
        return "Shoal: a test notification"
    counts = _counts(notification.flags, notification.retractions)
    if notification.kind == "summary":
        campaigns = len(notification.notices) + notification.more
        return f"[{notification.severity}] {counts} in {campaigns} campaigns"
    notice = notification.notices[0]
    what = {"first": "new campaign", "escalation": "growing fast", "retraction": "taken back"}.get(
        notice.kind, "again"
    )
    return f"[{notice.severity}] {notice.policy}: {counts}, {what}{_mode(notice)}"


def text_of(notification: Notification) -> str:
    """The notices as plain text, and the notification's id, by which a repetition is known."""
    if notification.kind == "test":
        parts = ["If you read this, this channel works."]
    else:
        parts = [_notice(notice, alone=len(notification.notices) == 1) for notice in notification.notices]
    if notification.more:
        parts.append(f"and {notification.more} campaigns more")
    return "\n\n".join([*parts, f"notification {notification.notification_id}"])


def why_of(notice: Notice) -> str:
    """Why its latest post was flagged, in a line."""
    why = notice.why
    shares = ", ".join(f"{shown(name)} {share:.2f}" for name, share in sorted(why.shares.items()))
    exemplar = (
        "" if why.exemplar is None else f"; exemplar {shown(why.exemplar.post_id)} at {why.exemplar.similarity:.2f}"
    )
    return f"cluster {shown(why.cluster_id)}, similarity {why.similarity:.2f} ({shares}){exemplar}"


def shown(given: str) -> str:
    """An id as words may hold it."""
    return UNUSUAL.sub("?", given[:ID_CHARACTERS])


def _notice(notice: Notice, *, alone: bool) -> str:
    lines = [] if alone else [f"[{notice.severity}] {notice.policy}{_mode(notice)} ({notice.kind})"]
    lines += [
        f"new: {_counts(notice.flags, notice.retractions)}",
        f"campaign: {shown(notice.campaign)}, {notice.cluster_count} cluster(s), since {notice.since}",
        f"so far: {_counts(notice.flags_total, notice.retractions_total)}",
        f"why: {why_of(notice)}",
    ]
    if notice.recent:
        lines.append(f"lately: {notice.recent} in {notice.recent_seconds / 60:g} min")
    if notice.posts:
        lines.append(f"posts: {', '.join(shown(post.post_id) for post in notice.posts)}")
    return "\n".join(lines + [f"{name}: {link}" for name, link in notice.links.items()])


def _counts(flags: int, retractions: int) -> str:
    flagged = f"{flags} flagged" if flags or not retractions else ""
    return ", ".join(part for part in (flagged, f"{retractions} taken back" if retractions else "") if part)


def _mode(notice: Notice) -> str:
    return " (shadow)" if notice.mode == "shadow" else ""
