"""A cell has one owner, loses nothing, and stops with a clear word when going on would lose something."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
import weakref
from collections import Counter
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import msgspec
import numpy as np
import pytest
import redis
import structlog
from confluent_kafka import Consumer, TopicPartition
from prometheus_client import REGISTRY

from consumers.assign import run_assign
from consumers.cells import owner as owner_module
from consumers.cells.fold import Fold
from consumers.cells.fold_settings import fold_settings
from consumers.cells.outputs import pack
from consumers.cells.owner import CellOwner, CellStopped, _beginning, _check_log
from consumers.contracts import cell_log
from consumers.contracts.cell_log import DeadRecord, EraseRecord, PostRecord, VerdictRecord
from consumers.contracts.decision import Decision
from consumers.contracts.flag import Flag
from consumers.contracts.source import Source
from consumers.http import Health
from consumers.kafka.dead_letters import list_dead_letters
from consumers.kafka.delivery import Aborted, Outgoing, open_delivery
from consumers.kafka.lookup import open_reader, read_topic
from consumers.metrics import FOLDED_AGAIN
from consumers.names import assign_group, cell_log_topic
from consumers.recovery.verify import Difference, verify_cell
from consumers.settings import Assign, Kafka, Redis, Settings, Topics, Verdicts
from consumers.state.store import StateStore, StateUnavailable
from models.manifest import Manifest, Modality, Provenance, Thresholds, VectorInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from consumers.embedded import Broker
    from models.bundle import Bundle

T = TypeVar("T")

ATTEMPTS = 8
SIZE = 8
NOW = time.time_ns() // 1_000_000
MANIFEST = Manifest(
    name="plain",
    version="1",
    dimension=SIZE,
    modalities=(Modality(name="sensor", kind="vector", mean=(0.0,) * SIZE, vector=VectorInput(size=SIZE)),),
    thresholds=Thresholds(join=0.8, cohesion=0.5, centroid=0.8, exemplar=0.8, modality=0.5, twin=0.97),
    half_life_seconds=3600.0,
    files={},
    provenance=Provenance(command="none", seed=0, created_at="2026-01-01T00:00:00Z", shoal="0", data=()),
    licence="Apache-2.0",
)
BUNDLE = MANIFEST.bundle_id


@pytest.fixture
def settings(broker: Broker, redis_url: str, request: pytest.FixtureRequest) -> Settings:
    name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name)[-60:]
    settings = Settings(
        kafka=Kafka(
            bootstrap_servers=broker.address,
            group=name,
            delivery="at-least-once",
            topic_identity=broker.identity,
            # the embedded broker forgets a member by its silence only, even one that has left
            properties={"session.timeout.ms": 4000, "heartbeat.interval.ms": 300},
        ),
        redis=Redis(url=redis_url, timeout_seconds=0.5, prefix=name),
        topics=Topics(
            cells=f"{name}-cells", decisions=f"{name}-decisions", flags=f"{name}-flags", dead_letters=f"{name}-dead"
        ),
        assign=Assign(cells=4, batch_records=16),
    )
    names = settings.topics
    broker.create(cell_log_topic(settings, BUNDLE), names.decisions, names.flags, names.dead_letters)
    return settings


@contextmanager
def assigning(settings: Settings) -> Iterator[Health]:
    """The consumer, running."""
    stop = threading.Event()
    health = Health(("assign",))
    bundle = cast("Bundle", SimpleNamespace(bundle_id=BUNDLE, manifest=MANIFEST, quantizer=lambda _cells: None))
    raised: list[BaseException] = []

    def work() -> None:
        try:
            run_assign(settings, bundle, stop, health)
        except BaseException as error:  # noqa: BLE001  # told to the test below
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield health
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()
    assert raised == []


def direction(number: int) -> NDArray[np.float16]:
    vector: NDArray[np.float16] = np.eye(SIZE, dtype=np.float16)[number % SIZE]
    return vector


def post(number: int, towards: int = 0) -> PostRecord:
    source = Source("posts", "posts-id", 0, number, NOW)
    vector = direction(towards).tobytes()
    return PostRecord(post_id=f"post-{number}", source=source, time=NOW, parts={"sensor": "used"}, vector=vector)


def log_records(settings: Settings, *records: cell_log.Record | bytes, cell: int = 0) -> None:
    values = [one if isinstance(one, bytes) else cell_log.encode(one) for one in records]
    delivery = open_delivery(settings, "test")
    delivery.deliver([Outgoing(cell_log_topic(settings, BUNDLE), None, value, partition=cell) for value in values])
    delivery.close()


def decisions(settings: Settings) -> list[Decision]:
    return [
        msgspec.json.decode(message.value() or b"", type=Decision)
        for message in read_topic(settings, settings.topics.decisions)
    ]


def flags(settings: Settings) -> list[Flag]:
    return [
        msgspec.json.decode(message.value() or b"", type=Flag)
        for message in read_topic(settings, settings.topics.flags)
    ]


def eventually(look: Callable[[], T], until: Callable[[T], bool], seconds: float = 60.0) -> T:
    deadline = time.monotonic() + seconds
    found = look()
    while not until(found) and time.monotonic() < deadline:
        time.sleep(0.1)
        found = look()
    assert until(found), found
    return found


def has(count: int) -> Callable[[list[Any]], bool]:
    return lambda found: len(found) >= count


def stopped(cell: int) -> float | None:
    return REGISTRY.get_sample_value("shoal_cell_stopped", {"cell": str(cell)})


def commit(settings: Settings, cell: int, offset: int) -> None:
    group = assign_group(settings, BUNDLE)
    consumer = Consumer({"bootstrap.servers": settings.kafka.bootstrap_servers, "group.id": group, "log_level": 2})
    place = TopicPartition(cell_log_topic(settings, BUNDLE), cell, offset)
    consumer.commit(offsets=[place], asynchronous=False)
    consumer.close()


def store_state(settings: Settings, cell: int, position: int, *batches: tuple[int, int]) -> None:
    """State as an owner leaves it that wrote `batches` (start, end) to Redis and did not commit them.

    Between two batches that do not meet, the outputs have been lost.
    """
    store = StateStore(settings.redis, BUNDLE, settings.assign.cells)
    store.claim(cell, "earlier")
    start = batches[0][0] if batches else position
    changes = Fold(fold_settings(settings, MANIFEST), MANIFEST, cell, position=start).first_changes()
    store.write(cell, "earlier", None, start, changes, b"")
    for begin, end in batches:
        if begin != start:
            store.write(cell, "earlier", start, begin, changes, b"", committed=0)
        store.write(cell, "earlier", begin, end, changes, pack([]), committed=0)
        start = end
    store.close()


def test_every_post_gets_one_decision_in_its_cell_s_partition(settings: Settings) -> None:
    log_records(settings, *(post(number, towards=number) for number in range(40)), cell=0)
    log_records(settings, *(post(number) for number in range(100, 140)), cell=3)
    with assigning(settings):
        found = eventually(lambda: decisions(settings), has(80))
    assert sorted(one.post_id or "" for one in found) == sorted(
        f"post-{number}" for number in (*range(40), *range(100, 140))
    )
    places = [(m.partition(), m.key()) for m in read_topic(settings, settings.topics.decisions)]
    assert {partition for partition, _ in places} == {0, 3}
    assert {key for partition, key in places if partition == 3} == {f"post-{n}".encode() for n in range(100, 140)}


def test_a_restart_goes_on_where_the_last_owner_ended(settings: Settings) -> None:
    log_records(settings, *(post(number) for number in range(20)))
    with assigning(settings):
        eventually(lambda: decisions(settings), has(20))
    log_records(settings, *(post(number) for number in range(20, 40)))
    with assigning(settings):
        found = eventually(lambda: decisions(settings), has(40))
    assert [one.post_id for one in found] == [f"post-{number}" for number in range(40)]
    assert [one.opened for one in found] == [True] + [False] * 39


def test_the_memory_of_a_cell_is_free_once_it_is_let_go(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[weakref.ref[Any]] = []

    class NotedFold(Fold):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            held.append(weakref.ref(self._state))

    monkeypatch.setattr(owner_module, "Fold", NotedFold)
    log_records(settings, post(1))
    with assigning(settings):
        eventually(lambda: decisions(settings), has(1))
        assert gc.get_freeze_count() > 0
    gc.collect()
    assert [state() for state in held] == [None] * 4


def test_a_post_logged_twice_is_decided_once(settings: Settings) -> None:
    log_records(settings, post(1), post(2), post(1), post(2), post(3))
    with assigning(settings):
        eventually(lambda: decisions(settings), lambda found: any(one.post_id == "post-3" for one in found))
    assert [one.post_id for one in decisions(settings)] == ["post-1", "post-2", "post-3"]


def test_a_dead_post_gets_its_decision_too(settings: Settings) -> None:
    dead = DeadRecord(
        post_id=None, source=Source("posts", "posts-id", 0, 5, NOW), time=NOW, reason="not-json", step="parse"
    )
    log_records(settings, post(1), dead, post(6))
    with assigning(settings):
        found = eventually(lambda: decisions(settings), has(3))
    assert [one.outcome for one in found] == ["clear", "dead_letter", "clear"]


def test_a_verdict_flags_later_posts_and_an_overturn_ends_it(settings: Settings) -> None:
    def verdict(decision: Any, number: int) -> VerdictRecord:
        return VerdictRecord(
            verdict_id=f"v-{decision}-{number}",
            decision=decision,
            policy="spam",
            actor=f"moderator-{number}",
            time=NOW,
            post_id="post-0",
            cell_offset=0,
            vector=direction(0).tobytes(),
            source=post(0).source,
        )

    log_records(settings, post(0), post(1), verdict("uphold", 1), post(2), post(3))
    with assigning(settings):
        eventually(lambda: decisions(settings), has(4))
        log_records(settings, *(verdict("overturn", number) for number in range(2, 6)), post(4))
        found = eventually(lambda: decisions(settings), has(5))
    assert [one.outcome for one in found if one.post_id in {"post-2", "post-3"}] == ["flagged", "flagged"]
    assert found[-1].outcome != "flagged"
    live = [flag.post_id for flag in flags(settings) if flag.cause == "live"]
    assert sorted(live) == ["post-2", "post-3"]


def test_a_verdict_about_nothing_known_is_a_dead_letter(settings: Settings) -> None:
    settings = settings.model_copy(update={"verdicts": Verdicts(waiting_seconds=0.0)})
    verdict = VerdictRecord(
        verdict_id="v", decision="uphold", policy="spam", actor="mod", time=NOW, post_id="never-seen", asked=1
    )
    log_records(settings, verdict, post(1))
    with assigning(settings):
        eventually(lambda: decisions(settings), has(1))
    [letter] = list_dead_letters(settings)
    assert letter.topic == settings.topics.verdicts
    assert msgspec.json.decode(letter.value or b"")["post_id"] == "never-seen"


def test_what_cannot_be_read_is_a_dead_letter_and_its_neighbours_are_decided(settings: Settings) -> None:
    log_records(settings, post(1), b"\xc1 garbage", post(2), b"")
    with assigning(settings):
        eventually(lambda: decisions(settings), has(2))
        letters = eventually(lambda: list(list_dead_letters(settings)), has(2))
    assert {one.reason for one in letters} == {"unreadable-record"}
    assert sorted(one.value or b"" for one in letters) == [b"", b"\xc1 garbage"]


def stored_outputs(settings: Settings) -> list[bytes]:
    store = StateStore(settings.redis, BUNDLE, settings.assign.cells)
    state = store.read(0)
    store.close()
    return [] if state is None else [kept.data for kept in state.outputs]


def test_an_erased_post_leaves_the_outputs_stored_too(settings: Settings) -> None:
    with assigning(settings):
        log_records(settings, post(0), post(1, towards=1))
        eventually(lambda: decisions(settings), has(2))
        assert any(b"post-1" in data for data in stored_outputs(settings)), "kept until the next batch"
        log_records(settings, EraseRecord(post_id="post-1", time=NOW, erase_id="erasure"))
        eventually(lambda: stored_outputs(settings), lambda found: found == [])


def test_an_owner_drops_the_outputs_that_it_has_written_for_the_last_one(settings: Settings) -> None:
    """The last one may have died between the delivery of a batch with an erasure and this."""
    with assigning(settings):
        log_records(settings, post(0))
        eventually(lambda: decisions(settings), has(1))
    assert stored_outputs(settings) != []
    with assigning(settings) as health:
        eventually(health.ready, lambda found: bool(found[0]))
        assert stored_outputs(settings) == []


def test_outputs_stored_and_not_written_are_written_by_the_next_owner(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner dies between the write to Redis and the transaction."""
    deliver = CellOwner.deliver
    died: list[int] = []

    def die_once(self: CellOwner, outputs: Any, position: int, group: Any) -> None:
        if not died and any(kept.role == "decisions" for kept in outputs):
            died.append(position)
            raise Aborted("test", "the process died here")
        deliver(self, outputs, position, group)

    monkeypatch.setattr(CellOwner, "deliver", die_once)
    log_records(settings, *(post(number, towards=number) for number in range(10)))
    with assigning(settings):
        found = eventually(lambda: decisions(settings), has(10))
        log_records(settings, post(10))
        found = eventually(lambda: decisions(settings), has(11))
    assert died != []
    assert [one.post_id for one in found] == [f"post-{number}" for number in range(11)]
    assert found[10].opened is False


def test_the_next_batch_is_folded_while_one_is_written_and_written_after_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fold, write, deliver = Fold.fold, StateStore.write, CellOwner.deliver
    second = threading.Event()
    folds: list[int] = []
    order: list[tuple[str, int]] = []

    def note_fold(self: Fold, records: Any, *, position: int) -> Any:
        if self._state.cell == 0:
            folds.append(position)
        if len(folds) == 2:
            second.set()
        return fold(self, records, position=position)

    def slow_write(self: StateStore, cell: int, token: str, expected: Any, position: int, *rest: Any) -> Any:
        if cell == 0 and expected is not None:
            assert second.wait(60), "the second batch is folded meanwhile"
            order.append(("write", position))
        return write(self, cell, token, expected, position, *rest)

    def note_deliver(self: CellOwner, outputs: Any, position: int, group: Any) -> None:
        deliver(self, outputs, position, group)
        if self.cell == 0 and folds:
            order.append(("deliver", position))

    log_records(settings, *(post(number) for number in range(2 * settings.assign.batch_records)))
    with assigning(settings) as health:
        monkeypatch.setattr(Fold, "fold", note_fold)
        monkeypatch.setattr(StateStore, "write", slow_write)
        monkeypatch.setattr(CellOwner, "deliver", note_deliver)
        eventually(health.ready, lambda report: report[0])
        eventually(lambda: decisions(settings), has(2 * settings.assign.batch_records))
    assert len(folds) >= 2
    assert order == [(what, position) for position in folds for what in ("write", "deliver")]


def test_a_batch_that_kafka_refuses_for_good_stops_the_cell_and_no_other(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver = CellOwner.deliver
    refused: list[int] = []

    def refuse(self: CellOwner, outputs: Any, position: int, group: Any) -> None:
        if self.cell == 1 and any(kept.role == "decisions" for kept in outputs):
            refused.append(position)
            raise Aborted("test", "refused")
        deliver(self, outputs, position, group)

    monkeypatch.setattr(CellOwner, "deliver", refuse)
    monkeypatch.setattr("consumers.assign.LONGEST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr("consumers.assign.ATTEMPTS", ATTEMPTS)
    with assigning(settings) as health:
        eventually(health.ready, lambda report: report[0])
        log_records(settings, post(1), cell=1)
        eventually(lambda: stopped(1), lambda value: value == 1.0)
        assert not health.ready()[0]
        log_records(settings, post(2), cell=2)
        found = eventually(lambda: decisions(settings), has(1))
    assert len(refused) == ATTEMPTS
    assert [one.post_id for one in found] == ["post-2"]


class Contradiction(NamedTuple):
    """What Kafka has committed, where Redis is, which stored outputs it keeps, and what the log then says."""

    committed: int | None
    position: int | None
    batches: tuple[tuple[int, int], ...]
    text: str


@pytest.mark.parametrize(
    "given",
    [
        Contradiction(7, None, (), "it is at offset 0, Kafka at 7, and the cell log holds only 0 to 5"),
        Contradiction(7, 2, (), "it is at offset 2, Kafka at 7"),
        Contradiction(None, 2, (), "no committed offset"),
        Contradiction(1, 4, ((0, 1), (1, 2), (3, 4)), "kept only up to 2"),
        Contradiction(2, 1000, ((2, 1000),), "the cell log holds 0 to 5"),
    ],
)
def test_a_cell_whose_parts_contradict_each_other_is_stopped_and_no_other(
    settings: Settings, given: Contradiction
) -> None:
    log_records(settings, *(post(number) for number in range(5)))
    if given.position is not None:
        store_state(settings, 0, given.position, *given.batches)
    if given.committed is not None:
        commit(settings, 0, given.committed)
    log_records(settings, post(50), cell=1)
    with structlog.testing.capture_logs() as logs, assigning(settings):
        eventually(lambda: stopped(0), lambda value: value == 1.0)
        found = eventually(lambda: decisions(settings), has(1))
    assert [one.post_id for one in found] == ["post-50"]
    assert [given.text in line["reason"] for line in logs if line["event"] == "cell stopped"] == [True]


@pytest.mark.parametrize(
    ("committed", "position", "beginning"),
    [(None, None, 4), (0, None, 0), (5, None, 0), (0, 0, 0), (5, 5, 5), (5, 9, 9), (5, 3, 3)],
)
def test_folding_goes_on_where_redis_is(committed: int | None, position: int | None, beginning: int) -> None:
    assert _beginning(0, committed, position, low=4) == beginning


@pytest.mark.parametrize(("position", "good"), [(4, False), (5, True), (9, True), (10, False)])
def test_the_next_offset_must_lie_in_the_log(position: int, good: bool) -> None:
    if good:
        _check_log(0, None, position, 5, 9)
    else:
        with pytest.raises(CellStopped, match="holds 5 to 9"):
            _check_log(0, None, position, 5, 9)


@pytest.mark.parametrize(("committed", "position", "low"), [(8, 4, 5), (10, 7, 5), (8, 0, 1)])
def test_a_log_that_lacks_what_redis_lost_stops_the_cell(committed: int, position: int, low: int) -> None:
    with pytest.raises(CellStopped, match="cannot be folded again"):
        _check_log(0, committed, position, low, 9)


def spam(number: int) -> VerdictRecord:
    """A moderator upholds that post 0 is spam."""
    return VerdictRecord(
        verdict_id=f"spam-{number}", decision="uphold", policy="spam", actor="mod", time=NOW, post_id="post-0"
    )


class Backup:
    """What Redis held of a test at a moment, to be brought back."""

    def __init__(self, settings: Settings) -> None:
        self._client: Any = redis.Redis.from_url(settings.redis.url)
        self._pattern = f"{settings.redis.prefix}:*"
        self._kept = {key: self._client.dump(key) for key in self._client.scan_iter(self._pattern)}

    def bring_back(self) -> None:
        for key in list(self._client.scan_iter(self._pattern)):
            self._client.delete(key)
        for key, value in self._kept.items():
            self._client.restore(key, 0, value)


def state_differences(settings: Settings, cell: int = 0) -> tuple[Difference, ...]:
    store = StateStore(settings.redis, BUNDLE, settings.assign.cells)
    verified = verify_cell(settings, MANIFEST, store, cell)
    store.close()
    assert verified is not None
    return verified.differences


@pytest.mark.parametrize("kept", [0, 30])
def test_a_redis_that_lost_state_is_filled_from_the_log_and_nothing_is_written_again(
    settings: Settings, kept: int
) -> None:
    backup = Backup(settings)
    log_records(settings, *(post(number, towards=number % 3) for number in range(30)))
    if kept:
        with assigning(settings):
            eventually(lambda: decisions(settings), has(30))
        backup = Backup(settings)
    log_records(settings, spam(1), *(post(number, towards=number % 3) for number in range(30, 60)))
    with assigning(settings):
        eventually(lambda: decisions(settings), has(60))
    backup.bring_back()
    assert Counter(flag.cause for flag in flags(settings)) == {"retroactive": 10, "live": 10}
    again = FOLDED_AGAIN.labels("0")._value.get()
    log_records(settings, *(post(number, towards=number % 3) for number in range(60, 90)))
    with structlog.testing.capture_logs() as logs, assigning(settings) as health:
        found = eventually(lambda: decisions(settings), has(90))
        eventually(lambda: health.ready()[0], bool)
    assert Counter(one.post_id for one in found) == Counter(f"post-{number}" for number in range(90))
    assert Counter(flag.cause for flag in flags(settings)) == {"retroactive": 10, "live": 20}
    # the cell's first owner has written one record too: the settings it begins with
    start, end = (kept + 1 if kept else 0), 62
    assert FOLDED_AGAIN.labels("0")._value.get() - again == end - start
    lost = [line for line in logs if line["event"] == "Redis has lost state: the log is folded again"]
    [told] = [line for line in lost if line["cell"] == 0]
    assert (told["start"], told["end"]) == (start, end)
    assert state_differences(settings) == ()


def test_folding_again_goes_on_after_a_redis_that_is_away(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = Backup(settings)
    log_records(settings, *(post(number, towards=number) for number in range(50)))
    with assigning(settings):
        eventually(lambda: decisions(settings), has(50))
    empty.bring_back()
    write, calls = StateStore.write, iter(range(100))

    def unsteady(self: StateStore, *arguments: Any, **named: Any) -> Any:
        if next(calls) in {1, 2, 4}:
            raise StateUnavailable("away")
        return write(self, *arguments, **named)

    monkeypatch.setattr(StateStore, "write", unsteady)
    log_records(settings, post(50, towards=50))
    with assigning(settings):
        found = eventually(lambda: decisions(settings), has(51))
    assert Counter(one.post_id for one in found) == Counter(f"post-{number}" for number in range(51))
    assert state_differences(settings) == ()


def test_an_owner_that_was_replaced_in_redis_takes_the_cell_over_again(settings: Settings) -> None:
    with assigning(settings):
        log_records(settings, post(1))
        eventually(lambda: decisions(settings), has(1))
        store = StateStore(settings.redis, BUNDLE, settings.assign.cells)
        store.claim(0, "somebody else")
        store.close()
        log_records(settings, post(2))
        found = eventually(lambda: decisions(settings), has(2))
    assert [one.post_id for one in found] == ["post-1", "post-2"]


@contextmanager
def out_of_memory(client: Any) -> Iterator[None]:
    client.config_set("maxmemory", 1)
    yield
    client.config_set("maxmemory", 0)


@contextmanager
def read_only(client: Any) -> Iterator[None]:
    client.replicaof("127.0.0.1", 1)
    yield
    client.replicaof("NO", "ONE")


@contextmanager
def silent(client: Any) -> Iterator[None]:
    """Redis is there and answers nobody."""
    process = int(client.info()["process_id"])
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


@pytest.mark.parametrize("outage", [out_of_memory, read_only, silent])
def test_nothing_is_lost_while_redis_takes_no_writes(settings: Settings, redis_url: str, outage: Any) -> None:
    client = redis.Redis.from_url(redis_url)
    with assigning(settings) as health:
        log_records(settings, post(1))
        eventually(lambda: decisions(settings), has(1))
        with outage(client):
            log_records(settings, *(post(number) for number in range(2, 30)))
            eventually(health.ready, lambda report: not report[0])
            assert len(decisions(settings)) == 1
        found = eventually(lambda: decisions(settings), has(29))
        eventually(health.ready, lambda report: report[0])
    client.close()
    assert [one.post_id for one in found] == [f"post-{number}" for number in range(1, 30)]
    assert [one.opened for one in found] == [True] + [False] * 28


def test_a_reader_that_never_saw_the_group_finds_the_positions_committed(settings: Settings) -> None:
    log_records(settings, *(post(number) for number in range(5)), cell=2)
    with assigning(settings):
        eventually(lambda: decisions(settings), has(5))
    reader = open_reader(settings)
    reader.close()
    group = assign_group(settings, BUNDLE)
    consumer = Consumer({"bootstrap.servers": settings.kafka.bootstrap_servers, "group.id": group, "log_level": 2})
    [place] = consumer.committed([TopicPartition(cell_log_topic(settings, BUNDLE), 2)], timeout=10)
    consumer.close()
    assert place.offset == 6, "five posts, and the settings that the cell's first owner wrote"
