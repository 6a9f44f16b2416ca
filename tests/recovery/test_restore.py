"""Which snapshot is brought back, and when none is: never one that the log cannot be folded on from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from consumers.kafka.lookup import CellOffsets
from consumers.recovery.restore import RestoreError, restore_cell, restore_lost
from consumers.recovery.snapshot_store import SnapshotStore, SnapshotStoreError, Stored
from consumers.settings import Kafka, Redis, Settings, Snapshots
from consumers.state.codec import VERSION, StateChanges
from consumers.state.snapshot import End, Header, Item
from consumers.state.store import StateStore
from tests.cells.small_cells import manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.state.snapshot import Part

BUNDLE = manifest().bundle_id
OWNER = "owner"


@pytest.fixture
def settings(tmp_path: Path, redis_url: str) -> Settings:
    return Settings(
        kafka=Kafka(topic_identity="log"),
        redis=Redis(url=redis_url, prefix=tmp_path.name, timeout_seconds=2.0),
        snapshots=Snapshots(location=f"file://{tmp_path}/"),
    )


@pytest.fixture
def store(settings: Settings) -> Iterator[StateStore]:
    made = StateStore(settings.redis, BUNDLE, 1)
    made.claim(0, OWNER)
    yield made
    made.close()


def save(settings: Settings, position: int, *outputs: tuple[int, int], **changes: Any) -> Stored:
    """A snapshot at this position whose one mark says so."""
    given: dict[str, Any] = {
        "bundle": BUNDLE, "cells": 1, "cell": 0, "group": "shoal", "topic_id": "log", "state": VERSION, "shoal": "0",
        "created_at": position,
    } | {name: value for name, value in changes.items() if name != "entries"}  # fmt: skip
    items = [Item("outputs", str(end), f"{start}:".encode()) for start, end in outputs]
    items.append(Item("marks", "position", str(position).encode()))
    end = End(position=position, items=len(items), entries=changes.get("entries", {"marks": 1}))
    parts: list[Part] = [Header(**given), *items, end]
    return snapshots_of(settings).save(0, position, position, parts)


def snapshots_of(settings: Settings) -> SnapshotStore:
    assert settings.snapshots.location is not None
    return SnapshotStore(settings, BUNDLE, settings.snapshots.location)


def damage(settings: Settings, stored: Stored) -> None:
    path = Path((settings.snapshots.location or "").removeprefix("file://")) / stored.path
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.write_bytes(data)


def lost(settings: Settings, *, held: int | None, low: int, committed: int) -> bool:
    return restore_lost(settings, BUNDLE, 0, token=OWNER, held=held, low=low, committed=committed)


def held(store: StateStore) -> int | None:
    """Position in Redis, and that what it holds is of that position."""
    state = store.read(0)
    if state is None:
        return None
    assert [entry.value for entry in state.entries] == [str(state.position).encode()]
    return state.position


@pytest.mark.parametrize(
    ("low", "committed", "expected"), [(0, 100, 30), (0, 30, 30), (0, 29, 20), (25, 29, None), (31, 100, None)]
)
def test_the_newest_that_log_and_commits_allow_is_restored(
    settings: Settings, store: StateStore, low: int, committed: int, expected: int | None
) -> None:
    for position in (10, 20, 30):
        save(settings, position)
    assert lost(settings, held=None, low=low, committed=committed) is (expected is not None)
    assert held(store) == expected


def test_a_long_restore_says_that_the_process_is_alive(settings: Settings, store: StateStore) -> None:
    save(settings, 10)
    beats: list[int] = []
    assert restore_lost(
        settings, BUNDLE, 0, token=OWNER, held=None, low=0, committed=10, beat=lambda: beats.append(1)
    )
    assert len(beats) >= 2


def test_a_snapshot_behind_what_redis_holds_is_not_restored(settings: Settings, store: StateStore) -> None:
    changes = StateChanges()
    changes.set("marks", "position", b"20")
    store.write(0, OWNER, None, 20, changes, b"")
    save(settings, 10)
    save(settings, 20)
    assert not lost(settings, held=20, low=0, committed=100)
    save(settings, 25)
    assert lost(settings, held=20, low=0, committed=100)
    assert held(store) == 25


@pytest.mark.parametrize(
    "changes",
    [
        {"bundle": "other"},
        {"cells": 2},
        {"cell": 1},
        {"state": VERSION + 1},
        {"topic_id": "made again"},
        {"entries": {"marks": 2}},
        {"entries": {"marks": 1, "members": 1}},
    ],
)
def test_a_snapshot_of_something_else_is_passed_over(
    settings: Settings, store: StateStore, changes: dict[str, Any]
) -> None:
    save(settings, 10)
    save(settings, 20, **changes)
    assert lost(settings, held=None, low=0, committed=100)
    assert held(store) == 10


def test_a_damaged_snapshot_is_passed_over_and_leaves_nothing(settings: Settings, store: StateStore) -> None:
    save(settings, 10)
    damage(settings, save(settings, 20))
    assert lost(settings, held=None, low=0, committed=100)
    assert held(store) == 10
    assert [key for key in store._client().keys(f"{settings.redis.prefix}:*") if b"restoring" in key] == []


def test_without_snapshots_or_a_location_nothing_is_changed(settings: Settings, store: StateStore) -> None:
    assert not lost(settings, held=None, low=0, committed=100)
    without = settings.model_copy(update={"snapshots": Snapshots()})
    save(settings, 10)
    assert not lost(without, held=None, low=0, committed=100)
    assert held(store) is None


def test_a_store_that_is_away_is_waited_for_only_when_the_log_cannot_help(settings: Settings) -> None:
    away = settings.model_copy(update={"snapshots": Snapshots(location="file:///proc/none/")})
    assert not lost(away, held=None, low=0, committed=100)
    assert not lost(away, held=5, low=5, committed=100)
    with pytest.raises(SnapshotStoreError):
        lost(away, held=4, low=5, committed=100)


def restore(settings: Settings, *, source: str | None = None, force: bool = False, **offsets: Any) -> int:
    given: dict[str, Any] = {"low": 0, "high": 200, "committed": 100} | offsets
    restored = restore_cell(settings, BUNDLE, 0, source=source, offsets=CellOffsets(**given), force=force)
    return restored.position


@pytest.mark.parametrize("force", [False, True])
def test_an_operator_replaces_a_newer_state_only_by_force(settings: Settings, store: StateStore, force: bool) -> None:
    changes = StateChanges()
    changes.set("marks", "position", b"20")
    store.write(0, OWNER, None, 20, changes, b"")
    save(settings, 10)
    if force:
        assert restore(settings, force=True) == 10
    else:
        with pytest.raises(RestoreError, match=r"Redis is at 20, the snapshot at 10: .*--force"):
            restore(settings)
    assert held(store) == (10 if force else 20)


def test_a_snapshot_ahead_of_the_commits_is_used_when_its_outputs_lead_there(
    settings: Settings, store: StateStore
) -> None:
    save(settings, 90)
    save(settings, 120, (105, 120))
    assert restore(settings) == 90
    save(settings, 130, (100, 110), (90, 100), (110, 130))
    assert restore(settings) == 130
    assert held(store) == 130


@pytest.mark.parametrize(
    ("offsets", "text"),
    [
        ({"committed": None}, "no committed offset"),
        ({"low": 60}, "holds 60 to 200, and 100 is committed"),
        ({"committed": 40}, "holds 0 to 200, and 40 is committed"),
    ],
)
def test_what_nobody_could_go_on_from_is_refused(
    settings: Settings, store: StateStore, offsets: dict[str, Any], text: str
) -> None:
    stored = save(settings, 50)
    for source in (None, f"{settings.snapshots.location}{stored.path}"):
        with pytest.raises(RestoreError, match=text):
            restore(settings, source=source, **offsets)
    assert held(store) is None


def test_a_snapshot_is_restored_from_its_address_or_from_another_location(
    settings: Settings, store: StateStore
) -> None:
    stored = save(settings, 50)
    save(settings, 60)
    assert restore(settings, source=f"{settings.snapshots.location}{stored.path}") == 50
    without = settings.model_copy(update={"snapshots": Snapshots()})
    assert restore(without, source=settings.snapshots.location) == 60
    with pytest.raises(RestoreError, match="say where"):
        restore(without)
    damage(settings, stored)
    with pytest.raises(RestoreError, match="can be used"):
        restore(settings, source=f"{settings.snapshots.location}{stored.path}", force=True)
