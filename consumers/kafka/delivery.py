"""Reading from Kafka and writing to it so that every record counts: transactions, offsets, fencing.

The other consumers reach Kafka through here. Two settings of delivery share one call: `transactions` writes records
and offsets in one Kafka transaction; `at-least-once` (for brokers without transactions) awaits every acknowledgement
of an idempotent producer and commits afterwards.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, cast

import msgspec
import structlog
import tenacity
from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from consumers.kafka.lag import ReadTo
from consumers.kafka.topics import kafka_properties
from consumers.metrics import REFUSED_DEAD_LETTERS

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Sequence

    from consumers.settings import Settings

    OnPartitions = Callable[[Consumer, list[TopicPartition]], None]

TRANSACTION_TIMEOUT_MS = 10_000
CONCURRENT_BACKOFF_MS = 5
"""First pause before a refused request is sent again, doubled each time up to a second. A transaction that follows
another at once is refused until that one's markers are written, some milliseconds later; librdkafka's 100 ms would
bound a producer to nine transactions a second."""

ABSENT_TOPIC_MS = 5_000
"""How long a record waits for a topic that the brokers do not know."""

LARGEST_MESSAGE_BYTES = 64 * 2**20
QUEUED_KBYTES = 32 * 1024
ANSWER_SECONDS = 5.0
FEW_REFUSALS = 8
"""After so many the pause before the next try is as long as it gets."""

REPORT_SECONDS = 0.5
FIRST_POLL_SECONDS = 0.2
SPARE_SECONDS = 15.0
"""A member of a group that has been given nothing for so long is a spare."""

METADATA_MS = 10_000
"""How soon partitions added to a topic are noticed, and that a topic is gone; librdkafka would take five minutes."""

POLL_SECONDS = 0.01
"""Longest single poll: what other threads ask of the consumer waits for its end."""


log = structlog.get_logger()


class Aborted(RuntimeError):  # noqa: N818  # the batch's fate, not a defect
    """Nothing of the batch was written: rewind it, or take the cell over again. `reason` fits a metric label."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class GenerationMoved(Aborted):
    """The offsets came with an older generation of the group; the producer is the one it was, not a new one."""


class Fenced(RuntimeError):  # noqa: N818
    """Somebody else has taken this transactional id over: stop, and write nothing more."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.reason = "fenced"


class DeliveryError(RuntimeError):
    """Kafka refuses for good; the message is one line that says what and what to do."""


class RecordsGoneError(DeliveryError):
    """The log does not hold what is to be read next, or is another one: only an operator can say how to go on."""


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """A record to be written. A partition of -1 leaves the choice to the key."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    partition: int = -1


def in_batches(messages: Iterable[Outgoing], *, count: int, size_bytes: int) -> Iterator[list[Outgoing]]:
    """The messages in batches, each closed by `count` of them or `size_bytes` of values: whichever comes first."""
    batch: list[Outgoing] = []
    size = 0
    for message in messages:
        batch.append(message)
        size += len(message.value or b"")
        if len(batch) >= count or size >= size_bytes:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


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
            GenerationMoved: with transactions only: the same call may succeed with newer group metadata.
            Fenced: another producer has this transactional id.
        """

    def close(self) -> None:
        """Let go of the producer; nothing is sent any more."""


@dataclass(slots=True)
class _Question:
    ask: Callable[[], Any]
    done: threading.Event = field(default_factory=threading.Event)
    answer: Any = None
    error: Exception | None = None


class GroupConsumer(Consumer):
    """A consumer made and polled in one thread; another may commit its offsets, and ask who it is in its group.

    confluent-kafka lets one call into a consumer at a time: a thread that polls all the time would never let another
    in. So the polling thread does what others want of it, in `serve`.

    Attributes:
        failure: what a callback raised: an exception that crosses librdkafka would lose messages.
        taken: partitions (topic, number) revoked or lost since the last poll: what was read of them is not ours.
        gained: partitions assigned of which reading has not begun yet.
        read_to: up to where each partition was read.
        group: the consumer group.

    Args:
        may_skip: whether an operator may let the group go on without records that are gone.
    """

    failure: Exception | None = None

    def __init__(self, properties: dict[str, Any], *, may_skip: bool = False) -> None:
        super().__init__(properties)
        self.taken: set[tuple[str, int]] = set()
        self.gained: set[tuple[str, int]] = set()
        self.read_to = ReadTo()
        self.group = str(properties.get("group.id"))
        self._brokers = properties.get("bootstrap.servers")
        self._may_skip = may_skip
        self._polling = threading.get_ident()
        self._questions: queue.SimpleQueue[_Question] = queue.SimpleQueue()

    def commit_offsets(self, offsets: Sequence[TopicPartition], timeout: float) -> None:
        """Commit, from whichever thread.

        Raises:
            KafkaException: refused, or not served within `timeout` seconds.
        """
        self._ask(lambda: _check_committed(self.commit(offsets=list(offsets), asynchronous=False)), timeout)

    def group_metadata_now(self, member: str, place: TopicPartition, timeout: float) -> Any:
        """The group metadata of this moment, from whichever thread, if `member` is still the one that owns `place`.

        Raises:
            Aborted: the consumer is another member by now or none, or the partition is being taken away.
            KafkaException: not served within `timeout` seconds.
        """

        def look() -> Any:
            metadata = group_metadata(self)
            owned = {(one.topic, one.partition) for one in self.assignment()} - self.taken
            if self.memberid() != member or (place.topic, place.partition) not in owned:
                raise Aborted("not-ours", f"{place.topic} [{place.partition}] is not this member's any more")
            return metadata

        return self._ask(look, timeout)

    def serve(self) -> None:
        """Do what other threads have asked for; the polling thread calls this whenever it waits."""
        while not self._questions.empty():
            question = self._questions.get()
            try:
                question.answer = question.ask()
            except (KafkaException, Aborted) as error:
                question.error = error
            question.done.set()

    def _ask(self, ask: Callable[[], Any], timeout: float) -> Any:
        if threading.get_ident() == self._polling:
            return ask()
        question = _Question(ask)
        self._questions.put(question)
        if not question.done.wait(timeout):
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "the polling thread does not answer"))  # noqa: SLF001
        if question.error is not None:
            raise question.error
        return question.answer

    def skip(self, subject: str) -> str:
        """The end of a message on records that are gone: how to go on without them.

        Args:
            subject: a topic, or `topic:partition`.
        """
        if not self._may_skip:
            return "; restart, and read what is said of this cell then"
        return (
            "; to go on without what is gone, stop the workers and run kafka-consumer-groups.sh --bootstrap-server "
            f"{self._brokers} --group {self.group} --topic {subject} --reset-offsets "
            "--to-earliest --execute"
        )


def open_consumer(
    settings: Settings,
    group: str,
    *,
    topic: str,
    on_assign: OnPartitions | None = None,
    on_revoke: OnPartitions | None = None,
    on_lost: OnPartitions | None = None,
    may_skip: bool = True,
) -> GroupConsumer:
    """A consumer of `topic` in `group`: cooperative, committing by hand, seeing committed records only.

    It never moves to another offset by itself: who takes partitions says where to read them from.

    Args:
        may_skip: whether an operator may let the group go on without records that are gone.
    """
    properties: dict[str, Any] = {
        "group.id": group,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "error",
        "topic.metadata.refresh.interval.ms": METADATA_MS,
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
    consumer = GroupConsumer(properties | kafka_properties(settings), may_skip=may_skip)
    consumer.subscribe(
        [topic],
        on_assign=_guarded(on_assign, takes=False),
        on_revoke=_guarded(on_revoke, takes=True),
        on_lost=_guarded(on_lost, takes=True),
    )
    return consumer


def _guarded(callback: OnPartitions | None, *, takes: bool) -> OnPartitions:
    def call(consumer: Consumer, partitions: list[TopicPartition]) -> None:
        places = {(place.topic, place.partition) for place in partitions}
        if takes and isinstance(consumer, GroupConsumer):
            consumer.taken |= places
            consumer.gained -= places
        elif isinstance(consumer, GroupConsumer):
            consumer.gained |= places
        if callback is None:
            return
        try:
            callback(consumer, partitions)
        except Exception as error:  # noqa: BLE001  # kept, and raised by `collect`
            if isinstance(consumer, GroupConsumer):
                consumer.failure = error

    return call


def assign_paused(consumer: Consumer, partitions: list[TopicPartition]) -> None:
    """Take partitions without reading them: their taker says from where, and resumes them.

    They are taken at an absolute offset. One that stands for the beginning is looked up by librdkafka, and where the
    answer comes after a seek, it asks again half a second later and goes there all the same (2.16,
    rd_kafka_toppar_handle_Offset); an answer waits behind a fetch, so that is usual. Paused before they are taken,
    they are never fetched from that offset, which the log need not hold any more.
    """
    for place in partitions:
        # only a partition that the client knows of can be paused, and this makes it known
        consumer.get_watermark_offsets(place, cached=True)
        place.offset = 0
    consumer.pause(partitions)
    consumer.incremental_assign(partitions)


def group_metadata(consumer: Consumer) -> Any:
    """What a transaction sends so that a member that was replaced is refused.

    Raises:
        Aborted: the consumer is no member; Kafka takes offsets without a member id from anybody, so none are sent.
    """
    metadata = consumer.consumer_group_metadata()
    if not consumer.memberid():
        raise Aborted("no-member", "the consumer has left its group")
    return metadata


def brokers_answer(consumer: Consumer) -> bool:
    """Whether Kafka is there: what it refuses, it then refuses for a reason."""
    try:
        consumer.list_topics(timeout=ANSWER_SECONDS)
    except KafkaException:
        return False
    return True


def refusals_that_count(consumer: Consumer, refusals: int) -> int:
    """Of so many refusals in a row those that say something: a Kafka that is away adds none to the first few."""
    return refusals if refusals <= FEW_REFUSALS or brokers_answer(consumer) else FEW_REFUSALS


def collect(
    consumer: GroupConsumer,
    *,
    count: int,
    size_bytes: int,
    wait_ms: float,
    stop: threading.Event,
    patience: float = FIRST_POLL_SECONDS,
    at_once: int = 1,
) -> list[Message]:
    """A batch: waits `patience` seconds for a first record, then until `count` records, `size_bytes` or `wait_ms`.

    Records of a partition that is taken away meanwhile are left out: its next owner reads them. One that comes back
    is paused (`assign_paused`), so that none of its records are among those read with it.

    Args:
        at_once: of the records that wait already so many are taken in one call, which costs a record a third of what
            a call for each does; `size_bytes` may be passed by that many.

    Raises:
        RecordsGoneError: the log does not hold the record that comes next.
        DeliveryError: an error that does not pass by itself.
        Exception: what a rebalance callback raised.
    """
    batch: list[Message] = []
    size = 0
    deadline = time.monotonic() + patience
    while len(batch) < count and size < size_bytes and not stop.is_set():
        consumer.serve()
        left = min(POLL_SECONDS, max(0.0, deadline - time.monotonic()))
        found = _read(consumer, left, min(at_once, count - len(batch)))
        if consumer.failure is not None:
            failure, consumer.failure = consumer.failure, None
            raise failure
        if consumer.taken:
            batch, found = without(batch, consumer.taken), without(found, consumer.taken)
            consumer.taken.clear()
        if not found and time.monotonic() >= deadline:
            break
        for message in found:
            error = message.error()
            if error is not None:
                _pass_over(consumer, message, error)
                continue
            if not batch:
                deadline = time.monotonic() + wait_ms / 1000
            consumer.read_to.record(message)
            batch.append(message)
            size += size_of(message)
    return batch


def _read(consumer: Consumer, patience: float, most: int) -> list[Message]:
    """The next message, if one comes within so many seconds, and those that wait behind it."""
    first = consumer.poll(patience)
    if first is None:
        return []
    return [first] if most == 1 else [first, *consumer.consume(most - 1, 0.0)]


def without(messages: Iterable[Message], partitions: Container[tuple[str, int]]) -> list[Message]:
    """The messages that are of none of these partitions (topic, number)."""
    return [message for message in messages if (message.topic(), message.partition()) not in partitions]


def size_of(message: Message) -> int:
    """Bytes of a message's key and value."""
    return len(message.value() or b"") + len(message.key() or b"")


def _pass_over(consumer: GroupConsumer, message: Message, error: KafkaError) -> None:
    if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
        consumer.read_to.end(message)
        return
    if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001  # librdkafka's own codes have an underscore
        raise RecordsGoneError(_gone(consumer, message)) from KafkaException(error)
    if error.fatal() or error.code() in _FINAL:
        raise DeliveryError(f"Kafka: {error.str()} ({error.name()}); put that right (shoal check) and restart")
    log.warning("kafka", error=error.str(), code=error.name())


def _gone(consumer: GroupConsumer, message: Message) -> str:
    """What to say where a partition does not hold the record that comes next."""
    place = TopicPartition(message.topic() or "", message.partition() or 0)
    try:
        low, high = consumer.get_watermark_offsets(place, timeout=ANSWER_SECONDS)
        [committed] = consumer.committed([place], timeout=ANSWER_SECONDS)
        held = f"the log holds {low} to {high}, and {consumer.group} has committed {max(0, committed.offset)}"
    except KafkaException as error:
        held = f"the brokers do not say what the log holds ({error.args[0].str()})"
    return (
        f"{place.topic} [{place.partition}]: {held}: records were deleted before they were read (retention), or the "
        f"topic was made again; give it a longer retention{consumer.skip(f'{place.topic}:{place.partition}')}"
    )


_FINAL = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
}


def next_offsets(messages: Iterable[Message], metadata: str = "") -> list[TopicPartition]:
    """The offset after the last of `messages`, for each partition they come from, with the commit's metadata."""
    ends = {(m.topic() or "", m.partition() or 0): (m.offset() or 0) + 1 for m in messages}
    return [TopicPartition(topic, partition, offset, metadata) for (topic, partition), offset in ends.items()]


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
        "topic.metadata.propagation.max.ms": ABSENT_TOPIC_MS,
        "queue.buffering.max.kbytes": 256 * 1024,
        "delivery.timeout.ms": int(settings.kafka.request_timeout_seconds * 1000),
    } | kafka_properties(settings)


class _Reports:
    """Collects the delivery reports of one batch: callbacks may not raise, so the first error is kept.

    Records that are dropped because another one failed say nothing of the cause.

    Attributes:
        open: records not acknowledged, by topic; a producer that has failed for good does not report them all.

    Args:
        dead_letters: the topic of which refusals are counted.
        failures_only: only failures are reported. A report costs as much as producing the record does.
    """

    def __init__(self, dead_letters: str, *, failures_only: bool = False) -> None:
        self._dead_letters = dead_letters
        self._failures_only = failures_only
        self._failed: set[str] = set()
        self.error: KafkaError | None = None
        self.open: Counter[str] = Counter()
        self._refused = 0

    def __call__(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.open[message.topic() or ""] -= 1
            return
        self._failed.add(message.topic() or "")
        if error.code() not in _DROPPED:
            self.error = self.error or error
            self._refused += message.topic() == self._dead_letters

    def told(self, error: KafkaError) -> Aborted:
        """What to raise when the batch failed with `error`: the first cause, and the topics that did not take it."""
        REFUSED_DEAD_LETTERS.inc(self._refused)
        cause = self.error or error
        open_ = {topic for topic, count in self.open.items() if count}
        refusing = sorted((self._failed if self._failures_only else open_) or open_)
        where = f" (not taken by: {', '.join(refusing)})" if refusing else ""
        return Aborted(cause.name().lower().strip("_"), cause.str() + where)


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
                reports.open[message.topic] += 1
                break
    producer.poll(0)


class Transactions:
    """Effectively once: every batch is one Kafka transaction."""

    def __init__(self, settings: Settings, transactional_id: str) -> None:
        self._timeout = settings.kafka.request_timeout_seconds
        self._dead_letters = settings.topics.dead_letters
        self._properties = _producer_properties(settings) | {
            "transactional.id": transactional_id,
            "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
            "delivery.timeout.ms": TRANSACTION_TIMEOUT_MS,
            "retry.backoff.ms": CONCURRENT_BACKOFF_MS,
            # that a transaction is committed says that all of its records are there
            "delivery.report.only.error": True,
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
        reports = _Reports(self._dead_letters, failures_only=True)
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
        # one that was fenced off says so again
        with suppress(KafkaException):
            self._producer.poll(0)

    def _retried(self, call: Callable[[], object]) -> None:
        """Repeat a call that librdkafka calls retriable, until the request timeout."""
        tenacity.Retrying(
            retry=tenacity.retry_if_exception(
                lambda error: isinstance(error, KafkaException) and error_of(error).retriable()
            ),
            stop=tenacity.stop_after_delay(self._timeout),
            wait=tenacity.wait_exponential(multiplier=0.02, max=1.0),
            reraise=True,
        )(call)

    def _abort(self, error: Exception, reports: _Reports) -> None:
        """Give the transaction up, so that another can begin, and say why."""
        found = error_of(error)
        if found.code() in _FENCING:
            raise Fenced(f"transactional id taken over: {found.str()}") from error
        try:
            if found.fatal():
                raise KafkaException(found)
            self._retried(lambda: self._producer.abort_transaction(self._timeout))
            self._producer.poll(0)
            settled = reports.error is None
        except KafkaException as failure:
            if error_of(failure).code() in _FENCING:
                raise Fenced(f"transactional id taken over: {error_of(failure).str()}") from error
            settled = False
        if not settled:
            # what became of the transaction is unknown, or the sequence of records has a gap: a new producer with
            # this id settles it before anything else
            self.close()
            self._producer = self._begin_again()
        elif found.code() in _MOVED:
            raise GenerationMoved("generation", found.str()) from error
        raise reports.told(found) from error

    def _begin_again(self) -> Producer:
        producer = Producer(self._properties)
        try:
            self._retried(lambda: producer.init_transactions(self._timeout))
        except KafkaException as error:
            found = error_of(error)
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


_MOVED = {KafkaError.ILLEGAL_GENERATION, KafkaError.STALE_MEMBER_EPOCH}


_DROPPED = {KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT}  # noqa: SLF001


def error_of(error: Exception) -> KafkaError:
    """Kafka's error in what its client raised; a full queue for anything else."""
    for one in (error, error.__cause__):
        found = one.args[0] if isinstance(one, KafkaException) else one
        if isinstance(found, KafkaError):
            return found
    return KafkaError(KafkaError._QUEUE_FULL, str(error))  # noqa: SLF001


_GIVEN_UP = (KafkaException, cast("type[Exception]", KafkaError), BufferError, SystemError)
"""What the client raises: a fatal error bare, or out of a delivery report that it made itself."""


class AtLeastOnce:
    """Every acknowledgement is awaited, then the offsets are committed; a crash in between repeats records."""

    def __init__(self, settings: Settings) -> None:
        self._timeout = settings.kafka.request_timeout_seconds
        self._dead_letters = settings.topics.dead_letters
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
        reports = _Reports(self._dead_letters)
        try:
            _produce_all(self._producer, messages, reports, self._timeout)
            waiting = self._producer.flush(self._timeout)
            if reports.error is not None:
                raise KafkaException(reports.error)
            if waiting:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{waiting} records unacknowledged"))  # noqa: SLF001
            if offsets and consumer is not None:
                consumer.commit_offsets(offsets, self._timeout)
        except _GIVEN_UP as error:
            self.close()
            self._await_refusals(reports)
            self._producer = Producer(self._properties)
            raise reports.told(error_of(error)) from error

    def close(self) -> None:
        """Drop the producer and what it still holds."""
        self._producer.purge()
        self._producer.poll(0)

    def _await_refusals(self, reports: _Reports) -> None:
        """What a producer that failed for good still acknowledges is told between its errors, some moments later."""
        deadline = time.monotonic() + REPORT_SECONDS
        while reports.open.total() and time.monotonic() < deadline:
            with suppress(*_GIVEN_UP):
                self._producer.poll(POLL_SECONDS)


def _check_committed(partitions: list[TopicPartition] | None) -> None:
    for partition in partitions or []:
        if partition.error is not None:
            raise KafkaException(partition.error)
