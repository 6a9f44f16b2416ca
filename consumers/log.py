"""Structured logs on standard error: one event a line, with ids of posts and never their content."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO, cast

import structlog

if TYPE_CHECKING:
    from consumers.settings import Log

LIBRDKAFKA = "librdkafka"
"""Name of the standard library's logger that Kafka clients write to; silent until `configure_logs`."""


class _AsEvents(logging.Handler):
    """Hands what a library logs on as one of our events."""

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        # one set of properties serves consumers and producers; each kind warns of what only the other one reads
        if "will be ignored by this" not in message:
            structlog.get_logger().log(record.levelno, record.name, message=message)


class _Lossy:
    """Writes to a stream's file, past its buffer. What cannot be written (a full disk) is lost."""

    def __init__(self, stream: TextIO) -> None:
        self._file = stream.fileno()

    def write(self, text: str) -> None:
        left = text.encode(errors="replace")
        with suppress(OSError):
            while left:
                left = left[os.write(self._file, left) :]

    def flush(self) -> None:
        """Nothing is kept back."""


def configure_logs(settings: Log) -> None:
    """Send this process's events to standard error, as JSON or for people, from `settings.level` up.

    To log never fails: what cannot be written is lost.
    """
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    renderer: list[structlog.typing.Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if settings.format == "json"
        else [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            *renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _Lossy(sys.stderr))),
        cache_logger_on_first_use=False,
    )
    librdkafka = logging.getLogger(LIBRDKAFKA)
    librdkafka.handlers = [_AsEvents()]
    librdkafka.setLevel(level)
