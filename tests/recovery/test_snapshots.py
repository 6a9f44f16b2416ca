"""Snapshots are taken when they are due, of the cells that are ours; what goes wrong is told and tried again."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from prometheus_client import REGISTRY

from consumers.embedded import embedded_redis
from consumers.metrics import SNAPSHOT_FAILURES, SNAPSHOT_TIME
from consumers.recovery import snapshots as module
from consumers.recovery.snapshot_store import SnapshotStoreError
from consumers.recovery.snapshots import SnapshotTaker
from consumers.settings import Kafka, Redis, Settings, Snapshots
from consumers.state.codec import StateChanges
from consumers.state.store import StateStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BUNDLE = "small-1"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    SNAPSHOT_TIME.clear()
    SNAPSHOT_FAILURES.clear()
    with embedded_redis() as url:
        yield Settings(
            kafka=Kafka(topic_identity="log"),
            redis=Redis(url=url, timeout_seconds=2.0),
            snapshots=Snapshots(location=f"file://{tmp_path}/", every_seconds=0.05, kept=2),
        )


@pytest.fixture
def store(settings: Settings) -> Iterator[StateStore]:
    made = StateStore(settings.redis, BUNDLE, 1)
    made.claim(0, "owner")
    made.write(0, "owner", None, 7, StateChanges(), b"")
    yield made
    made.close()


def eventually(look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def metric(name: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"cell": "0"})


def begun_at(taker: SnapshotTaker, position: int) -> bool:
    return any(stored.begun == position for stored in taker._snapshots.stored(0))


def taker(settings: Settings, owned: Callable[[], Any] = lambda: (0,)) -> SnapshotTaker:
    return SnapshotTaker(settings, BUNDLE, owned)


def test_snapshots_follow_the_cell_and_the_oldest_go(settings: Settings, store: StateStore) -> None:
    made = taker(settings)
    try:
        for position in range(7, 12):
            eventually(partial(begun_at, made, position))
            store.write(0, "owner", position, position + 1, StateChanges(), b"")
        eventually(lambda: [one.begun for one in made._snapshots.stored(0)] == [12, 11])
        assert (metric("shoal_snapshot_timestamp_seconds") or 0) > time.time() - 100
    finally:
        made.close()


def test_a_cell_that_stands_still_is_not_copied_again(settings: Settings, store: StateStore) -> None:
    made = taker(settings)
    try:
        [first] = eventually(lambda: made._snapshots.stored(0))
        taken_at = metric("shoal_snapshot_timestamp_seconds") or 0
        eventually(lambda: (metric("shoal_snapshot_timestamp_seconds") or 0) > taken_at)
        assert made._snapshots.stored(0) == [first]
    finally:
        made.close()


def test_a_snapshot_that_another_process_took_is_not_taken_again_too_soon(
    settings: Settings, store: StateStore
) -> None:
    taker_of_before = taker(settings)
    [first] = eventually(lambda: taker_of_before._snapshots.stored(0))
    taker_of_before.close()
    store.write(0, "owner", 7, 8, StateChanges(), b"")
    rare = settings.model_copy(update={"snapshots": settings.snapshots.model_copy(update={"every_seconds": 500.0})})
    made = taker(rare)
    eventually(lambda: made._due.get(0, 0) > time.monotonic() + 300)
    made.close()
    assert made._snapshots.stored(0) == [first]


def test_a_cell_that_is_not_ours_is_left_alone_and_its_metrics_go(settings: Settings, store: StateStore) -> None:
    owned = [0]
    made = taker(settings, lambda: owned)
    try:
        eventually(lambda: made._snapshots.stored(0))
        owned.clear()
        eventually(lambda: metric("shoal_snapshot_timestamp_seconds") is None)
        newest = made._snapshots.stored(0)
        store.write(0, "owner", 7, 8, StateChanges(), b"")
        time.sleep(0.2)
        assert made._snapshots.stored(0) == newest
    finally:
        made.close()


@pytest.mark.parametrize("error", [SnapshotStoreError("s3://b/: no answer"), ZeroDivisionError("a defect")])
def test_what_goes_wrong_is_told_counted_and_tried_again(
    settings: Settings, store: StateStore, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    take, failures = module.take_snapshot, [error, error]

    def failing(*arguments: Any, **named: Any) -> Any:
        if failures:
            raise failures.pop()
        return take(*arguments, **named)

    monkeypatch.setattr(module, "take_snapshot", failing)
    with structlog.testing.capture_logs() as logs:
        made = taker(settings)
        try:
            eventually(lambda: made._snapshots.stored(0))
            assert metric("shoal_snapshot_failures_total") == 2
        finally:
            made.close()
    told = [line for line in logs if line["event"] == "no snapshot was taken"]
    assert [line["error"] for line in told] == [str(error)] * 2


def test_without_a_location_nothing_runs(settings: Settings) -> None:
    made = taker(settings.model_copy(update={"snapshots": Snapshots()}))
    assert not made._thread.is_alive()
    made.close()
