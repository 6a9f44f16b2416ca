"""A notification in words, for e-mail, chats and pagers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from consumers.contracts.notification import Notice, Notification

UNUSUAL = re.compile(r"[^\w.:/#=+~%-]", re.ASCII)
"""What an id in words does not show: ids come from the platform, and a chat may read commands or markup in them."""

ID_CHARACTERS = 120

LONGEST = 32_000
"""Characters of a text whose channel sets no limit of its own."""

BREAK = "\n\n"


def title_of(notification: Notification) -> str:
    """One line: severity, policy, how many."""
    if notification.kind == "test":
        return "Shoal: a test notification"
    counts = _counts(notification.flags, notification.retractions)
    if notification.kind == "summary":
        campaigns = len(notification.notices) + notification.more
        return f"[{notification.severity}] {counts} in {campaigns} campaigns"
    notice = notification.notices[0]
    what = {"first": ", new campaign", "escalation": ", growing fast", "retraction": ""}.get(notice.kind, ", again")
    return f"[{notice.severity}] {notice.policy}: {counts}{what}{_mode(notice)}"


def text_of(notification: Notification, most: int = LONGEST) -> str:
    """The notices as plain text, and the notification's id, by which a repetition is known.

    Args:
        most: characters that there may be. What is too much is left out: the lines that are least needed, or of a
            summary whole notices, which are counted.
    """
    end = f"notification {notification.notification_id}"
    room = most - len(BREAK) - len(end)
    if notification.kind == "test":
        parts = ["If you read this, this channel works."]
    elif len(notification.notices) == 1 and not notification.more:
        parts = [_fitting(_lines(notification.notices[0]), room)]
    else:
        parts = _spelled_out(notification, room)
    return BREAK.join([*parts, end])[-most:]


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


def _spelled_out(notification: Notification, room: int) -> list[str]:
    """As many notices of a summary as fit, and how many there are beside them."""
    notices = [f"{_heading(notice)}\n{_fitting(_lines(notice), LONGEST)}" for notice in notification.notices]
    for count in range(len(notices), -1, -1):
        left = len(notices) - count + notification.more
        parts = [*notices[:count], *([f"and {left} campaigns more"] if left else [])]
        if len(BREAK.join(parts)) <= room:
            return parts
    return []


def _heading(notice: Notice) -> str:
    return f"[{notice.severity}] {notice.policy}{_mode(notice)} ({notice.kind})"


def _lines(notice: Notice) -> list[tuple[int, str]]:
    """What is said of a notice, line by line, each with its place in the order in which lines are left out."""
    lately = f"lately: {notice.recent} in {notice.recent_seconds / 60:g} min" if notice.recent else ""
    posts = f"posts: {', '.join(shown(post.post_id) for post in notice.posts)}" if notice.posts else ""
    lines = [
        (5, f"new: {_counts(notice.flags, notice.retractions)}"),
        (4, f"campaign: {shown(notice.campaign)}, {notice.cluster_count} cluster(s), since {notice.since}"),
        (2, f"so far: {_counts(notice.flags_total, notice.retractions_total)}"),
        (3, f"why: {why_of(notice)}"),
        (1, lately),
        (0, posts),
        *((6, f"{name}: {link}") for name, link in notice.links.items()),
    ]
    return [(place, line) for place, line in lines if line]


def _fitting(lines: list[tuple[int, str]], room: int) -> str:
    """The lines; without those that are first to go, as long as there is no room for them."""
    kept = list(lines)
    while kept and sum(len(line) + 1 for _, line in kept) - 1 > room:
        kept.remove(min(kept, key=lambda one: one[0]))
    return "\n".join(line for _, line in kept)


def _counts(flags: int, retractions: int) -> str:
    flagged = f"{flags} flagged" if flags or not retractions else ""
    return ", ".join(part for part in (flagged, f"{retractions} taken back" if retractions else "") if part)


def _mode(notice: Notice) -> str:
    return " (shadow)" if notice.mode == "shadow" else ""
