"""Two processes that believe they own a cell, and a Redis that forgets: in whatever order they act, all is once."""

from __future__ import annotations

import random
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import redis
from confluent_kafka import KafkaError, TopicPartition

from consumers.assign import PASSING
from consumers.cells.owner import CellOwner, Surroundings, take_over
from consumers.contracts import cell_log
from consumers.contracts.cell_log import PostRecord, VerdictRecord
from consumers.contracts.source import Source
from consumers.kafka.delivery import (
    Aborted,
    Fenced,
    GroupConsumer,
    Outgoing,
    assign_paused,
    open_consumer,
    open_delivery,
)
from consumers.kafka.lookup import open_reader
from consumers.kafka.topic_watch import TopicWatch
from consumers.names import assign_group, cell_log_topic
from consumers.settings import Redis, Verdicts
from consumers.state.store import StaleOwner, StateStore
from models.manifest import read_manifest
from tests.integration.exactly_once import assert_exactly_once
from tests.integration.platform import Platform, eventually
from tests.proxy import proxied
from tests.redis_servers import replicated_redis, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from confluent_kafka import Message

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

NOW = 1_700_000_000_000
STEPS = 50


class Log:
    """The log of cell 0: tests write records to it, processes read them."""

    def __init__(self, platform: Platform) -> None:
        self._settings = platform.settings
        self._place = TopicPartition(cell_log_topic(platform.settings, platform.bundle), 0)
        self._reader = open_reader(platform.settings)
        self._reader.assign([TopicPartition(self._place.topic, 0, 0)])
        self._writer = open_delivery(platform.settings, f"{platform.settings.kafka.group}.writer")
        self._messages: list[Message] = []
        self._end = 0
        self.published: list[tuple[int, int]] = []
        manifest = read_manifest(Path(platform.settings.bundle))
        self._size = len(manifest.modalities) * manifest.dimension

    def add(self, posts: int) -> None:
        """Write so many posts, of a few kinds."""
        records = []
        for _ in range(posts):
            number = len(self.published)
            self.published.append((0, number))
            vector = np.eye(self._size, dtype="<f2")[number % 3]
            source = Source("posts", "posts-id", 0, number, NOW + number)
            records.append(
                PostRecord(
                    post_id=f"post-{number}", source=source, time=NOW + number, parts={"text": "used"},
                    vector=vector.tobytes(),
                )
            )  # fmt: skip
        self._write(records)

    def uphold(self, number: int) -> None:
        """A verdict on a post that was written before."""
        verdict = VerdictRecord(
            verdict_id=f"verdict-{number}", decision="uphold", policy="scam", actor="ada", time=NOW,
            post_id=f"post-{number}",
        )  # fmt: skip
        self._write([verdict])

    def messages(self, position: int) -> list[Message]:
        """Everything that stands in it from `position` on."""
        _, high = self._reader.get_watermark_offsets(self._place, timeout=10)
        while self._end < high:
            message = self._reader.poll(10)
            assert message is not None
            error = message.error()
            if error is None:
                self._messages.append(message)
            else:
                assert error.code() == KafkaError._PARTITION_EOF
                self._end = message.offset() or 0
        return [message for message in self._messages if (message.offset() or 0) >= position]

    def close(self) -> None:
        """Let go of Kafka."""
        self._reader.close()
        self._writer.close()

    def _write(self, records: Sequence[cell_log.Record]) -> None:
        topic = self._place.topic
        self._writer.deliver([Outgoing(topic, None, cell_log.encode(record), partition=0) for record in records])


class Process:
    """An assigning process that takes one step when it is told to, whoever the group says is the owner."""

    def __init__(self, platform: Platform, log: Log) -> None:
        settings = platform.settings
        manifest = read_manifest(Path(settings.bundle))
        topic = cell_log_topic(settings, manifest.bundle_id)
        self.consumer: GroupConsumer = open_consumer(
            settings, assign_group(settings, manifest.bundle_id), topic=topic, on_assign=assign_paused
        )
        self.store = StateStore(settings.redis, manifest.bundle_id, 1)
        self._watch = TopicWatch(settings, topic)
        self._around = Surroundings(settings, manifest, None, self.store, self.consumer, self._watch)
        self._log = log
        self.owner: CellOwner | None = None

    def take_over(self) -> None:
        """Become the owner."""
        self.let_go()
        self.owner = take_over(self._around, 0)

    def work(self, records: int = 1_000) -> None:
        """Work on the next records, at most so many."""
        assert self.owner is not None
        self.owner.work(self._log.messages(self.owner.position)[:records], self._watch.ask())
        self.owner.finish()

    def die_after_redis(self, records: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """Work, and be gone between the write to Redis and the transaction."""

        def gone(*_: Any) -> None:
            raise Aborted("test", "the process died here")

        with monkeypatch.context() as patch:
            patch.setattr(CellOwner, "deliver", gone)
            self.work(records)

    def let_go(self) -> None:
        """Be no owner any more."""
        if self.owner is not None:
            self.owner.close()
        self.owner = None

    def close(self) -> None:
        """Leave the group."""
        self.let_go()
        self.consumer.close()
        self.store.close()


@contextmanager
def processes(platform: Platform, log: Log) -> Iterator[tuple[Process, Process]]:
    """Two members of the group: Kafka takes a transaction of any member for any partition."""
    with ExitStack() as stack:
        pair = (Process(platform, log), Process(platform, log))
        for process in pair:
            stack.callback(process.close)

        def parts() -> list[int]:
            for process in pair:
                process.consumer.poll(0.1)
            return sorted(len(process.consumer.assignment()) for process in pair if process.consumer.memberid())

        eventually(parts, lambda found: found == [0, 1])
        # the group has settled when nobody has anything to tell for a while
        for _ in range(5):
            parts()
        yield pair


def finish(process: Process, log: Log) -> None:
    """Let this process be the only one, until the log is folded to its end."""
    process.take_over()
    while process.owner is not None and log.messages(process.owner.position):
        process.work()


def assert_all_is_well(platform: Platform, log: Log) -> None:
    """Each post decided once and in log order, each flag once, and the state what the log says."""
    assert_exactly_once(platform, log.published)
    offsets = [decision.cell_offset for decision in platform.decisions()]
    assert offsets == sorted(offsets)
    assert platform.state_differences() == []


@pytest.fixture
def small(new_platform: Callable[..., Platform]) -> Platform:
    """One cell, and verdicts that reach back two posts a record, so that outputs go into the cell's own log too."""
    platform = new_platform(verdicts=Verdicts(chunk_posts=2))
    kafka = platform.settings.kafka
    # offsets are asked for behind a fetch that waits for records: not for long, where so many are asked for
    kafka = kafka.model_copy(update={"properties": kafka.properties | {"fetch.wait.max.ms": 10}})
    return Platform(platform.settings.model_copy(update={"kafka": kafka}))


@pytest.mark.parametrize(("successor", "former"), [(3, 6), (6, 3), (0, 4), (4, 4)])
def test_a_former_owner_writes_once_more_into_a_redis_that_lost_its_successor_s_claim(
    small: Platform, successor: int, former: int
) -> None:
    """The successor has worked on so many records, then the replica is promoted, then the former owner wakes up."""
    with replicated_redis() as (primary, replica), proxied(primary.port) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}/0"
        platform = Platform(small.settings.model_copy(update={"redis": Redis(url=url, timeout_seconds=2.0)}))
        with reading(platform) as log, processes(platform, log) as (one, two):
            log.add(8)
            log.uphold(0)
            one.take_over()
            one.work(5)
            kept = primary.client.info("replication")["master_repl_offset"]
            wait_until(lambda: replica.client.info("replication")["slave_repl_offset"] >= kept)
            primary.stop_replication()
            two.take_over()
            if successor:
                two.work(successor)
            replica.promote()
            proxy.target = replica.port
            primary.kill()
            proxy.cut()
            with pytest.raises(Fenced):
                one.work(former)
            with pytest.raises(StaleOwner):
                two.work()
            log.add(4)
            finish(two, log)
            assert_all_is_well(platform, log)


@pytest.mark.parametrize("seed", range(3))
def test_take_overs_batches_deaths_and_failovers_in_any_order(
    small: Platform, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    with reading(small) as log, processes(small, log) as both:
        copy = Copy(small)
        log.add(3)
        refused = 0
        for step in range(STEPS):
            for process in both:
                process.consumer.poll(0)
            process = chance.choice(both)
            if step % 10 == 5:
                log.uphold(chance.randrange(len(log.published)))
            log.add(chance.randrange(3))
            try:
                if process.owner is None or chance.random() < 0.15:
                    process.take_over()
                elif chance.random() < 0.15:
                    process.die_after_redis(chance.randrange(1, 6), monkeypatch)
                else:
                    process.work(chance.randrange(1, 6))
            except PASSING:
                refused += 1
                process.let_go()
            if chance.random() < 0.15:
                copy = Copy(small)
            elif chance.random() < 0.15:
                copy.bring_back()
        assert refused > 0
        finish(both[0], log)
        assert_all_is_well(small, log)
        assert {flag.policy for flag in small.flags()} == {"scam"}


class Copy:
    """What Redis held at a moment, to be brought back: to its clients, a replica that was promoted."""

    def __init__(self, platform: Platform) -> None:
        self._client: Any = redis.Redis.from_url(platform.settings.redis.url)
        self._pattern = f"{platform.settings.redis.prefix}:*"
        self._kept = {key: self._client.dump(key) for key in self._client.scan_iter(self._pattern)}

    def bring_back(self) -> None:
        """Redis has lost whatever came after."""
        for key in list(self._client.scan_iter(self._pattern)):
            self._client.delete(key)
        for key, value in self._kept.items():
            self._client.restore(key, 0, value)


@contextmanager
def reading(platform: Platform) -> Iterator[Log]:
    """The log of a platform."""
    log = Log(platform)
    try:
        yield log
    finally:
        log.close()
