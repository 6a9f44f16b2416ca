"""One channel's thread: a bounded queue, attempts with pauses, and a word to the consumer about each outcome."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import structlog

from consumers.alerting.chat import open_chat
from consumers.alerting.refused import Refused
from consumers.alerting.webhook import open_webhook
from consumers.metrics import ALERT_FAILURES, ALERT_OLDEST_SECONDS, ALERTS_PENDING, ALERTS_SENT

if TYPE_CHECKING:
    import queue
    from collections.abc import Callable

    from consumers.alerting.settings import Alert, Channel
    from consumers.contracts.notification import Notification
    from consumers.state.alerts import Unsent

IDLE_SECONDS = 0.5
MOST_DOUBLINGS = 30

log = structlog.get_logger()


class Outcome(NamedTuple):
    """What became of a notification: sent, or given up for a reason."""

    unsent: Unsent
    given_up: str | None


@dataclass(slots=True, eq=False)
class _Letter:
    unsent: Unsent
    came: float
    attempts: int = 0
    not_before: float = 0.0


def open_channel(channel: Channel) -> Callable[[Notification], None]:
    """What sends one notification to a channel, once; raises Refused when it is not taken."""
    return open_webhook(channel) if channel.apprise is None else open_chat(channel)


class Sender:
    """Sends one channel's notifications in its own thread.

    A receiver that is away, slow or asks for a pause makes its own channel wait and no other. A notification that it
    does not take waits longer each time, while the others go on.

    Args:
        outcomes: takes an Outcome for each notification put.
        may_send: whether this process still is the one that sends.
        illustrate: gives a notification with the thumbnail that the channel may have.
    """

    def __init__(
        self,
        channel: Channel,
        rules: Alert,
        outcomes: queue.SimpleQueue[Outcome],
        may_send: Callable[[], bool],
        illustrate: Callable[[Notification, Channel], Notification],
    ) -> None:
        self._channel = channel
        self._rules = rules
        self._outcomes = outcomes
        self._may_send = may_send
        self._illustrate = illustrate
        self._send = open_channel(channel)
        self._queue: deque[_Letter] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._paused_until = 0.0
        self._thread = threading.Thread(target=self._run, name=f"alert-{channel.name}", daemon=True)
        self._thread.start()

    def has_room(self, more: int) -> bool:
        """Whether one notification fits beside those that wait and `more` that are about to."""
        with self._changed:
            return len(self._queue) + more < self._rules.queue

    def put(self, unsent: Unsent) -> None:
        """Send it as soon as may be."""
        with self._changed:
            self._queue.append(_Letter(unsent, time.monotonic()))
            self._changed.notify()

    def stop(self) -> None:
        """Begin no other attempt."""
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def join(self, seconds: float) -> None:
        """Wait for the attempt under way; one that takes longer is left alone."""
        self._thread.join(seconds)

    def publish(self) -> None:
        """Set the gauges of what waits."""
        with self._changed:
            count = len(self._queue)
            oldest = min((letter.came for letter in self._queue), default=None)
        ALERTS_PENDING.labels(self._channel.name).set(count)
        ALERT_OLDEST_SECONDS.labels(self._channel.name).set(0.0 if oldest is None else time.monotonic() - oldest)

    def publish_nothing(self) -> None:
        """Nothing waits here: another process sends now, or will."""
        ALERTS_PENDING.labels(self._channel.name).set(0)
        ALERT_OLDEST_SECONDS.labels(self._channel.name).set(0.0)

    def _run(self) -> None:
        while (letter := self._next()) is not None:
            self._attempt(letter)

    def _next(self) -> _Letter | None:
        """The first letter whose time has come; it stays in the queue. None at the end."""
        with self._changed:
            while not self._stopping:
                now = time.monotonic()
                if now >= self._paused_until and self._may_send():
                    letter = next((one for one in self._queue if one.not_before <= now), None)
                    if letter is not None:
                        return letter
                self._changed.wait(min(IDLE_SECONDS, self._rules.first_pause_seconds))
        return None

    def _attempt(self, letter: _Letter) -> None:
        channel, notification = self._channel, letter.unsent.notification
        name = channel.name
        # Apprise does not say whether it was the file that was not taken: after a first no, words are sent alone
        illustrated = channel.thumbnails.some and (channel.apprise is None or not letter.attempts)
        try:
            self._send(self._illustrate(notification, channel) if illustrated else notification)
        except Refused as refused:
            ALERT_FAILURES.labels(name, refused.reason).inc()
            self._wait_after(letter, refused)
        except Exception:
            log.exception("a notification could not be made", channel=name)
            ALERT_FAILURES.labels(name, "internal-error").inc()
            self._finish(letter, "internal error: the log has the traceback")
        else:
            ALERTS_SENT.labels(name, notification.kind).inc()
            self._finish(letter, None)

    def _wait_after(self, letter: _Letter, refused: Refused) -> None:
        now, rules = time.monotonic(), self._rules
        letter.attempts += 1
        log.warning(
            "a notification was not taken",
            channel=self._channel.name,
            notification=letter.unsent.notification.notification_id,
            attempt=letter.attempts,
            reason=refused.reason,
            detail=str(refused),
        )
        if refused.final:
            self._finish(letter, str(refused))
            return
        pause = min(
            rules.longest_pause_seconds, rules.first_pause_seconds * 2 ** min(letter.attempts, MOST_DOUBLINGS)
        )
        letter.not_before = now + pause * random.uniform(0.5, 1.0)
        if refused.pause is not None:
            self._paused_until = now + min(rules.longest_pause_seconds, refused.pause)
        elif refused.reason in {"timeout", "connection"}:
            # the receiver is not there: what else waits would only wait for the same
            self._paused_until = letter.not_before
        with self._changed:
            late = [one for one in self._queue if now - one.came > self._channel.patience_seconds]
        for one in late:
            self._finish(one, f"{one.attempts} attempts, the latest: {refused}")

    def _finish(self, letter: _Letter, given_up: str | None) -> None:
        with self._changed:
            self._queue.remove(letter)
        self._outcomes.put(Outcome(letter.unsent, given_up))
