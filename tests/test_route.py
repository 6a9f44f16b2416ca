"""Every verdict reaches the cell that can act on it, or is a dead letter with its reason."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest

from consumers.changes.verdicts import send_verdict, verdict_message
from consumers.contracts import cell_log
from consumers.contracts.cell_log import DeadRecord, PostRecord, VerdictRecord
from consumers.contracts.source import Source, flag_id
from consumers.contracts.verdict import Verdict
from consumers.encoding.suspects import Suspects
from consumers.encoding.work import Failure, SourceRecord
from consumers.http import Health
from consumers.kafka.dead_letters import list_dead_letters
from consumers.kafka.delivery import Aborted, Delivery, Outgoing, open_delivery
from consumers.kafka.lookup import read_topic
from consumers.kafka.marks import Mark
from consumers.names import cell_log_topic
from consumers.route import Router, run_route
from consumers.settings import Assign, Kafka, Settings, Topics, Verdicts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.embedded import Broker
    from models.bundle import Bundle

BUNDLE = "tiny-00000000"
SOURCE = Source("posts", "topic-id", 1, 17, 1_700_000_000_000)
POST = PostRecord(post_id="post-1", source=SOURCE, time=1_700_000_000_000, parts={"text": "used"}, vector=b"\x00\x3c")
NOW = 1_800_000_000_000
NO_ENCODERS = cast("Bundle", SimpleNamespace(bundle_id=BUNDLE, folder=Path("absent")))


@pytest.fixture
def settings(broker: Broker, request: pytest.FixtureRequest) -> Settings:
    name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name)[:60]
    settings = Settings(
        kafka=Kafka(
            bootstrap_servers=broker.address, group=name, delivery="at-least-once", topic_identity=broker.identity
        ),
        topics=Topics(cells=f"{name}-cells", verdicts=f"{name}-verdicts", dead_letters=f"{name}-dead"),
        assign=Assign(cells=4),
    )
    broker.create(cell_log_topic(settings, BUNDLE), settings.topics.verdicts, settings.topics.dead_letters)
    return settings


@pytest.fixture
def router(settings: Settings) -> Iterator[Router]:
    router = Router(settings, NO_ENCODERS, Mark("topic-of-verdicts"), Suspects(settings, NO_ENCODERS.folder))
    yield router
    router.close()


def log_records(settings: Settings, *values: bytes, cell: int = 2) -> None:
    delivery = open_delivery(settings, "test")
    delivery.deliver([Outgoing(cell_log_topic(settings, BUNDLE), None, value, partition=cell) for value in values])
    delivery.close()


def as_record(value: bytes | None, timestamp: int = NOW) -> SourceRecord:
    return SourceRecord(Source("verdicts", "", 0, 3, timestamp), None, value)


def verdict(**fields: Any) -> bytes:
    given = {"verdict_id": "v-1", "decision": "uphold", "policy": "spam", "actor": "mod"} | fields
    return msgspec.json.encode(given | {"schema": "shoal.verdict/1"})


def route(router: Router, record: SourceRecord) -> list[Outgoing] | Failure:
    [found] = router.route([record], now_ms=NOW)
    return found


def routed(found: list[Outgoing] | Failure) -> list[tuple[int, VerdictRecord]]:
    assert isinstance(found, list), found
    records = [(one.partition, cell_log.decode(one.value or b"")) for one in found]
    assert all(isinstance(record, VerdictRecord) for _, record in records)
    return cast("list[tuple[int, VerdictRecord]]", records)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b"nonsense", "not-json"),
        (b'"text"', "invalid"),
        (b'{"schema": "shoal.verdict/2"}', "wrong-schema"),
        (b'{"schema": "shoal.verdict/1"}', "invalid"),
        (verdict(), "invalid"),
        (verdict(post_id="p", flag_id="f"), "invalid"),
        (verdict(post_id="p", policy="Not a policy!"), "invalid"),
        (verdict(post_id="p", policy=""), "invalid"),
        (verdict(post_id="p", decision="maybe"), "invalid"),
        (verdict(post_id=""), "invalid"),
        (verdict(post_id="p", verdict_id=""), "invalid"),
        (verdict(post_id="p", actor="a" * 1000), "invalid"),
        (verdict(post_id="p", cell=4), "invalid"),
        (verdict(post_id="p", cell=-1), "invalid"),
        (verdict(post_id="p", cell_offset=3), "invalid"),
        (verdict(post_id="p", cell=1, cell_offset=-3), "invalid"),
        (verdict(cluster_id="elsewhere"), "invalid"),
        (verdict(cluster_id="9-12"), "invalid"),
    ],
)
def test_a_verdict_nobody_could_act_on_is_a_dead_letter(router: Router, value: bytes | None, reason: str) -> None:
    found = route(router, as_record(value))
    assert isinstance(found, Failure)
    assert (found.reason, found.step) == (reason, "route")


def test_a_verdict_with_its_place_carries_the_vector_of_the_post(settings: Settings, router: Router) -> None:
    log_records(settings, cell_log.encode(POST))
    found = route(router, as_record(verdict(post_id="post-1", cell=2, cell_offset=0)))
    [(cell, record)] = routed(found)
    assert cell == 2
    assert (record.vector, record.source, record.post_id) == (POST.vector, SOURCE, "post-1")
    assert (record.asked, record.cell_offset, record.time) == (1, 0, NOW)


def test_a_verdict_on_a_flag_learns_its_post(settings: Settings, router: Router) -> None:
    log_records(settings, cell_log.encode(POST))
    flag = flag_id(BUNDLE, SOURCE, "spam")
    [(_, record)] = routed(route(router, as_record(verdict(flag_id=flag, cell=2, cell_offset=0))))
    assert (record.flag_id, record.post_id, record.vector) == (flag, "post-1", POST.vector)


@pytest.mark.parametrize("target", [{"post_id": "post-2"}, {"flag_id": flag_id(BUNDLE, SOURCE, "other")}])
def test_a_place_that_holds_another_post_is_refused(
    settings: Settings, router: Router, target: dict[str, str]
) -> None:
    log_records(settings, cell_log.encode(POST))
    found = route(router, as_record(verdict(cell=2, cell_offset=0, **target)))
    assert isinstance(found, Failure)
    assert found.reason == "wrong-target"


def test_a_place_that_no_longer_holds_a_post_leaves_the_question_to_its_cell(
    settings: Settings, router: Router
) -> None:
    dead = cell_log.encode(DeadRecord(post_id="post-1", source=SOURCE, time=0, reason="x", step="parse"))
    log_records(settings, b"garbage", dead)
    for offset in (0, 1, 2, 10**12):
        value = verdict(post_id="post-1", cell=2, cell_offset=offset)
        [(cell, record)] = routed(route(router, as_record(value)))
        assert (cell, record.vector, record.post_id, record.asked) == (2, None, "post-1", 1)


def test_a_verdict_on_a_cluster_goes_to_the_cluster_s_cell(router: Router) -> None:
    [(cell, record)] = routed(route(router, as_record(verdict(cluster_id="3-120"))))
    assert (cell, record.cluster_id, record.asked) == (3, "3-120", 1)


@pytest.mark.parametrize("target", ["post_id", "flag_id"])
def test_a_bare_verdict_asks_every_cell(router: Router, target: str) -> None:
    found = routed(route(router, as_record(verdict(**{target: "somewhere"}))))
    assert [cell for cell, _ in found] == [0, 1, 2, 3]
    assert {record.asked for _, record in found} == {4}


def test_a_verdict_dated_ahead_counts_a_minute_ahead_at_most(router: Router) -> None:
    [(_, record)] = routed(route(router, as_record(verdict(cluster_id="0-1"), NOW * 2)))
    assert record.time == NOW + 60_000


@pytest.mark.parametrize(
    ("actors", "actor", "counts"),
    [
        ((), "anybody", True),
        (("ada", "team-*"), "ada", True),
        (("ada", "team-*"), "team-7", True),
        (("ada", "team-*"), "Ada", False),
        (("ada", "team-*"), "steam-7", False),
        (("ada", "team-*"), "adam", False),
    ],
)
def test_only_verdicts_of_allowed_actors_count(
    settings: Settings, actors: tuple[str, ...], actor: str, counts: bool
) -> None:
    allowing = settings.model_copy(update={"verdicts": Verdicts(actors=actors)})
    router = Router(allowing, NO_ENCODERS, Mark("topic-of-verdicts"), Suspects(allowing, NO_ENCODERS.folder))
    found = route(router, as_record(verdict(cluster_id="0-1", actor=actor)))
    router.close()
    if counts:
        assert [record.actor for _, record in routed(found)] == [actor]
    else:
        assert isinstance(found, Failure)
        assert (found.reason, found.step) == ("actor-not-allowed", "route")


@contextmanager
def routing(settings: Settings) -> Iterator[None]:
    """The consumer, running."""
    stop = threading.Event()
    thread = threading.Thread(target=run_route, args=(settings, NO_ENCODERS, stop, Health(("route",))))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive()


def eventually_routed(settings: Settings, count: int) -> list[VerdictRecord]:
    """The verdicts in the cell log, when there are so many."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = [cell_log.decode(m.value() or b"") for m in read_topic(settings, cell_log_topic(settings, BUNDLE))]
        records = [record for record in found if isinstance(record, VerdictRecord)]
        if len(records) >= count:
            return records
    raise AssertionError(f"{records} after a minute")


class Refusing:
    """A delivery that is refused now and then."""

    refusals = 3

    def __init__(self, inner: Delivery) -> None:
        self.inner = inner

    def deliver(self, *given: Any) -> None:
        if Refusing.refusals:
            Refusing.refusals -= 1
            raise Aborted("test", "refused")
        self.inner.deliver(*given)

    def close(self) -> None:
        self.inner.close()


def test_a_batch_that_was_given_up_is_routed_once(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumers.route.open_delivery", lambda *given: Refusing(open_delivery(*given)))
    sent = [send_verdict(settings, decision="uphold", policy="spam", actor="mod", cluster_id="1-5") for _ in range(3)]
    with routing(settings):
        eventually_routed(settings, 3)
        sent.append(send_verdict(settings, decision="uphold", policy="spam", actor="mod", cluster_id="1-5"))
        records = eventually_routed(settings, 4)
    assert Refusing.refusals == 0
    assert sorted(record.verdict_id for record in records) == sorted(sent)


def test_good_and_bad_verdicts_pass_side_by_side(settings: Settings) -> None:
    def given(verdict_id: str, **fields: Any) -> Outgoing:
        return verdict_message(
            settings, Verdict(verdict_id=verdict_id, decision="uphold", policy="spam", actor="mod", **fields)
        )

    bad = Outgoing(settings.topics.verdicts, b"k", b"nonsense")
    delivery = open_delivery(settings, "test")
    delivery.deliver([given("one", cluster_id="1-5"), bad, given("two", cluster_id="2-5"), given("none")])
    delivery.close()
    sent = send_verdict(settings, decision="overturn", policy="spam", actor="mod", cluster_id="0-5")

    with routing(settings):
        records = eventually_routed(settings, 3)
    assert sorted(record.verdict_id for record in records) == sorted(["one", "two", sent])
    letters = list(list_dead_letters(settings))
    assert sorted(letter.reason for letter in letters) == ["invalid", "not-json"]
    assert {letter.topic for letter in letters} == {settings.topics.verdicts}
