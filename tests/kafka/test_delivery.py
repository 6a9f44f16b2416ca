"""Records and offsets are written together or not at all, and never by somebody who was replaced."""

from __future__ import annotations

import random
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, ConsumerGroupState, IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from consumers.embedded import embedded_broker
from consumers.kafka import delivery as module
from consumers.kafka.delivery import (
    Aborted,
    DeliveryError,
    Fenced,
    GenerationMoved,
    GroupConsumer,
    Outgoing,
    assign_paused,
    collect,
    group_metadata,
    next_offsets,
    open_consumer,
    open_delivery,
)
from consumers.kafka.lookup import headers_of, read_topic
from consumers.kafka.topics import Topic, create_topics
from consumers.settings import Kafka, Settings
from tests.fake_log import SIZE, FakeConsumer, FakeLog, FakeMessage
from tests.integration.platform import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from confluent_kafka import Message

    from consumers.kafka.delivery import Delivery

FOREVER = threading.Event()
PATIENCE = 60.0
"""Seconds that brokers, members and transactions have where a test is not about their time: machines may be busy."""

NO_PARTITION = 99
LARGEST = 500_000
CLASSIC = {"session.timeout.ms": int(1000 * PATIENCE), "heartbeat.interval.ms": 200}
LIMITED = {"max.message.bytes": str(LARGEST)}


class Log:
    """Two topics of its own on a broker: `source` to read from, `sink` to write to."""

    def __init__(self, settings: Settings, create: Callable[[str], None]) -> None:
        self.settings = settings
        self.source, self.sink = (f"{settings.kafka.group}-{name}" for name in ("source", "sink"))
        create(self.source)
        create(self.sink)
        self._consumers: list[GroupConsumer] = []

    def fill(self, count: int) -> None:
        """Write so many records to the source."""
        delivery = open_delivery(self.settings, f"fill-{uuid.uuid4()}")
        delivery.deliver([Outgoing(self.source, None, b"%d" % number, partition=0) for number in range(count)])
        delivery.close()

    def consumer(self, **callbacks: Any) -> GroupConsumer:
        """A member of the group that reads the source."""
        given = {"on_assign": from_committed} | callbacks
        consumer = open_consumer(self.settings, self.settings.kafka.group, topic=self.source, **given)
        self._consumers.append(consumer)
        return consumer

    def written(self) -> list[bytes | None]:
        """What a reader of the sink sees."""
        return [message.value() for message in read_topic(self.settings, self.sink)]

    def committed(self) -> int:
        """The group's offset in the source; negative when there is none."""
        reader = self._consumers[-1]
        return reader.committed([TopicPartition(self.source, 0)], timeout=PATIENCE)[0].offset

    def nothing_open(self) -> bool:
        """Whether what has been written to the sink is out of its transaction."""
        admin = AdminClient({"bootstrap.servers": self.settings.kafka.bootstrap_servers})
        place = TopicPartition(self.sink, 0)
        latest = {place: cast("Any", OffsetSpec).latest()}
        return bool(
            admin.list_offsets(latest, isolation_level=IsolationLevel.READ_COMMITTED)[place].result(PATIENCE).offset
        )

    def close(self) -> None:
        for consumer in self._consumers:
            consumer.close()


def from_committed(consumer: Consumer, partitions: list[TopicPartition]) -> None:
    """Read on from what is committed, or from the beginning."""
    places = consumer.committed(partitions, timeout=PATIENCE)
    for place in places:
        place.offset = place.offset if place.offset >= 0 else OFFSET_BEGINNING
    consumer.incremental_assign(places)


@pytest.fixture(params=["transactions", "at-least-once"])
def log(request: pytest.FixtureRequest) -> Iterator[Log]:
    """On a real broker with transactions, and on the embedded one without."""
    if request.param == "transactions":
        yield from real_log(request.getfixturevalue("kafka"))
        return
    with embedded_broker() as broker:
        connection = Kafka(
            bootstrap_servers=broker.address,
            delivery="at-least-once",
            topic_identity=broker.identity,
            group="g",
            request_timeout_seconds=PATIENCE,
        )
        log = Log(Settings(kafka=connection), broker.create)
        yield log
        log.close()


@pytest.fixture
def exact(kafka: str) -> Iterator[Log]:
    """On a real broker, with transactions."""
    yield from real_log(kafka)


def real_log(address: str, **given: Any) -> Iterator[Log]:
    connection = Kafka(
        bootstrap_servers=address,
        group=f"g{uuid.uuid4().hex[:8]}",
        request_timeout_seconds=PATIENCE,
        **({"properties": CLASSIC} | given),
    )
    settings = Settings(kafka=connection)
    log = Log(settings, lambda name: create_topics(settings, [Topic("posts", name, 1, 1, LIMITED)]))
    yield log
    log.close()


pytestmark = pytest.mark.kafka


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transactions may take as long as a busy machine needs; the one test that is about their time sets its own."""
    monkeypatch.setattr(module, "TRANSACTION_TIMEOUT_MS", int(1000 * PATIENCE))


def take(consumer: GroupConsumer, count: int) -> list[Message]:
    """So many records."""
    found: list[Message] = []
    deadline = time.monotonic() + PATIENCE
    while len(found) < count:
        assert time.monotonic() < deadline
        found += collect(consumer, count=count - len(found), size_bytes=2**20, wait_ms=20, stop=FOREVER)
    return found


def reading(log: Log, filled: int, taken: int) -> tuple[GroupConsumer, list[Message], Delivery]:
    """A member of the group that has read some of so many records, and what it delivers by."""
    log.fill(filled)
    consumer = log.consumer()
    return consumer, take(consumer, taken), open_delivery(log.settings, log.settings.kafka.group)


@pytest.mark.parametrize("low", [0, 8])
def test_a_partition_taken_paused_is_read_from_where_its_taker_says_and_nowhere_else(kafka: str, low: int) -> None:
    """Its leader answers late: a fetch that waits for records of another partition comes first."""
    settings = Settings(kafka=Kafka(bootstrap_servers=kafka, group=f"g{uuid.uuid4().hex[:8]}"))
    topic = f"{settings.kafka.group}-source"
    create_topics(settings, [Topic("posts", topic, 2, 2, LIMITED)])
    delivery = open_delivery(settings, f"fill-{uuid.uuid4()}")
    delivery.deliver([Outgoing(topic, None, b"%d" % number, partition=1) for number in range(20)])
    delivery.close()
    place = TopicPartition(topic, 1)
    if low:
        admin = AdminClient({"bootstrap.servers": kafka})
        for future in admin.delete_records([TopicPartition(topic, 1, low)]).values():
            future.result()

    def by_hand(consumer: Consumer, _: list[TopicPartition]) -> None:
        consumer.incremental_assign([])

    consumer = open_consumer(settings, settings.kafka.group, topic=topic, on_assign=by_hand)
    consumer.incremental_assign([TopicPartition(topic, 0, 0)])
    read(consumer, 1.0)
    for beginning in (12, 15):
        assign_paused(consumer, [place])
        consumer.seek(TopicPartition(topic, 1, beginning))
        consumer.resume([place])
        assert read(consumer, 1.5, patience=PATIENCE) == list(range(beginning, 20))
        consumer.incremental_unassign([place])
    consumer.close()


def read(consumer: GroupConsumer, seconds: float, patience: float | None = None) -> list[int | None]:
    """The offsets of what comes within this time, counted from the first record on where `patience` waits for one."""
    waits = seconds if patience is None else patience
    messages = collect(consumer, count=100, size_bytes=2**20, wait_ms=seconds * 1000, stop=FOREVER, patience=waits)
    return [message.offset() for message in messages]


def test_records_and_offsets_are_written_together(log: Log) -> None:
    consumer, messages, delivery = reading(log, 5, 3)
    outgoing = [Outgoing(log.sink, b"key", m.value(), (("a", b"1"), ("a", None)), partition=0) for m in messages]
    delivery.deliver(outgoing, next_offsets(messages), consumer, group_metadata(consumer))
    found = list(read_topic(log.settings, log.sink))
    assert [message.value() for message in found] == [b"0", b"1", b"2"]
    assert {headers_of(message) for message in found} == {(("a", b"1"), ("a", None))}
    assert log.committed() == 3
    delivery.deliver([], [TopicPartition(log.source, 0, 4)], consumer, group_metadata(consumer))
    assert log.committed() == 4
    delivery.close()


def test_a_record_that_is_refused_keeps_the_offsets_back(log: Log) -> None:
    consumer, messages, delivery = reading(log, 3, 3)
    outgoing = [
        Outgoing(log.sink, None, b"good", partition=0),
        Outgoing(log.sink, None, b"bad", partition=NO_PARTITION),
    ]
    with pytest.raises(Aborted) as caught:
        delivery.deliver(outgoing, next_offsets(messages), consumer, group_metadata(consumer))
    assert caught.value.reason == "unknown_partition"
    assert log.committed() < 0
    if log.settings.kafka.delivery == "transactions":
        assert log.written() == []
    delivery.deliver(outgoing[:1], next_offsets(messages), consumer, group_metadata(consumer))
    assert log.committed() == 3
    delivery.close()


def test_offsets_are_committed_from_another_thread_while_this_one_polls(log: Log) -> None:
    consumer, messages, delivery = reading(log, 4, 4)
    group = group_metadata(consumer)
    errors: list[Exception] = []

    def write() -> None:
        try:
            for message in messages:
                delivery.deliver([], next_offsets([message]), consumer, group)
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    deadline = time.monotonic() + PATIENCE
    while writer.is_alive() and time.monotonic() < deadline:
        collect(consumer, count=1, size_bytes=1, wait_ms=1, stop=FOREVER)
    assert errors == []
    assert log.committed() == 4
    delivery.close()


def test_an_absent_topic_is_told_in_one_line(exact: Log) -> None:
    consumer = open_consumer(exact.settings, exact.settings.kafka.group, topic="no-such-topic")
    with pytest.raises(DeliveryError, match="no-such-topic") as caught:
        take(consumer, 1)
    assert "\n" not in str(caught.value)
    consumer.close()


def test_what_a_callback_raises_comes_out_of_collect(log: Log) -> None:
    def broken(*_: Any) -> None:
        raise ValueError("in the callback")

    log.fill(1)
    consumer = log.consumer(on_assign=broken)
    with pytest.raises(ValueError, match="in the callback"):
        take(consumer, 1)


def test_a_transaction_given_up_leaves_nothing_to_see(exact: Log) -> None:
    delivery = open_delivery(exact.settings, exact.settings.kafka.group)

    def messages() -> Iterator[Outgoing]:
        yield Outgoing(exact.sink, None, b"first")
        yield Outgoing(exact.sink, None, random.Random(1).randbytes(2 * LARGEST))

    with pytest.raises(Aborted) as caught:
        delivery.deliver(messages())
    assert caught.value.reason == "msg_size_too_large"
    delivery.deliver([Outgoing(exact.sink, None, b"second")])
    assert exact.written() == [b"second"]
    delivery.close()


def test_the_next_owner_of_a_transactional_id_fences_the_last_one(exact: Log) -> None:
    first = open_delivery(exact.settings, "one-owner")
    first.deliver([Outgoing(exact.sink, None, b"first")])
    second = open_delivery(exact.settings, "one-owner")
    with pytest.raises(Fenced):
        first.deliver([Outgoing(exact.sink, None, b"late")])
    second.deliver([Outgoing(exact.sink, None, b"second")])
    assert exact.written() == [b"first", b"second"]
    first.close()
    second.close()


def test_a_transaction_that_takes_too_long_is_not_committed(exact: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was frozen in the middle of it: the brokers have ended the transaction."""
    with monkeypatch.context() as patch:
        patch.setattr(module, "TRANSACTION_TIMEOUT_MS", 1000)
        delivery = open_delivery(exact.settings, exact.settings.kafka.group)

    def messages() -> Iterator[Outgoing]:
        yield Outgoing(exact.sink, None, b"before")
        cast("Any", delivery)._producer.flush(PATIENCE)
        eventually(exact.nothing_open, bool)
        yield Outgoing(exact.sink, None, b"after")

    with pytest.raises((Aborted, Fenced)):
        delivery.deliver(messages())
    delivery.close()
    assert exact.written() == []
    again = open_delivery(exact.settings, exact.settings.kafka.group)
    again.deliver([Outgoing(exact.sink, None, b"again")])
    assert exact.written() == [b"again"]
    again.close()


def test_offsets_of_a_member_that_was_replaced_are_refused(exact: Log) -> None:
    exact.fill(3)
    first = exact.consumer()
    messages = take(first, 3)
    group = group_metadata(first)
    # the group moves on: its one member leaves, another comes
    first.unsubscribe()
    second = exact.consumer()
    assert [m.offset() for m in take(second, 3)] == [0, 1, 2]
    delivery = open_delivery(exact.settings, exact.settings.kafka.group)
    with pytest.raises(Aborted):
        delivery.deliver([Outgoing(exact.sink, None, b"late")], next_offsets(messages), first, group)
    with pytest.raises(Aborted, match="group metadata"):
        delivery.deliver([Outgoing(exact.sink, None, b"late")], next_offsets(messages), first, None)
    with pytest.raises(Aborted, match="left its group"):
        group_metadata(
            GroupConsumer({"bootstrap.servers": "127.0.0.1:1", "group.id": "never-joined", "log_level": 0})
        )
    assert exact.committed() < 0
    assert exact.written() == []
    delivery.close()


@pytest.fixture(params=["classic", "consumer"])
def protocol(kafka: str, request: pytest.FixtureRequest) -> Iterator[Log]:
    """On a real broker, under each group protocol."""
    properties = CLASSIC if request.param == "classic" else {}
    yield from real_log(kafka, group_protocol=request.param, properties=properties)


def members(log: Log) -> int:
    """Of the group, once all of them know its generation; 0 before that."""
    admin = AdminClient({"bootstrap.servers": log.settings.kafka.bootstrap_servers})
    [described] = admin.describe_consumer_groups([log.settings.kafka.group]).values()
    group = described.result(PATIENCE)
    return len(group.members) if group.state == ConsumerGroupState.STABLE else 0


def test_offsets_are_taken_again_from_a_member_that_keeps_its_partition_when_another_joins(protocol: Log) -> None:
    protocol.fill(3)
    first, place = protocol.consumer(), TopicPartition(protocol.source, 0)
    messages = take(first, 3)
    member, group = first.memberid(), group_metadata(first)
    delivery = open_delivery(protocol.settings, protocol.settings.kafka.group)
    spare = protocol.consumer()

    def joined() -> int:
        for consumer in (first, spare):
            read(consumer, 0.1)
        return members(protocol)

    eventually(joined, lambda count: count == 2)
    outgoing = [Outgoing(protocol.sink, None, b"once")]
    with pytest.raises(GenerationMoved):
        delivery.deliver(outgoing, next_offsets(messages), first, group)
    assert protocol.committed() < 0
    delivery.deliver(outgoing, next_offsets(messages), first, first.group_metadata_now(member, place, PATIENCE))
    assert (protocol.committed(), protocol.written()) == (3, [b"once"])
    with pytest.raises(Aborted, match="not this member's"):
        spare.group_metadata_now(spare.memberid(), place, PATIENCE)
    with pytest.raises(Aborted, match="not this member's"):
        first.group_metadata_now("another", place, PATIENCE)
    first.taken.add((place.topic, place.partition))
    with pytest.raises(Aborted, match="not this member's"):
        first.group_metadata_now(member, place, PATIENCE)
    delivery.close()


def test_a_producer_that_was_replaced_sends_nothing_again_whatever_generation_it_names(exact: Log) -> None:
    exact.fill(3)
    first = exact.consumer()
    messages = take(first, 3)
    old = open_delivery(exact.settings, exact.settings.kafka.group)
    open_delivery(exact.settings, exact.settings.kafka.group).close()
    metadata = first.group_metadata_now(first.memberid(), TopicPartition(exact.source, 0), PATIENCE)
    with pytest.raises(Fenced):
        old.deliver([Outgoing(exact.sink, None, b"late")], next_offsets(messages), first, metadata)
    assert exact.written() == []
    old.close()


def test_another_thread_learns_who_the_consumer_is_while_this_one_polls(exact: Log) -> None:
    exact.fill(1)
    consumer, place = exact.consumer(), TopicPartition(exact.source, 0)
    take(consumer, 1)
    with ThreadPoolExecutor(1) as pool:
        for member, raised in ((consumer.memberid(), None), ("another", Aborted)):
            asked = pool.submit(consumer.group_metadata_now, member, place, PATIENCE)
            while not asked.done():
                read(consumer, 0.01)
            assert (asked.exception() is None) if raised is None else isinstance(asked.exception(), raised)


def test_absent_brokers_are_told_within_the_timeout() -> None:
    settings = Settings(kafka=Kafka(bootstrap_servers="127.0.0.1:1", request_timeout_seconds=1))
    with pytest.raises(DeliveryError, match="refuses transactions as an-id"):
        open_delivery(settings, "an-id")


def fake_consumer(count: int, **callbacks: Any) -> Any:
    """A consumer of two partitions with so many records each."""
    nothing = dict.fromkeys(("on_assign", "on_revoke", "on_lost"), _follow)
    return FakeConsumer(FakeLog(2, count), nothing | callbacks)


def _follow(consumer: FakeConsumer, partitions: list[TopicPartition]) -> None:
    if consumer.taken:
        consumer.incremental_unassign(partitions)
    else:
        consumer.incremental_assign(partitions)


@pytest.mark.parametrize(("at_once", "by_bytes"), [(1, 3), (5, 5)])
def test_a_batch_is_closed_by_count_bytes_or_time(at_once: int, by_bytes: int) -> None:
    consumer = fake_consumer(20)
    batches = [
        collect(consumer, count=7, size_bytes=2**20, wait_ms=1000, stop=FOREVER, at_once=at_once),
        collect(consumer, count=100, size_bytes=3 * SIZE, wait_ms=1000, stop=FOREVER, at_once=at_once),
        collect(consumer, count=100, size_bytes=2**20, wait_ms=30, stop=FOREVER, at_once=at_once),
    ]
    assert [len(batch) for batch in batches] == [7, by_bytes, 33 - by_bytes]
    found = [(m.partition() or 0, m.offset() or 0) for batch in batches for m in batch]
    assert sorted(found) == consumer.log.all()
    # the time counts from the first record on, and there is none
    assert collect(consumer, count=100, size_bytes=2**20, wait_ms=10**9, stop=FOREVER, patience=0.05) == []
    stopped = threading.Event()
    stopped.set()
    assert collect(fake_consumer(5), count=7, size_bytes=2**20, wait_ms=1000, stop=stopped) == []


@pytest.mark.parametrize("at_once", [1, 3, 10])
def test_records_of_a_partition_taken_away_meanwhile_are_left_out(at_once: int) -> None:
    consumer = fake_consumer(10)
    poll = consumer.poll

    def poll_with_a_rebalance(timeout: float) -> FakeMessage | None:
        if consumer.polls == 6:
            consumer.rebalance("on_revoke", 1)
        return cast("FakeMessage | None", poll(timeout))

    consumer.poll = poll_with_a_rebalance
    found = collect(consumer, count=100, size_bytes=2**20, wait_ms=30, stop=FOREVER, at_once=at_once)
    assert [(m.partition(), m.offset()) for m in found] == [(0, number) for number in range(10)]
    assert consumer.taken == set()


def test_next_offsets_are_one_past_the_last_of_each_partition() -> None:
    messages: list[Any] = [FakeMessage(3, 0), FakeMessage(8, 1), FakeMessage(4, 0)]
    assert {(p.topic, p.partition): p.offset for p in next_offsets(messages)} == {("posts", 0): 5, ("posts", 1): 9}
    assert next_offsets([]) == []
