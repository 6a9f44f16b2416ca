"""Structured logs."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import structlog

from consumers.log import LIBRDKAFKA, configure_logs
from consumers.settings import Log

if TYPE_CHECKING:
    import pytest


def events(capfd: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    return [json.loads(line) for line in capfd.readouterr().err.splitlines()]


def test_an_event_is_a_json_line_with_time_and_level(capfd: pytest.CaptureFixture[str]) -> None:
    configure_logs(Log())
    structlog.get_logger().warning("dead letter", post_id="p", offset=7)
    (event,) = events(capfd)
    assert event.pop("time").endswith("Z")
    assert event == {"event": "dead letter", "level": "warning", "post_id": "p", "offset": 7}


def test_events_below_the_level_are_left_out(capfd: pytest.CaptureFixture[str]) -> None:
    configure_logs(Log(level="warning"))
    structlog.get_logger().info("quiet")
    assert events(capfd) == []


def test_an_exception_is_part_of_its_event(capfd: pytest.CaptureFixture[str]) -> None:
    configure_logs(Log())
    try:
        raise ValueError("broken")
    except ValueError:
        structlog.get_logger().exception("failed")
    (event,) = events(capfd)
    assert "ValueError: broken" in event["exception"]


def test_what_librdkafka_logs_becomes_events_but_not_its_remarks_on_unused_properties(
    capfd: pytest.CaptureFixture[str],
) -> None:
    configure_logs(Log())
    logging.getLogger(LIBRDKAFKA).warning("FAIL connection refused")
    logging.getLogger(LIBRDKAFKA).warning(
        "CONFWARN property x is a consumer property and will be ignored by this producer"
    )
    (event,) = events(capfd)
    assert (event["event"], event["message"]) == ("librdkafka", "FAIL connection refused")


def test_the_console_format_is_for_people(capfd: pytest.CaptureFixture[str]) -> None:
    configure_logs(Log(format="console"))
    structlog.get_logger().info("serving", port=1)
    text = capfd.readouterr().err
    assert "serving" in text
    assert "{" not in text
