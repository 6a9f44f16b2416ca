"""Batches on their way: order, overlap, bounds, and what becomes of a batch that is given up."""

from __future__ import annotations

import os
import random
import threading
import time
from typing import TYPE_CHECKING, Any, cast

import pytest
from confluent_kafka import TopicPartition

from consumers.encoding import pipeline as module
from consumers.encoding.pipeline import Pipeline, PipelineError, Stages
from consumers.http import Health
from consumers.kafka.delivery import Aborted, DeliveryError, Fenced, Outgoing, RecordsGoneError
from consumers.kafka.marks import Mark
from consumers.settings import Encode, Settings
from tests.conftest import lacks
from tests.fake_log import (
    SIZE,
    FakeConsumer,
    FakeDelivery,
    FakeLog,
    FakeMessage,
    FakeSuspects,
    FakeWatch,
    work_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumers.encoding.work import PostInWork


PATIENCE_SECONDS = 60.0
FOREVER_SECONDS = 10_000.0


class Bench:
    """A pipeline on a log in memory, run in a thread of its own; every stage can be given something to do."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, log: FakeLog, **encode: Any) -> None:
        self.log = log
        self.delivery = FakeDelivery(log)
        self.watch = FakeWatch()
        self.suspects = FakeSuspects()
        self.opened = 0
        self.prepare: Callable[[FakeMessage], None] = lambda _: None
        self.embed: Callable[[list[PostInWork]], None] = lambda _: None
        self.raised: BaseException | None = None
        self.stop = threading.Event()
        self.health = Health(("encode",))
        self.consumer: FakeConsumer = cast("Any", None)
        monkeypatch.setattr(module, "open_consumer", self._open_consumer)
        monkeypatch.setattr(module, "LONGEST_PAUSE_SECONDS", 0.01)
        self.settings = Settings(
            encode=Encode(**{"batch_posts": 10, "batch_wait_ms": 1.0, "decode_threads": 2} | encode),
            shutdown_seconds=2.0,
        )
        self.pipeline = Pipeline(
            self.settings,
            name="encode",
            group="group",
            topic="posts",
            watch=cast("Any", self.watch),
            worker="worker-2",
            stages=Stages(self._prepare, self._embed, self._outgoing, lambda _: None),
            suspects=cast("Any", self.suspects),
            open_delivery=self._open_delivery,
            health=self.health,
        )
        self.thread = threading.Thread(target=self._run)

    def _open_consumer(self, _settings: Settings, _group: str, **callbacks: Any) -> FakeConsumer:
        assert callbacks.pop("topic") == "posts"
        self.consumer = FakeConsumer(self.log, callbacks)
        return self.consumer

    def _open_delivery(self) -> Any:
        self.opened += 1
        return self.delivery

    def _prepare(self, message: Any) -> PostInWork:
        self.prepare(message)
        return work_of(message)

    def _embed(self, batch: list[PostInWork]) -> None:
        self.embed(batch)

    def _outgoing(self, batch: list[PostInWork]) -> list[Outgoing]:
        sources = [work.record.source for work in batch]
        return [Outgoing("cells", None, f"{source.partition}:{source.offset}".encode()) for source in sources]

    def _run(self) -> None:
        try:
            self.pipeline.run(self.stop)
        except Exception as error:  # noqa: BLE001
            self.raised = error

    def start(self) -> None:
        self.thread.start()

    def end(self) -> None:
        self.stop.set()
        self.join()

    def join(self) -> None:
        """Wait for its end."""
        self.thread.join(PATIENCE_SECONDS)
        assert not self.thread.is_alive()

    def run_until(self, reached: Callable[[], bool] | None = None) -> None:
        """Run until everything is committed, or what is asked for is reached."""
        self.start()
        wait(reached or (lambda: self.log.done))
        self.end()
        assert self.raised is None


def wait(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not reached():
        assert time.monotonic() < deadline, "not reached in time"
        time.sleep(0.002)


@pytest.fixture
def log() -> FakeLog:
    return FakeLog(partitions=2, count=100)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, log: FakeLog) -> Bench:
    return Bench(monkeypatch, log)


def assert_exactly_once(log: FakeLog) -> None:
    """Every record written once, each partition's in order."""
    assert sorted(log.written) == log.all()
    for place in range(log.partitions):
        numbers = [number for found, number in log.written if found == place]
        assert numbers == sorted(numbers)


def assert_written_as_far_as_committed(log: FakeLog, partition: int) -> None:
    """Every record of a partition below its committed offset once and in order, and none beyond."""
    assert [number for place, number in log.written if place == partition] == list(range(log.committed[partition]))


def until(event: threading.Event) -> Callable[[list[PostInWork]], None]:
    """A stage that waits."""

    def stage(_batch: list[PostInWork]) -> None:
        event.wait(PATIENCE_SECONDS)

    return stage


def once(number: int, error: Exception) -> Callable[[int], None]:
    """Raises `error` at this call."""

    def trouble(call: int) -> None:
        if call == number:
            raise error

    return trouble


def test_every_record_is_written_once_and_in_order(bench: Bench) -> None:
    bench.prepare = lambda message: time.sleep(random.Random(message.number).random() * 0.002)
    bench.run_until()
    assert_exactly_once(bench.log)
    assert bench.delivery.closed == 1
    assert bench.consumer.closed


def test_a_batch_is_prepared_while_the_one_before_it_is_embedded(bench: Bench) -> None:
    seen: set[int] = set()
    overlapped: list[int] = []

    def embed(batch: list[PostInWork]) -> None:
        first = batch[0].record.source.offset
        # nothing follows the last batch
        if first < 95:
            wait(lambda: max(seen) >= first + 6)
            overlapped.append(first)

    bench.prepare = lambda message: seen.add(message.number)
    bench.embed = embed
    bench.run_until()
    assert overlapped == list(range(0, 95, 5))


def test_a_full_pipeline_does_not_count_the_bytes_of_its_batches_again_and_again(
    monkeypatch: pytest.MonkeyPatch, log: FakeLog
) -> None:
    counted: list[Any] = []

    def counting(message: Any) -> int:
        counted.append(message)
        return SIZE

    monkeypatch.setattr(module, "size_of", counting)
    bench = Bench(monkeypatch, log)
    go_on, tries, offer = threading.Event(), [0], module._InFlight.offer

    def offered(*arguments: Any) -> bool:
        tries[0] += 1
        return offer(*arguments)

    monkeypatch.setattr(module._InFlight, "offer", offered)
    bench.embed = until(go_on)
    bench.start()
    wait(lambda: tries[0] > 12)
    assert len(counted) == len({id(message) for message in counted})
    go_on.set()
    wait(lambda: log.done)
    bench.end()
    assert_exactly_once(log)


def test_bytes_in_flight_are_bounded_and_a_full_pipeline_stays_in_its_group(
    monkeypatch: pytest.MonkeyPatch, log: FakeLog
) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.05)
    bench = Bench(monkeypatch, log, queue_bytes=25 * SIZE)
    go_on = threading.Event()
    bench.embed = until(go_on)
    bench.start()
    wait(lambda: bench.pipeline._paused)
    polls = bench.consumer.polls
    wait(lambda: bench.consumer.polls > polls + 3)
    assert bench.pipeline._in_flight.size_bytes == 20 * SIZE
    assert sum(bench.consumer.positions.values()) == 30
    go_on.set()
    wait(lambda: log.done)
    bench.end()
    assert bench.consumer.paused == set()
    assert_exactly_once(log)


def test_a_batch_larger_than_the_bound_goes_through_alone(monkeypatch: pytest.MonkeyPatch, log: FakeLog) -> None:
    bench = Bench(monkeypatch, log, queue_bytes=SIZE)
    bench.run_until()
    assert_exactly_once(log)


@pytest.mark.parametrize("call", [1, 2, 7])
@pytest.mark.parametrize("error", [Aborted("test", "refused"), Fenced("timed out"), DeliveryError("away")])
def test_a_batch_that_is_refused_is_read_again_with_all_behind_it(bench: Bench, call: int, error: Exception) -> None:
    bench.delivery.trouble = once(call, error)
    bench.run_until()
    assert_exactly_once(bench.log)
    assert bench.opened == (1 if isinstance(error, Aborted) else 2)


@pytest.mark.parametrize("call", [1, 2, 7])
def test_a_refused_batch_that_came_through_all_the_same_is_not_written_twice(bench: Bench, call: int) -> None:
    bench.delivery.regret = once(call, Aborted("test", "nobody knows"))
    bench.run_until()
    assert_exactly_once(bench.log)


def test_a_batch_collected_while_an_earlier_one_is_refused_does_not_commit_past_it(
    monkeypatch: pytest.MonkeyPatch, log: FakeLog
) -> None:
    bench = Bench(monkeypatch, log, batch_wait_ms=300.0)
    poll = FakeConsumer.poll
    collecting = threading.Event()

    def poll_slowly(consumer: FakeConsumer, timeout: float) -> FakeMessage | None:
        if sum(consumer.positions.values()) == 15 and not collecting.is_set():
            consumer.halted.set()
            collecting.set()
        return poll(consumer, timeout)

    def trouble(call: int) -> None:
        if call == 1:
            assert collecting.wait(PATIENCE_SECONDS)
            bench.consumer.halted.clear()
            raise Aborted("test", "while half of the next batch is read")

    monkeypatch.setattr(FakeConsumer, "poll", poll_slowly)
    bench.delivery.trouble = trouble
    bench.run_until()
    assert_exactly_once(log)


def test_batches_behind_a_failed_stage_are_not_committed(bench: Bench) -> None:
    batches = 0
    failed = threading.Event()

    def embed(_batch: list[PostInWork]) -> None:
        nonlocal batches
        batches += 1
        if batches == 3:
            # the batches behind it are waiting already
            time.sleep(0.1)
            failed.set()
            raise ValueError("the third batch breaks")

    def notice_late() -> None:
        time.sleep(0.3 if failed.is_set() else 0)

    bench.embed = embed
    bench.consumer.serve = notice_late  # type: ignore[method-assign]
    bench.start()
    bench.join()
    assert isinstance(bench.raised, ValueError)
    assert sum(bench.log.committed.values()) == len(bench.log.written) == 20
    assert bench.consumer.closed


def test_brokers_that_answer_and_refuse_again_and_again_end_it(monkeypatch: pytest.MonkeyPatch, bench: Bench) -> None:
    monkeypatch.setattr(module, "MOST_REFUSALS", 10)

    def refuse(_call: int) -> None:
        raise Aborted("test", "never")

    bench.delivery.trouble = refuse
    bench.start()
    bench.join()
    assert isinstance(bench.raised, PipelineError)
    assert "never" in str(bench.raised)
    assert bench.delivery.calls == module.MOST_REFUSALS
    assert bench.log.written == []


def test_absent_brokers_are_waited_for(monkeypatch: pytest.MonkeyPatch, bench: Bench) -> None:
    monkeypatch.setattr(module, "MOST_REFUSALS", 10)
    bench.start()
    wait(lambda: bench.delivery.calls > 3)
    bench.consumer.answers = False

    def away(_call: int) -> None:
        if not bench.consumer.answers:
            raise DeliveryError("away")

    bench.delivery.trouble = away
    asked = bench.consumer.asked
    wait(lambda: bench.consumer.asked > asked + 3 * module.MOST_REFUSALS or bench.log.done)
    assert len(bench.pipeline._refusals) < module.MOST_REFUSALS, "what Kafka did not take while it was away"
    bench.consumer.answers = True
    wait(lambda: bench.log.done)
    bench.end()
    assert bench.raised is None
    assert_exactly_once(bench.log)


def test_without_a_member_id_nothing_is_written(bench: Bench) -> None:
    bench.consumer.member = ""
    bench.start()
    time.sleep(0.2)
    assert bench.delivery.calls == 0
    bench.consumer.member = "member-2"
    wait(lambda: bench.log.done)
    bench.end()
    assert_exactly_once(bench.log)


def test_what_is_in_flight_is_committed_before_a_partition_is_given_away(bench: Bench) -> None:
    go_on = threading.Event()
    # no more than some batches are read before the partition is given away
    bench.embed = lambda batch: until(go_on)(batch) if batch[0].record.source.offset >= 30 else None
    at_hand_over: dict[str, int] = {}
    unassign = FakeConsumer.incremental_unassign

    def note(partitions: list[Any]) -> None:
        if not at_hand_over:
            at_hand_over.update(flying=len(bench.pipeline._in_flight._flights), committed=bench.log.committed[1])
        unassign(bench.consumer, partitions)

    bench.consumer.incremental_unassign = note  # type: ignore[method-assign]
    bench.start()
    wait(lambda: bench.delivery.calls >= 3)
    bench.consumer.rebalance("on_revoke", 1)
    go_on.set()
    wait(lambda: bool(at_hand_over) and bench.log.committed[0] == 100)
    bench.end()
    assert at_hand_over["flying"] == 0
    # no record of it is written after it was given away, though a batch was half read
    assert bench.log.committed[1] == at_hand_over["committed"] < 100
    assert [number for place, number in bench.log.written if place == 1] == list(range(at_hand_over["committed"]))


def test_a_batch_waiting_for_room_does_not_keep_a_partition_from_being_given_away(
    monkeypatch: pytest.MonkeyPatch, bench: Bench
) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.0)
    object.__setattr__(bench.settings, "shutdown_seconds", FOREVER_SECONDS)
    go_on = threading.Event()
    bench.embed = until(go_on)
    bench.start()
    wait(lambda: bench.pipeline._paused)
    bench.consumer.rebalance("on_revoke", 1)
    wait(lambda: not bench.consumer.events)
    go_on.set()
    wait(lambda: 1 not in bench.consumer.positions)
    wait(lambda: bench.log.committed[0] == 100)
    bench.end()
    assert_written_as_far_as_committed(bench.log, 1)


def test_records_held_back_by_a_full_pipeline_are_dropped_when_their_partition_is_given_away(
    monkeypatch: pytest.MonkeyPatch, bench: Bench
) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.0)
    go_on = threading.Event()
    bench.embed = until(go_on)
    bench.start()
    wait(lambda: bench.pipeline._paused)
    # a pause is not obeyed: records of both partitions come all the same
    monkeypatch.setattr(bench.consumer, "pause", lambda _: None)
    bench.consumer.paused.clear()
    wait(lambda: {message.partition() for message in bench.pipeline._held} == {0, 1})
    bench.consumer.rebalance("on_revoke", 1)
    threading.Timer(0.1, go_on.set).start()
    wait(lambda: bench.log.committed.get(0) == 100)
    bench.end()
    assert bench.log.committed[1] < 100
    assert_written_as_far_as_committed(bench.log, 1)


def test_a_batch_not_finished_in_time_is_given_up_and_the_rest_is_read_again(
    monkeypatch: pytest.MonkeyPatch, bench: Bench
) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.0)
    object.__setattr__(bench.settings, "shutdown_seconds", 0.2)
    go_on = threading.Event()
    bench.embed = until(go_on)
    bench.start()
    wait(lambda: bench.consumer.polls > 30)
    bench.consumer.rebalance("on_revoke", 1)
    wait(lambda: 1 not in bench.consumer.positions)
    go_on.set()
    wait(lambda: bench.log.committed.get(0) == 100)
    bench.end()
    assert sorted(bench.log.written) == [(0, number) for number in range(100)]


def test_nothing_in_flight_is_committed_after_partitions_were_lost(
    monkeypatch: pytest.MonkeyPatch, bench: Bench
) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.0)
    go_on = threading.Event()
    bench.embed = until(go_on)
    bench.start()
    wait(lambda: bench.consumer.polls > 30)
    bench.consumer.rebalance("on_lost", 0, 1)
    wait(lambda: not bench.consumer.positions)
    go_on.set()
    time.sleep(0.3)
    assert bench.delivery.calls == 0
    assert not bench.health.ready()[0]
    bench.consumer.rebalance("on_assign", 0, 1)
    wait(lambda: bench.log.done)
    bench.end()
    assert_exactly_once(bench.log)


def test_stopping_commits_what_is_in_flight_and_leaves_the_rest(bench: Bench) -> None:
    go_on = threading.Event()
    bench.embed = until(go_on)
    bench.start()
    wait(lambda: len(bench.pipeline._in_flight._flights) >= 3)
    flying = [message for flight in bench.pipeline._in_flight._flights.values() for message in flight.messages]
    bench.stop.set()
    go_on.set()
    bench.end()
    assert bench.raised is None
    assert set(bench.log.written) >= {(cast("Any", m).place, cast("Any", m).number) for m in flying}
    assert len(bench.log.written) == sum(bench.log.committed.values()) < 200


def test_stopping_does_not_wait_for_a_stage_that_hangs(bench: Bench) -> None:
    go_on = threading.Event()
    bench.embed = until(go_on)
    bench.start()
    wait(lambda: bench.consumer.polls > 30)
    bench.end()
    assert not go_on.is_set()
    assert bench.log.written == []
    go_on.set()


def test_it_is_ready_with_partitions_or_as_a_spare(bench: Bench) -> None:
    bench.consumer.events.clear()
    bench.start()
    time.sleep(0.1)
    assert not bench.health.ready()[0]
    bench.pipeline._spare_after = 0.0
    wait(lambda: bench.health.ready()[0])
    bench.end()
    assert not bench.health.ready()[0]


def test_the_encoders_have_their_cores_and_all_else_has_the_others(
    monkeypatch: pytest.MonkeyPatch, log: FakeLog
) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        lacks("one core only: this test pins threads to two")
    first, second = sorted(os.sched_getaffinity(0))[:2]
    bench = Bench(monkeypatch, log, embed_cpus=(first,), decode_cpus=(second,))
    seen: dict[str, set[int]] = {}
    bench.prepare = lambda _: seen.update(prepare=os.sched_getaffinity(0))
    bench.embed = lambda _: seen.update(embed=os.sched_getaffinity(0))
    bench.delivery.trouble = lambda _: seen.update(write=os.sched_getaffinity(0))
    bench.run_until()
    assert seen == {"prepare": {second}, "embed": {first}, "write": {second}}


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_every_record_is_written_once(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Refusals before and after the commit, partitions that come and go, in an order of chance."""
    chance = random.Random(seed)
    log = FakeLog(partitions=4, count=80)
    bench = Bench(monkeypatch, log, batch_posts=chance.choice([3, 10, 40]))

    def sometimes(_call: int) -> None:
        if chance.random() < 0.1:
            raise Aborted("test", "by chance")

    bench.delivery.trouble = bench.delivery.regret = sometimes
    bench.embed = lambda _: time.sleep(chance.random() * 0.005)
    bench.prepare = lambda _: time.sleep(0.0002)
    bench.start()
    while not log.done and bench.thread.is_alive():
        place = chance.randrange(4)
        kind = chance.choice(["on_revoke", "on_lost"])
        if kind == "on_lost":
            # as it is: all of them or none
            wait(lambda: not bench.consumer.events)
            owned = list(bench.consumer.positions)
            bench.consumer.rebalance("on_lost", *owned)
            bench.consumer.rebalance("on_assign", *owned)
        else:
            bench.consumer.rebalance("on_revoke", place)
            bench.consumer.rebalance("on_assign", place)
        wait(lambda: not bench.consumer.events or not bench.thread.is_alive())
        time.sleep(chance.random() * 0.05)
    bench.end()
    assert bench.raised is None
    assert_exactly_once(log)


OURS = Mark("id", "worker-2").text()
NOBODY = Mark("id").text()


def test_a_worker_says_that_it_is_at_work_before_it_begins_and_takes_it_back_when_it_ends(bench: Bench) -> None:
    at_first: dict[str, dict[int, str]] = {}

    def prepare(_message: FakeMessage) -> None:
        at_first.setdefault("marks", dict(bench.log.marks))

    bench.prepare = prepare
    at_hand_over: dict[int, str] = {}
    unassign = FakeConsumer.incremental_unassign

    def note(partitions: list[Any]) -> None:
        at_hand_over.update(at_hand_over or bench.log.marks)
        unassign(bench.consumer, partitions)

    bench.consumer.incremental_unassign = note  # type: ignore[method-assign]
    bench.start()
    wait(lambda: bench.delivery.calls >= 3)
    bench.consumer.rebalance("on_revoke", 1)
    wait(lambda: bench.log.committed.get(0) == 100)
    bench.end()
    assert at_first == {"marks": {0: OURS, 1: OURS}}
    assert at_hand_over == {0: OURS, 1: NOBODY}
    assert bench.log.marks == {0: NOBODY, 1: NOBODY}
    assert bench.suspects.windows == []


def test_what_a_dead_worker_had_at_hand_is_suspect_and_nothing_else(bench: Bench) -> None:
    bench.log.commit([TopicPartition("posts", 0, 20, Mark("id", "worker-1").text())])
    bench.log.commit([TopicPartition("posts", 1, 30, OURS)])
    bench.run_until()
    assert bench.suspects.windows == [(0, 20, 10 * module.UNCOMMITTED_BATCHES, 100)]
    assert [number for place, number in bench.suspects.examined if place == 0] == list(range(20, 100))
    assert bench.log.marks == {0: NOBODY, 1: NOBODY}


def test_suspects_that_were_not_tried_stay_suspects(bench: Bench) -> None:
    bench.log.commit([TopicPartition("posts", 0, 20, Mark("id", "worker-1").text())])
    bench.suspects.pending = {0}
    bench.run_until()
    assert bench.log.marks == {0: OURS, 1: NOBODY}


def test_offsets_of_a_topic_that_was_made_again_end_it(bench: Bench) -> None:
    bench.log.commit([TopicPartition("posts", 0, 20, Mark("another id").text())])
    bench.start()
    bench.join()
    assert isinstance(bench.raised, RecordsGoneError)
    assert "another id is now id; skip posts" in str(bench.raised)
    assert bench.log.written == []


def test_offsets_that_were_set_by_hand_are_read_from(bench: Bench) -> None:
    bench.log.commit([TopicPartition("posts", 0, 20), TopicPartition("posts", 1, 90)])
    bench.run_until()
    assert sorted(bench.log.written) == [(0, n) for n in range(20, 100)] + [(1, n) for n in range(90, 100)]


@pytest.mark.parametrize("stage", ["prepare", "embed"])
def test_a_stage_that_hangs_ends_the_process_and_leaves_its_posts_suspect(
    monkeypatch: pytest.MonkeyPatch, log: FakeLog, stage: str
) -> None:
    bench = Bench(monkeypatch, log, stuck_seconds=2.0)
    go_on = threading.Event()
    setattr(bench, stage, until(go_on))
    bench.start()
    bench.join()
    go_on.set()
    assert isinstance(bench.raised, PipelineError)
    assert f"{stage} hangs" in str(bench.raised)
    assert log.marks == {0: OURS, 1: OURS}
    assert log.written == []
