"""Flags -> people: groups them into campaigns and tells the channels, each at its own pace.

One process at a time alerts, the one that holds the lease in Redis; others stand by. What is to be sent stands in
Redis before it is sent, so a crash repeats a notification under the same id and loses none.
"""

from __future__ import annotations

import queue
import time
import uuid
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import msgspec
import structlog
from confluent_kafka import KafkaException

from consumers.alerting.composing import compose
from consumers.alerting.grouping import Grouping, lowest
from consumers.alerting.reader import NAME, AlertReader
from consumers.alerting.relatives import MOST_CANDIDATES, open_relatives
from consumers.alerting.sender import Outcome, Sender
from consumers.alerting.thumbnails import Thumbnails
from consumers.alerting.undelivered import NOT_DELIVERED, STEP, put_back, undelivered
from consumers.contracts.codec import MessageError, decode_json
from consumers.contracts.flag import SCHEMA, Flag
from consumers.encoding.work import Failure
from consumers.kafka.dead_letters import dead_letter
from consumers.kafka.delivery import Aborted, Delivery, DeliveryError, Fenced, Outgoing, open_delivery
from consumers.kafka.lookup import record_of
from consumers.metrics import (
    ALERT_ACTIVE,
    ALERT_CAMPAIGNS,
    ALERT_UNTOLD_FLAGS,
    ALERTS_GIVEN_UP,
    DEAD_LETTERS,
    PARTITIONS,
)
from consumers.names import alert_group
from consumers.state.alerts import AlertStore, Changes, Unsent
from consumers.state.store import StateUnavailable

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable

    from confluent_kafka import Message

    from consumers.alerting.grouping import Held, Place
    from consumers.http import Health
    from consumers.settings import Settings

BATCH_FLAGS = 500
WAIT_SECONDS = 0.2
COMMIT_SECONDS = 1.0
FORGET_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 10.0
JOIN_SECONDS = 1.0

log = structlog.get_logger()
_decoder = msgspec.json.Decoder(Flag)


def run_alert(settings: Settings, stop: threading.Event, health: Health) -> None:
    """Tell moderators of flags until `stop` is set. Kafka and Redis may be away: it waits for them.

    Raises:
        CodecError: the state in Redis was written by another version of Shoal.
    """
    store = AlertStore(settings, uuid.uuid4().hex)
    failures = 0
    health.set_started(NAME)
    try:
        while not stop.is_set():
            health.beat(NAME)
            try:
                if store.acquire():
                    failures += 1
                    _alert(settings, store, stop, health)
                failures = 0
                health.set_ready(NAME, ready=True)
                stop.wait(min(1.0, settings.alert.lease_seconds / 4))
            except (StateUnavailable, KafkaException, DeliveryError, Aborted, Fenced) as error:
                log.warning("alerting begins again", attempt=failures, error=str(error))
                health.set_ready(NAME, ready=False)
                stop.wait(min(LONGEST_PAUSE_SECONDS, 0.1 * 2 ** min(failures, 10)))
                failures += 1
            finally:
                ALERT_ACTIVE.set(0)
                PARTITIONS.labels(NAME).set(0)
    finally:
        with suppress(StateUnavailable):
            store.release()
        store.close()


def _alert(settings: Settings, store: AlertStore, stop: threading.Event, health: Health) -> None:
    """Alert as long as the lease is ours."""
    with ExitStack() as closing:
        reader = AlertReader(settings)
        closing.callback(reader.close)
        if not store.acquire():
            return
        alerter = Alerter(settings, store, reader)
        closing.callback(alerter.close)
        log.info("alerting", channels=[channel.name for channel in settings.alert.channels])
        while not stop.is_set():
            if not alerter.work(reader.poll(BATCH_FLAGS, WAIT_SECONDS)):
                return
            health.beat(NAME)
            health.set_ready(NAME, ready=True)
            ALERT_ACTIVE.set(1)
            reader.publish_lag(alerter.positions)
        alerter.finish()


class Alerter:
    """Everything that one holder of the lease knows, from what Redis keeps on.

    Attributes:
        positions: partition -> the next offset to read.
    """

    def __init__(self, settings: Settings, store: AlertStore, reader: AlertReader) -> None:
        self._settings = settings
        self._store = store
        self._reader = reader
        kept = store.read()
        reader.begin_at(kept.positions)
        self._grouping = Grouping(settings.alert, kept.campaigns, kept.flags)
        self.positions = dict(kept.positions)
        self._outbox: dict[str, Unsent] = {}
        self._serial = 0
        self._moved: set[str] = set()
        self._changed: set[str] = set()
        self._fresh: list[Unsent] = []
        self._letters: list[Outgoing] = []
        self._given_up: list[tuple[str, str]] = []
        self._outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._delivery: Delivery | None = None
        self._committed: dict[str, int] = {}
        self._held_until = self._next_renewal = self._next_commit = self._next_forgetting = 0.0
        self._relatives = open_relatives(settings)
        thumbnails = Thumbnails(settings)
        self._senders = {
            channel.name: Sender(channel, settings.alert, self._outcomes, self._may_send, thumbnails.added)
            for channel in settings.alert.channels
        }
        for unsent in sorted(kept.outbox.values(), key=lambda one: one.serial):
            self._put(unsent)

    def work(self, messages: list[Message]) -> bool:
        """Fold these messages, send what is due, keep it all; False when the lease is lost.

        Raises:
            StateUnavailable, Aborted, Fenced, DeliveryError: begin again from what is kept.
        """
        now_ms = time.time_ns() // 1_000_000
        for message in messages:
            self._take(message, now_ms)
        self._hear(now_ms)
        self._compose(now_ms)
        self._deliver_letters()
        if not self._keep():
            return False
        self._commit()
        for sender in self._senders.values():
            sender.publish()
        ALERT_CAMPAIGNS.set(len(self._grouping.campaigns))
        ALERT_UNTOLD_FLAGS.set(self._grouping.waiting())
        return True

    def finish(self) -> None:
        """Let the attempts under way end, and keep what became of them."""
        for sender in self._senders.values():
            sender.stop()
        deadline = time.monotonic() + JOIN_SECONDS
        for sender in self._senders.values():
            sender.join(max(0.0, deadline - time.monotonic()))
        self._next_commit = 0.0
        self.work([])

    def close(self) -> None:
        """Send nothing more."""
        for sender in self._senders.values():
            sender.stop()
            sender.publish_nothing()
        if self._relatives is not None:
            self._relatives.close()
        if self._delivery is not None:
            self._delivery.close()

    def _take(self, message: Message, now_ms: int) -> None:
        """One record of the flags, or of the notifications put back; what cannot be read is a dead letter."""
        place, record = self._reader.place(message), record_of(message)
        failure = None
        try:
            if message.topic() == self._settings.topics.alerts:
                channel, notification = put_back(record)
                held = {place.partition: place.offset}
                self._put(Unsent(channel=channel, notification=notification, held=held, serial=self._serial + 1))
            else:
                self._fold(decode_json(_decoder, record.value, SCHEMA), place, now_ms)
        except MessageError as error:
            failure = Failure(error.reason, STEP, str(error))
        except Exception as error:
            log.exception("a flag could not be folded", partition=place.partition, offset=place.offset)
            failure = Failure("internal-error", STEP, f"{type(error).__name__}: {error}")
        if failure is not None:
            self._letters.append(dead_letter(record, failure, self._settings))
            self._given_up.append((failure.reason, ""))
        self.positions[place.partition] = place.offset + 1
        self._moved.add(place.partition)

    def _fold(self, flag: Flag, place: Place, now_ms: int) -> None:
        related: Iterable[str] = ()
        if self._relatives is not None and not self._grouping.knows(flag):
            candidates = self._grouping.candidates(flag, MOST_CANDIDATES)
            related = self._relatives.of(flag.bundle, flag.cluster_id, candidates)
        self._grouping.fold(flag, place, now_ms, related)

    def _hear(self, now_ms: int) -> None:
        """What became of notifications that were sent, or could not be."""
        while not self._outcomes.empty():
            unsent, given_up = self._outcomes.get()
            if given_up is not None:
                self._give_up(unsent, given_up, now_ms)
            if self._outbox.pop(unsent.field, None) is not None:
                self._changed.add(unsent.field)

    def _compose(self, now_ms: int) -> None:
        """Put what is due into the outbox."""
        if time.monotonic() >= self._next_forgetting:
            self._grouping.forget(now_ms)
            self._next_forgetting = time.monotonic() + FORGET_SECONDS
        due = self._grouping.due(now_ms)
        if not due:
            return
        for channel in self._settings.alert.channels:
            above = self._settings.alert.summary_above
            for notification, held in compose(due, channel, above=above, now_ms=now_ms):
                self._put(Unsent(channel=channel.name, notification=notification, held=held, serial=self._serial + 1))

    def _put(self, unsent: Unsent) -> None:
        """Into the outbox, and from there to the channel once that is kept; a dead letter where there is no room."""
        self._serial = max(self._serial, unsent.serial)
        now_ms = time.time_ns() // 1_000_000
        sender = self._senders.get(unsent.channel)
        if unsent.field in self._outbox:
            return
        self._changed.add(unsent.field)
        if sender is None:
            self._give_up(unsent, "there is no such channel", now_ms)
        elif not sender.has_room(sum(one.channel == unsent.channel for one in self._fresh)):
            self._give_up(unsent, "too many notifications wait for it", now_ms)
        else:
            self._outbox[unsent.field] = unsent
            self._fresh.append(unsent)

    def _give_up(self, unsent: Unsent, detail: str, now_ms: int) -> None:
        self._letters.append(undelivered(unsent, detail, self._settings, now_ms))
        self._given_up.append((NOT_DELIVERED, unsent.channel))
        log.error("a notification is a dead letter", channel=unsent.channel, detail=detail)

    def _deliver_letters(self) -> None:
        if not self._letters:
            return
        if self._delivery is None:
            self._delivery = open_delivery(self._settings, f"{alert_group(self._settings)}.{uuid.uuid4()}")
        self._delivery.deliver(self._letters)
        for reason, channel in self._given_up:
            DEAD_LETTERS.labels(reason, STEP).inc()
            if channel:
                ALERTS_GIVEN_UP.labels(channel).inc()
        self._letters, self._given_up = [], []

    def _keep(self) -> bool:
        """Write what has changed to Redis, and hand what is new to the senders."""
        grouping = self._grouping
        changed = self._moved or self._changed or grouping.changed_campaigns or grouping.changed_flags
        began = time.monotonic()
        if not changed and began < self._next_renewal:
            return True
        changes = Changes(
            {name: self.positions[name] for name in self._moved},
            {key: grouping.campaigns.get(key) for key in grouping.changed_campaigns},
            {flag: grouping.flags.get(flag) for flag in grouping.changed_flags},
            {field: self._outbox.get(field) for field in self._changed},
        )
        if not self._store.keep(changes):
            log.warning("another process alerts, or Redis has lost the lease")
            return False
        lease = self._settings.alert.lease_seconds
        self._held_until, self._next_renewal = began + lease, began + lease / 4
        grouping.settle()
        self._moved.clear()
        self._changed.clear()
        for unsent in self._fresh:
            self._senders[unsent.channel].put(unsent)
        self._fresh = []
        return True

    def _commit(self) -> None:
        """Commit to Kafka how far everything has been told: where reading begins if Redis loses all it keeps."""
        if time.monotonic() < self._next_commit:
            return
        self._next_commit = time.monotonic() + COMMIT_SECONDS
        untold: Held = lowest([self._grouping.held(), *(unsent.held for unsent in self._outbox.values())])
        told = {
            name: min(position, untold.get(name, position))
            for name, position in (self._reader.start | self.positions).items()
        }
        if told == self._committed:
            return
        try:
            self._reader.commit(told)
        except KafkaException as error:
            log.warning("offsets were not committed; they will be", reason=str(error))
        else:
            self._committed = told

    def _may_send(self) -> bool:
        return time.monotonic() < self._held_until
