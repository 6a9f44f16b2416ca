"""A test notification through every channel."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

from consumers.alerting.refused import Refused
from consumers.alerting.sender import open_channel
from consumers.cells.conclusions import rfc3339
from consumers.checks.findings import Finding
from consumers.contracts.notification import Notification

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.alerting.settings import Alert


def try_channels(settings: Alert) -> Iterator[Finding]:
    """Send a test notification to each channel, once; a finding for each as soon as it has answered.

    A channel of reports gets nothing: a test is about no post, and a moderator would have to close it.
    """
    for channel in settings.channels:
        subject = f"alert {channel.name}"
        if channel.format != "shoal":
            yield Finding(subject, "hint", f"not tried: a test cannot be said as {channel.format}")
            continue
        began = time.monotonic()
        try:
            open_channel(channel)(_test())
        except Refused as refused:
            yield Finding(subject, "bad", f"{refused.reason}: {refused}", "mend the channel or its receiver")
        else:
            yield Finding(subject, "good", f"taken after {time.monotonic() - began:.2f} s")


def _test() -> Notification:
    return Notification(
        notification_id=str(uuid.uuid4()),
        kind="test",
        severity="low",
        notices=(),
        flags=0,
        retractions=0,
        created_at=rfc3339(time.time_ns() // 1_000_000),
    )
