"""Processes come, go and die, Redis goes away: every post still gets exactly one decision."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from consumers.assign import run_assign
from consumers.cells.owner import CellOwner
from consumers.http import Health
from consumers.kafka.delivery import Aborted
from consumers.names import cell_log_topic
from consumers.recovery.rebuild import rebuild_cell
from consumers.settings import Assign, Redis
from consumers.state.reading import opened_state
from models.bundle import open_bundle
from tests.integration.exactly_once import assert_exactly_once, caption
from tests.integration.platform import Platform, Worker, eventually, make_topics, working
from tests.redis_servers import own_redis

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.redis_servers import RedisServer

pytestmark = [pytest.mark.kafka, pytest.mark.redis]


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_two_processes_a_rebalance_and_a_killed_one(
    new_platform: Callable[..., Platform], tmp_path: Path, protocol: str
) -> None:
    platform = new_platform(protocol, assign=Assign(cells=4, batch_wait_ms=5.0, batch_records=32))
    published: list[tuple[int, int]] = []
    stop = threading.Event()

    def publish() -> None:
        number = 0
        while not stop.is_set():
            published.extend(platform.publish(*(caption(number + step) for step in range(10))))
            number += 10
            stop.wait(0.1)

    publisher = threading.Thread(target=publish)
    first = Worker(platform.settings, tmp_path / "first.log")
    try:
        first.wait_ready()
        publisher.start()
        found = platform.decided(40)
        platform.give_verdict("uphold", "scam", found["post-1"])
        with working(platform.settings, tmp_path) as second:
            eventually(lambda: second.metric("shoal_posts_total"), lambda _: owns_cells(second))
            already = len(platform.decisions())
            platform.decided(already + 100)
            first.kill()
            already = len(platform.decisions())
            platform.decided(already + 200)
            stop.set()
            publisher.join(60)
            platform.decided(len(published))
            assert second.metric("shoal_cell_stopped") == 0
    finally:
        stop.set()
        if first.process.poll() is None:
            first.kill()
    assert_exactly_once(platform, published)
    assert platform.state_differences() == []
    assert "scam" in {flag.policy for flag in platform.flags()}
    assert any(
        event["consumer"] == "assign" for event in first.events("rebalance") if event["event_name"] == "revoked"
    )


def owns_cells(worker: Worker) -> bool:
    """Whether this worker owns some of the cells."""
    return worker.metric("shoal_partitions", consumer="assign") > 0


def test_what_an_owner_stored_and_did_not_write_is_written_by_the_next(
    platform: Platform, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner is gone between Redis and Kafka: its producer is left with an open transaction or none."""
    deliver = CellOwner.deliver
    died: list[int] = []

    def die_twice(self: CellOwner, outputs: Any, position: int, group: Any) -> None:
        if len(died) < 2 and any(kept.role == "decisions" for kept in outputs):
            died.append(position)
            raise Aborted("test", "the process died here")
        deliver(self, outputs, position, group)

    monkeypatch.setattr(CellOwner, "deliver", die_twice)
    opened = open_bundle(bundle, provider="cpu", intra_op_threads=1)
    stop = threading.Event()
    owner = threading.Thread(target=run_assign, args=(platform.settings, opened, stop, Health(("assign",))))
    owner.start()
    try:
        with working(platform.settings, tmp_path, "encode"):
            published = platform.publish(*(caption(number) for number in range(50)))
            platform.decided(50)
            published += platform.publish(*(caption(number) for number in range(50, 60)))
            platform.decided(60)
    finally:
        stop.set()
        owner.join(60)
    assert len(died) == 2
    assert_exactly_once(platform, published)
    assert platform.state_differences() == []


def on(platform: Platform, server: RedisServer) -> Platform:
    """The same platform on another Redis."""
    section = Redis(url=server.url, prefix="own", timeout_seconds=1.0)
    moved = Platform(platform.settings.model_copy(update={"redis": section}))
    make_topics(moved)
    return moved


def test_redis_is_away_for_a_while_and_nothing_is_lost(platform: Platform, tmp_path: Path) -> None:
    with own_redis("--appendonly", "yes", "--appendfsync", "always") as server:
        platform = on(platform, server)
        with working(platform.settings, tmp_path) as worker:
            published = platform.publish(*(caption(number) for number in range(30)))
            platform.decided(30)
            server.kill()
            published += platform.publish(*(caption(number) for number in range(30, 60)))
            log = cell_log_topic(platform.settings, platform.bundle)
            eventually(lambda: len(platform.values(log)), lambda found: found >= 60)
            eventually(
                lambda: worker.metric("shoal_aborts_total", consumer="assign", reason="redis"), lambda n: n > 0
            )
            assert len(platform.decisions()) == 30
            server.start()
            platform.decided(60)
            published += platform.publish(*(caption(number) for number in range(60, 70)))
            platform.decided(70)
        assert_exactly_once(platform, published)


def test_a_cell_that_is_rebuilt_on_purpose_is_filled_from_the_log(platform: Platform, tmp_path: Path) -> None:
    with working(platform.settings, tmp_path) as worker:
        published = platform.publish(*(caption(number) for number in range(20)))
        found = platform.decided(20)
        platform.give_verdict("uphold", "scam", found["post-1"])
        published += platform.publish(*(caption(number) for number in range(20, 40)))
        platform.decided(40)
        with opened_state(platform.settings) as (manifest, store):
            # nothing is published: the owner notices by itself that its state is gone
            rebuilt = rebuild_cell(platform.settings, manifest, store, 0, patience_seconds=60.0)
        assert rebuilt.done
        published += platform.publish(*(caption(number) for number in range(40, 60)))
        platform.decided(60)
        assert worker.metric("shoal_folded_again_records_total", cell="0") >= 40
        assert worker.metric("shoal_cell_stopped", cell="0") == 0
    assert_exactly_once(platform, published)
    assert platform.state_differences() == []
