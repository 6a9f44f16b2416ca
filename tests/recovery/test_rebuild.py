"""A cell's state is thrown away only when its log can give it back, and its owner is watched doing so."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import OFFSET_INVALID, TopicPartition

from consumers.embedded import embedded_redis
from consumers.options import settings_from
from consumers.recovery import rebuild as module
from consumers.recovery.rebuild import RebuildError, rebuild_cell
from consumers.state.codec import StateChanges
from consumers.state.store import StaleOwner, StateStore
from tests.cells.small_cells import Cell, directions, manifest, post

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.settings import Settings

MANIFEST = manifest()
SETTINGS = settings_from(None, [])


@pytest.fixture
def store() -> Iterator[StateStore]:
    """A cell in Redis at position 20."""
    with embedded_redis() as url:
        made = StateStore(settings_from(None, [f"redis.url={url}"]).redis, MANIFEST.bundle_id, 1)
        made.claim(0, "owner")
        made.write(0, "owner", None, 0, StateChanges(), b"")
        changes = Cell().add(*(post(n, directions(3)[n % 3]) for n in range(20))).changes
        made.write(0, "owner", 0, 20, changes, b"outputs")
        yield made
        made.close()


def log(monkeypatch: pytest.MonkeyPatch, *, low: int, committed: int) -> None:
    """The cell's log as Kafka tells of it."""

    class Reader:
        def get_watermark_offsets(self, _place: TopicPartition, timeout: float) -> tuple[int, int]:
            assert timeout > 0
            return low, 30

        def committed(self, places: list[TopicPartition], timeout: float) -> list[TopicPartition]:
            assert timeout > 0
            return [TopicPartition(place.topic, place.partition, committed) for place in places]

        def close(self) -> None:
            pass

    def open_reader(_settings: Settings, group: str) -> Any:
        assert group.endswith(".1.assign")
        return Reader()

    monkeypatch.setattr(module, "open_reader", open_reader)


@pytest.mark.parametrize(
    ("low", "committed", "text"), [(5, 20, "begins at offset 5"), (0, OFFSET_INVALID, "nothing")]
)
def test_what_the_log_cannot_give_back_is_kept(
    store: StateStore, monkeypatch: pytest.MonkeyPatch, low: int, committed: int, text: str
) -> None:
    log(monkeypatch, low=low, committed=committed)
    with pytest.raises(RebuildError, match=text):
        rebuild_cell(SETTINGS, MANIFEST, store, 0, patience_seconds=0.2)
    state = store.read(0)
    assert state is not None
    assert state.position == 20


def test_a_dropped_cell_holds_nothing_and_its_owner_is_refused(
    store: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    log(monkeypatch, low=0, committed=20)
    rebuilt = rebuild_cell(SETTINGS, MANIFEST, store, 0, patience_seconds=0.2)
    assert (rebuilt.position, rebuilt.committed, rebuilt.done) == (None, 20, False)
    assert store.read(0) is None
    assert {fields for fields, _ in store.sizes(0).values()} == {0}
    with pytest.raises(StaleOwner):
        store.write(0, "owner", 20, 25, StateChanges(), b"")


def test_the_owner_is_watched_until_it_is_where_it_was(store: StateStore, monkeypatch: pytest.MonkeyPatch) -> None:
    log(monkeypatch, low=0, committed=20)
    told: list[tuple[int, int]] = []
    begun, seen = threading.Event(), threading.Event()
    drop = store.drop

    def dropped(cell: int) -> None:
        drop(cell)
        begun.set()

    def owner() -> None:
        assert begun.wait(60)
        other = StateStore(store._settings, MANIFEST.bundle_id, 1)
        other.claim(0, "next")
        other.write(0, "next", None, 0, StateChanges(), b"")
        other.write(0, "next", 0, 12, StateChanges(), b"")
        assert seen.wait(60)
        other.write(0, "next", 12, 21, StateChanges(), b"")
        other.close()

    def progress(done: int, whole: int) -> None:
        told.append((done, whole))
        if done == 12:
            seen.set()

    monkeypatch.setattr(store, "drop", dropped)
    thread = threading.Thread(target=owner)
    thread.start()
    rebuilt = rebuild_cell(SETTINGS, MANIFEST, store, 0, patience_seconds=60.0, progress=progress)
    thread.join(60)
    assert (rebuilt.position, rebuilt.done) == (21, True)
    assert told[-2:] == [(12, 20), (21, 20)]
