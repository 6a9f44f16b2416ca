"""Erasing asks every cell, waits until what was on its way has arrived, and asks again."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from consumers.changes import erase as module
from consumers.changes.erase import Erased, erase_post
from consumers.contracts import cell_log
from consumers.contracts.cell_log import EraseRecord
from consumers.embedded import embedded_redis
from consumers.options import settings_from
from consumers.settings import SettingsError
from consumers.shown.erase import erase_findings
from consumers.state import codec
from consumers.state.codec import ErasedValue, StateChanges
from consumers.state.reading import opened_state
from consumers.state.store import StateStore
from tests.bundles import write_tiny_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from consumers.kafka.delivery import Outgoing
    from consumers.settings import Settings

SLOW_SECONDS = 0.4


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    write_tiny_bundle(tmp_path / "tiny", ("text",))
    monkeypatch.setattr(module, "require_brokers", lambda _settings: None)
    with embedded_redis() as url:
        found = settings_from(None, [f"bundle={tmp_path / 'tiny'}", "assign.cells=2", f"redis.url={url}"])
        with opened_state(found) as (_, store):
            for cell in range(2):
                store.claim(cell, "owner")
                store.write(cell, "owner", None, 0, StateChanges(), b"")
        yield found


class Owners:
    """The cells' owners, played: each folds a record at once, and takes its time to deliver what it folded."""

    def __init__(self, settings: Settings, bundle: str, working: tuple[int, ...]) -> None:
        self.store = StateStore(settings.redis, bundle, 2)
        self.working = working
        self.rounds: list[list[Outgoing]] = []
        self.delivered: list[int] = []
        self.seen_delivered: list[int] = []

    def deliver(self, messages: list[Outgoing]) -> None:
        self.seen_delivered.append(len(self.delivered))
        self.rounds.append(messages)
        position = len(self.rounds)
        for message in messages:
            if message.partition in self.working:
                record = cell_log.decode(message.value or b"")
                assert isinstance(record, EraseRecord)
                changes = StateChanges()
                entries = 3 if position == 1 else 1
                changes.set("erased", record.erase_id, codec.encode(ErasedValue(position - 1, entries)))
                self.store.write(message.partition, "owner", position - 1, position, changes, b"post-1 on its way")
        threading.Timer(SLOW_SECONDS, self.finish, [position]).start()

    def finish(self, position: int) -> None:
        for cell in self.working:
            self.store.forget_outputs(cell, "owner", position)
            self.delivered.append(cell)

    def close(self) -> None:
        pass


def playing(settings: Settings, monkeypatch: pytest.MonkeyPatch, *working: int) -> Owners:
    with opened_state(settings) as (manifest, _):
        owners = Owners(settings, manifest.bundle_id, working)
    monkeypatch.setattr(module, "open_delivery", lambda _settings, _id: owners)
    return owners


def test_cells_are_asked_again_when_all_have_delivered_what_was_on_its_way(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners = playing(settings, monkeypatch, 0, 1)
    assert erase_post(settings, "post-1", patience_seconds=30.0) == [Erased(0, 4), Erased(1, 4)]
    assert owners.seen_delivered == [0, 2]
    assert [[message.partition for message in messages] for messages in owners.rounds] == [[0, 1], [0, 1]]


def test_a_cell_without_an_owner_is_a_red_line(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    playing(settings, monkeypatch, 0)
    good, bad = erase_findings(settings, "post-1", patience_seconds=1.0)
    assert str(good) == "cell 0: 3 entries held the post, and are gone"
    assert bad.state == "bad"
    assert "no owner" in bad.text


@pytest.mark.parametrize("post_id", ["", "p" * 513])
def test_what_no_post_can_be_called_is_refused(settings: Settings, post_id: str) -> None:
    with pytest.raises(SettingsError, match="POST_ID"):
        erase_post(settings, post_id, patience_seconds=1.0)
