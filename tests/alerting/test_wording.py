"""Words for people: what a moderator needs, as far as it fits, and nothing that a chat could misread."""

from __future__ import annotations

from typing import Any

import pytest

from consumers.alerting.wording import text_of, title_of
from tests.alerting.notices import notice, notification, post

POSTS = tuple(post(number, post_id="x" * 200) for number in range(5))
LINK = "https://moderation.example/campaigns/0-1"
FULL = notice(posts=POSTS, links={"console": LINK})


@pytest.mark.parametrize(
    ("fields", "title"),
    [
        ({}, "[high] scam: 2 flagged, new campaign"),
        ({"kind": "digest"}, "[high] scam: 2 flagged, again"),
        ({"kind": "digest", "retractions": 1}, "[high] scam: 2 flagged, 1 taken back, again"),
        ({"kind": "escalation", "severity": "critical"}, "[critical] scam: 2 flagged, growing fast"),
        ({"kind": "retraction", "flags": 0, "retractions": 3}, "[high] scam: 3 taken back"),
        ({"mode": "shadow"}, "[high] scam: 2 flagged, new campaign (shadow)"),
    ],
)
def test_a_title_says_how_bad_which_policy_and_how_many(fields: dict[str, Any], title: str) -> None:
    assert title_of(notification(notice(**fields))) == title


def test_what_does_not_fit_goes_in_the_order_in_which_it_is_needed_least() -> None:
    made = notification(FULL)
    whole = text_of(made)
    shorter = [text_of(made, most) for most in range(len(whole) - 1, 0, -1)]
    assert all(len(text) <= most for most, text in zip(range(len(whole) - 1, 0, -1), shorter, strict=True))
    begins = ["posts:", "lately:", "so far:", "why:", "campaign:", "new:", "console:"]
    gone_at = [next(number for number, text in enumerate(shorter) if begin not in text) for begin in begins]
    assert gone_at == sorted(gone_at)
    assert "notification 0000" in shorter[gone_at[-1]]


def test_a_summary_that_does_not_fit_spells_out_the_gravest_and_counts_the_others() -> None:
    made = notification(*(notice(number, severity="low" if number else "critical") for number in range(40)))
    text = text_of(made, 1000)
    assert len(text) <= 1000
    assert text.startswith("[critical] scam")
    spelled = text.count("campaign: ")
    assert 0 < spelled < 40
    assert f"and {40 - spelled} campaigns more" in text
    assert text.endswith(f"notification {made.notification_id}")
    assert "campaigns more" not in text_of(made)
