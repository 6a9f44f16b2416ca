"""Quiet hours follow the clock of their place."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from consumers.alerting.quiet_hours import is_quiet
from consumers.alerting.settings import QuietHours


def quiet(moment: str, zone: str = "Europe/Berlin", severity: str = "low", **fields: Any) -> bool:
    hours = QuietHours.model_validate({"start": "22:00", "end": "07:00", "zone": zone} | fields)
    return is_quiet([hours], severity, int(datetime.fromisoformat(moment).timestamp() * 1000))


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-01-15T20:59:59Z", False),
        ("2026-01-15T21:00:00Z", True),
        ("2026-01-16T05:59:59Z", True),
        ("2026-01-16T06:00:00Z", False),
        ("2026-07-15T20:00:00Z", True),
        ("2026-07-16T05:00:00Z", False),
    ],
)
def test_hours_over_midnight_are_of_the_place_summer_and_winter(moment: str, expected: bool) -> None:
    assert quiet(moment) is expected


def test_the_night_that_the_clock_is_put_forward_ends_by_the_new_time() -> None:
    assert quiet("2026-03-29T04:59:00Z")
    assert not quiet("2026-03-29T05:00:00Z")


@pytest.mark.parametrize(
    ("severity", "expected"), [("low", True), ("medium", True), ("high", False), ("critical", False)]
)
def test_only_the_severities_named_wait(severity: str, expected: bool) -> None:
    assert quiet("2026-01-15T23:00:00Z", severity=severity) is expected


def test_days_are_those_on_which_the_hours_begin() -> None:
    friday_night: dict[str, Any] = {"days": [4]}
    assert quiet("2026-01-16T23:00:00+01:00", **friday_night)
    assert quiet("2026-01-17T06:00:00+01:00", **friday_night)
    assert not quiet("2026-01-17T23:00:00+01:00", **friday_night)
    assert not quiet("2026-01-16T06:00:00+01:00", **friday_night)


def test_hours_within_a_day() -> None:
    assert quiet("2026-01-15T12:30:00+01:00", start="12:00", end="13:00")
    assert not quiet("2026-01-15T13:00:00+01:00", start="12:00", end="13:00")


@pytest.mark.parametrize("wrong", [{"zone": "Mars/Base"}, {"zone": "../etc"}, {"start": "07:00"}, {"days": [7]}])
def test_hours_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        quiet("2026-01-15T12:30:00Z", **wrong)


def test_the_zones_are_there_without_the_system_s() -> None:
    assert ZoneInfo("Europe/Berlin").key == "Europe/Berlin"
