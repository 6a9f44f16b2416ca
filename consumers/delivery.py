"""Reading from Kafka and writing to it so that every record counts: transactions, offsets, fencing.

The other consumers reach Kafka through here. Two settings of delivery share one call: `transactions` writes records
and offsets in one Kafka transaction; `at-least-once` (for brokers without transactions) awaits every acknowledgement
of an idempotent producer and commits afterwards.
"""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from consumers.topics import kafka_properties

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from consumers.settings import Settings

    OnPartitions = Callable[[Consumer, list[TopicPartition]], None]

TRANSACTION_TIMEOUT_MS = 10_000
LARGEST_MESSAGE_BYTES = 64 * 2**20
QUEUED_KBYTES = 32 * 1024
FIRST_POLL_SECONDS = 0.2
POLL_SECONDS = 0.01
"""Longest single poll: what other threads ask of the consumer waits for its end."""


log = structlog.get_logger()


class Aborted(RuntimeError):  # noqa: N818  # the batch's fate, not a defect
    """Nothing of the batch was written: rewind it, or take the cell over again. `reason` fits a metric label."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class Fenced(RuntimeError):  # noqa: N818
    """Somebody else has taken this transactional id over: stop, and write nothing more."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.reason = "fenced"


class DeliveryError(RuntimeError):
    """Kafka refuses for good; the message is one line that says what and what to do."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to be written. A partition of -1 leaves the choice to the key."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    partition: int = -1


class Delivery(Protocol):
    """Writes records and commits the offsets they come from, together."""

    def deliver(
        self,
        messages: Iterable[Outgoing],
        offsets: Sequence[TopicPartition] = (),
        consumer: GroupConsumer | None = None,
        group: Any = None,
    ) -> None:
        """Write all of `messages` and commit `offsets`, or neither.

        Args:
            offsets: the next offset to read of every partition the messages come from.
            consumer: whose offsets they are; needed with offsets.
            group: its group metadata, taken by `group_metadata` when the records were polled.

        Raises:
            Aborted: nothing was committed. Under at-least-once some messages may have been written.
            Fenced: another producer has this transactional id.
        """

    def close(self) -> None:
        """Let go of the producer; nothing is sent any more."""


@dataclass(slots=True)
class _Commit:
    offsets: list[TopicPartition]
    done: threading.Event = field(default_factory=threading.Event)
    error: Exception | None = None


class GroupConsumer(Consumer):
    """A consumer made and polled in one thread, whose offsets may be committed from another.

    Attributes:
        failure: what a callback raised: an exception that crosses librdkafka would lose messages.
    """

    failure: Exception | None = None

    def __init__(self, properties: dict[str, Any]) -> None:
        super().__init__(properties)
        self._polling = threading.get_ident()
        self._commits: queue.SimpleQueue[_Commit] = queue.SimpleQueue()

    def commit_offsets(self, offsets: Sequence[TopicPartition], timeout: float) -> None:
        """Commit, from whichever thread.

        confluent-kafka lets one call into a consumer at a time: a thread that polls all the time would never let
        another in. So the polling thread commits, in `serve_commits`.

        Raises:
            KafkaException: refused, or not served within `timeout` seconds.
        """
        if threading.get_ident() == self._polling:
            _check_committed(self.commit(offsets=list(offsets), asynchronous=False))
            return
        request = _Commit(list(offsets))
        self._commits.put(request)
        if not request.done.wait(timeout):
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "offsets were not committed"))  # noqa: SLF001
        if request.error is not None:
            raise request.error

    def serve_commits(self) -> None:
        """Commit what other threads have asked for; the polling thread calls this whenever it waits."""
        while not self._commits.empty():
            request = self._commits.get()
            try:
                _check_committed(self.commit(offsets=request.offsets, asynchronous=False))
            except KafkaException as error:
                request.error = error
            request.done.set()


def open_consumer(
    settings: Settings,
    group: str,
    *,
    topic: str,
    on_assign: OnPartitions | None = None,
    on_revoke: OnPartitions | None = None,
    on_lost: OnPartitions | None = None,
    from_start: bool = True,
) -> GroupConsumer:
    """A consumer of `topic` in `group`: cooperative, committing by hand, seeing committed records only.

    Args:
        from_start: where the group has no offset yet, begin at the start of the log; else refuse to guess.
    """
    properties: dict[str, Any] = {
        "group.id": group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest" if from_start else "error",
        "isolation.level": "read_committed" if settings.kafka.delivery == "transactions" else "read_uncommitted",
        # one fetch, and all that waits in the client, stay within what the pipeline can hold
        "fetch.message.max.bytes": 8 * 2**20,
        "fetch.max.bytes": 16 * 2**20,
        "queued.max.messages.kbytes": QUEUED_KBYTES,
        "fetch.queue.backoff.ms": 5,
        "group.protocol": settings.kafka.group_protocol,
    }
    if settings.kafka.group_protocol == "classic":
        properties["partition.assignment.strategy"] = "cooperative-sticky"
    consumer = GroupConsumer(properties | kafka_properties(settings))
    consumer.subscribe(
        [topic],
        on_assign=_guarded(on_assign),
        on_revoke=_guarded(on_revoke),
        on_lost=_guarded(on_lost),
    )
    return consumer


def _guarded(callback: OnPartitions | None) -> OnPartitions:
    def call(consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if callback is None:
            return
        try:
            callback(consumer, partitions)
        except Exception as error:  # noqa: BLE001  # kept, and raised by `collect`
            if isinstance(consumer, GroupConsumer):
                consumer.failure = error

    return call


def group_metadata(consumer: Consumer) -> Any:
    """What a transaction sends so that a member that was replaced is refused.

    Raises:
        Aborted: the consumer is no member; Kafka takes offsets without a member id from anybody, so none are sent.
    """
    metadata = consumer.consumer_group_metadata()
    if not consumer.memberid():
        raise Aborted("no-member", "the consumer has left its group")
    return metadata


def collect(
    consumer: GroupConsumer, *, count: int, size_bytes: int, wait_ms: float, stop: threading.Event
) -> list[Message]:
    """A batch: waits briefly for a first record, then until `count` records, `size_bytes` or `wait_ms`.

    Raises:
        Exception: what a rebalance callback raised. KafkaException: an error that does not pass by itself.
    """
    batch: list[Message] = []
    size = 0
    deadline = time.monotonic() + FIRST_POLL_SECONDS
    while len(batch) < count and size < size_bytes and not stop.is_set():
        consumer.serve_commits()
        message = consumer.poll(min(POLL_SECONDS, max(0.0, deadline - time.monotonic())))
        if consumer.failure is not None:
            failure, consumer.failure = consumer.failure, None
            raise failure
        if message is None:
            if time.monotonic() >= deadline:
                break
            continue
        error = message.error()
        if error is not None:
            _pass_over(error)
            continue
        if not batch:
            deadline = time.monotonic() + wait_ms / 1000
        batch.append(message)
        size += len(message.value() or b"") + len(message.key() or b"")
    return batch


def _pass_over(error: KafkaError) -> None:
    if error.fatal() or error.code() in _FINAL:
        raise KafkaException(error)
    log.warning("kafka", error=error.str(), code=error.name())


_FINAL = {
    KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001  # confluent-kafka names librdkafka's own codes with an underscore
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
}


def next_offsets(messages: Iterable[Message]) -> list[TopicPartition]:
    """The offset after the last of `messages`, for each partition they come from."""
    ends = {(m.topic() or "", m.partition() or 0): (m.offset() or 0) + 1 for m in messages}
    return [TopicPartition(topic, partition, offset) for (topic, partition), offset in ends.items()]


def open_delivery(settings: Settings, transactional_id: str) -> Delivery:
    """The delivery that the settings ask for. With transactions, the id's former owner is fenced off now.

    Raises:
        DeliveryError: the broker refuses transactions under this id.
    """
    if settings.kafka.delivery == "transactions":
        return Transactions(settings, transactional_id)
    return AtLeastOnce(settings)


def _producer_properties(settings: Settings) -> dict[str, Any]:
    return {
        "enable.idempotence": True,
        "message.max.bytes": LARGEST_MESSAGE_BYTES,
        "compression.type": "lz4",
        "linger.ms": 2,
        "queue.buffering.max.kbytes": 256 * 1024,
        "delivery.timeout.ms": int(settings.kafka.request_timeout_seconds * 1000),
    } | kafka_properties(settings)


class _Reports:
    """Collects the delivery reports of one batch: callbacks may not raise, so the first error is kept."""

    def __init__(self) -> None:
        self.error: KafkaError | None = None

    def __call__(self, error: KafkaError | None, _message: Message) -> None:
        self.error = self.error or error


def _produce_all(producer: Producer, messages: Iterable[Outgoing], reports: _Reports, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    for message in messages:
        while True:
            try:
                producer.produce(
                    message.topic,
                    value=message.value,
                    key=message.key,
                    partition=message.partition,
                    headers=list(message.headers),
                    on_delivery=reports,
                )
            except BufferError:
                if time.monotonic() > deadline:
                    raise
                producer.poll(0.05)
            else:
                break
    producer.poll(0)


class Transactions:
    """Effectively once: every batch is one Kafka transaction."""

    def __init__(self, settings: Settings, transactional_id: str) -> None:
        self._timeout = settings.kafka.request_timeout_seconds
        self._properties = _producer_properties(settings) | {
            "transactional.id": transactional_id,
            "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
            "delivery.timeout.ms": TRANSACTION_TIMEOUT_MS,
        }
        self._producer = self._begin_again()

    def deliver(
        self,
        messages: Iterable[Outgoing],
        offsets: Sequence[TopicPartition] = (),
        consumer: GroupConsumer | None = None,
        group: Any = None,
    ) -> None:
        """One transaction of records and offsets; see `Delivery.deliver`."""
        if offsets and (consumer is None or group is None):
            raise Aborted("no-member", "offsets need the group metadata of the consumer that read them")
        reports = _Reports()
        try:
            self._producer.begin_transaction()
            _produce_all(self._producer, messages, reports, self._timeout)
            if offsets:
                self._retried(lambda: self._producer.send_offsets_to_transaction(list(offsets), group, self._timeout))
            self._retried(lambda: self._producer.commit_transaction(self._timeout))
        except (KafkaException, BufferError) as error:
            self._abort(error, reports)

    def close(self) -> None:
        """Drop the producer without waiting: what is open will be aborted by the id's next owner or by time."""
        self._producer.purge()
        self._producer.poll(0)

    def _retried(self, call: Callable[[], object]) -> None:
        """Repeat a call that librdkafka calls retriable, until the request timeout."""
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                call()
            except KafkaException as error:
                if not _error_of(error).retriable() or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def _abort(self, error: Exception, reports: _Reports) -> None:
        """Give the transaction up, so that another can begin, and say why."""
        found = _error_of(error)
        if found.code() in _FENCING:
            raise Fenced(f"transactional id taken over: {found.str()}") from error
        reason = reports.error or found
        try:
            if found.fatal():
                raise KafkaException(found)
            self._retried(lambda: self._producer.abort_transaction(self._timeout))
        except KafkaException as failure:
            if _error_of(failure).code() in _FENCING:
                raise Fenced(f"transactional id taken over: {_error_of(failure).str()}") from error
            # what became of the transaction is unknown: a new producer with this id settles it before anything else
            self.close()
            self._producer = self._begin_again()
        raise Aborted(reason.name().lower().strip("_"), reason.str()) from error

    def _begin_again(self) -> Producer:
        producer = Producer(self._properties)
        try:
            self._retried(lambda: producer.init_transactions(self._timeout))
        except KafkaException as error:
            found = _error_of(error)
            raise DeliveryError(
                f"Kafka refuses transactions as {self._properties['transactional.id']}: {found.str()}; "
                "check the brokers, or set kafka.delivery to at-least-once where they have no transactions"
            ) from error
        return producer


_FENCING = {
    KafkaError._FENCED,  # noqa: SLF001
    KafkaError.PRODUCER_FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
}


def _error_of(error: Exception) -> KafkaError:
    found = error.args[0] if isinstance(error, KafkaException) else None
    return found if isinstance(found, KafkaError) else KafkaError(KafkaError._QUEUE_FULL, str(error))  # noqa: SLF001


class AtLeastOnce:
    """Every acknowledgement is awaited, then the offsets are committed; a crash in between repeats records."""

    def __init__(self, settings: Settings) -> None:
        self._timeout = settings.kafka.request_timeout_seconds
        self._properties = _producer_properties(settings) | {"enable.gapless.guarantee": True}
        self._producer = Producer(self._properties)

    def deliver(
        self,
        messages: Iterable[Outgoing],
        offsets: Sequence[TopicPartition] = (),
        consumer: GroupConsumer | None = None,
        group: Any = None,
    ) -> None:
        """Records, then offsets; see `Delivery.deliver`."""
        del group
        reports = _Reports()
        try:
            _produce_all(self._producer, messages, reports, self._timeout)
            waiting = self._producer.flush(self._timeout)
            if reports.error is not None:
                raise KafkaException(reports.error)
            if waiting:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{waiting} records unacknowledged"))  # noqa: SLF001
            if offsets and consumer is not None:
                consumer.commit_offsets(offsets, self._timeout)
        except (KafkaException, BufferError) as error:
            found = _error_of(error)
            self.close()
            self._producer = Producer(self._properties)
            raise Aborted(found.name().lower().strip("_"), found.str()) from error

    def close(self) -> None:
        """Drop the producer and what it still holds."""
        self._producer.purge()
        self._producer.poll(0)


def _check_committed(partitions: list[TopicPartition] | None) -> None:
    for partition in partitions or []:
        if partition.error is not None:
            raise KafkaException(partition.error)


class TopicIds:
    """Kafka's ids of topics: a topic deleted and made again has another one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: dict[str, str] = {}

    def of(self, topic: str) -> str:
        """The id of `topic`; on brokers without ids, `kafka.topic_identity` stands in.

        Raises:
            KafkaException: the broker does not know the topic.
        """
        if topic not in self._known:
            self._known[topic] = self._ask(topic)
        return self._known[topic]

    def forget(self) -> None:
        """Ask again at the next call."""
        self._known.clear()

    def _ask(self, topic: str) -> str:
        if self._settings.kafka.topic_identity is not None:
            return self._settings.kafka.topic_identity
        timeout = self._settings.kafka.request_timeout_seconds
        admin = AdminClient(kafka_properties(self._settings))
        found = admin.describe_topics(TopicCollection([topic]), request_timeout=timeout)
        return str(found[topic].result(timeout).topic_id)
