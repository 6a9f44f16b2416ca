"""When a severity waits: hours by the clock of a place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Sequence

    from consumers.alerting.settings import QuietHours


def is_quiet(hours: Sequence[QuietHours], severity: str, now_ms: int) -> bool:
    """Whether notices of this severity wait now (milliseconds since 1970)."""
    moment = datetime.fromtimestamp(now_ms / 1000, tz=UTC)
    return any(severity in one.severities and _within(one, moment) for one in hours)


def _within(hours: QuietHours, moment: datetime) -> bool:
    local = moment.astimezone(ZoneInfo(hours.zone))
    clock = local.time()
    if hours.start < hours.end:
        return hours.start <= clock < hours.end and _begins(hours, local)
    if clock >= hours.start:
        return _begins(hours, local)
    return clock < hours.end and _begins(hours, local - timedelta(days=1))


def _begins(hours: QuietHours, day: datetime) -> bool:
    return not hours.days or day.weekday() in hours.days
