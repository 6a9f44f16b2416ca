"""What a channel says when it does not take a notification."""

from __future__ import annotations

from typing import Literal

Reason = Literal["timeout", "connection", "rate-limited", "status", "refused"]


class Refused(RuntimeError):  # noqa: N818  # a receiver's answer, not a defect
    """The notification was not taken.

    Attributes:
        reason: from a small closed set, for a metric.
        final: trying again would not help: the receiver finds the content wrong.
        pause: seconds after which the receiver wants to be asked again.
    """

    def __init__(self, reason: Reason, detail: str, *, final: bool = False, pause: float | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.final = final
        self.pause = pause
