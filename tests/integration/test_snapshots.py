"""What Redis loses and the log no longer holds comes back from a snapshot, and every post keeps its one decision."""

from __future__ import annotations

import errno
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import obstore
import pytest

from consumers.assign import run_assign
from consumers.changes.erase import erase_post
from consumers.checks.findings import CheckError
from consumers.http import Health
from consumers.metrics import SNAPSHOT_FAILURES
from consumers.recovery.rebuild import RebuildError, rebuild_cell
from consumers.recovery.restore import contents, wanted_snapshot
from consumers.settings import Snapshots
from consumers.shown.snapshots import restore_findings
from consumers.shown.state import stats_rows, verify_findings
from consumers.state import codec
from consumers.state.codec import MemberValue
from consumers.state.copies import StateCopier
from consumers.state.keys import KINDS
from consumers.state.reading import opened_state
from consumers.state.snapshot import End, SnapshotError
from consumers.state.store import StateUnavailable
from models.bundle import open_bundle
from tests.integration.exactly_once import caption
from tests.integration.kept import Kept
from tests.integration.platform import Platform, Worker, eventually, working
from tests.redis_servers import own_redis

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.kafka, pytest.mark.redis]


@pytest.fixture
def kept(platform: Platform, tmp_path: Path) -> Iterator[Kept]:
    """Snapshots are taken when the test says so."""
    with own_redis() as server:
        yield Kept(platform, server.url, tmp_path, every_seconds=100_000.0)


@pytest.fixture
def frequent(platform: Platform, tmp_path: Path) -> Iterator[Kept]:
    """Snapshots are taken all the time."""
    with own_redis() as server:
        yield Kept(platform, server.url, tmp_path, every_seconds=0.1)


@contextmanager
def owning(kept: Kept, bundle: Path) -> Iterator[Health]:
    """The owner of the cell, in this process; encoding runs in another."""
    opened = open_bundle(bundle, provider="cpu", intra_op_threads=1)
    stop, health = threading.Event(), Health(("assign",))
    owner = threading.Thread(target=run_assign, args=(kept.settings, opened, stop, health))
    owner.start()
    try:
        with working(kept.settings, kept.folder, "encode", "route"):
            yield health
    finally:
        stop.set()
        owner.join(60)
    assert not owner.is_alive()


def test_a_lost_state_comes_back_from_a_snapshot_when_the_log_has_lost_its_beginning(frequent: Kept) -> None:
    kept = frequent
    with working(kept.settings, kept.folder) as worker:
        kept.publish_with_a_verdict(30)
        kept.publish(10)
        stored = eventually(lambda: kept.snapshots.stored(0), lambda found: bool(found) and found[0].begun >= 40)[0]
        kept.trim(kept.position(stored))
        kept.publish(10)
        kept.client.flushall()
        kept.publish(10)
        assert worker.metric("shoal_cell_stopped", cell="0") == 0
        assert worker.metric("shoal_snapshot_timestamp_seconds", cell="0") > 1e9
        assert worker.metric("shoal_snapshot_failures_total", cell="0") == 0
        [restored] = worker.events("state restored from a snapshot")
        assert restored["position"] >= kept.position(stored)
        assert len(kept.snapshots.stored(0)) <= kept.settings.snapshots.kept + 1
    kept.assert_whole()
    [finding] = verify_findings(kept.settings, cell=0, progress=lambda _done, _whole: None)
    assert "its snapshot at" in finding.text
    assert finding.state == "good"


def test_the_snapshot_before_a_damaged_one_is_used(kept: Kept) -> None:
    with working(kept.settings, kept.folder) as worker:
        kept.publish_with_a_verdict(20)
        first = kept.take()
        kept.publish(10)
        second = kept.take()
        assert kept.position(first) < kept.position(second)
        kept.damage(second)
        kept.trim(kept.position(first))
        kept.client.flushall()
        kept.publish(10)
        [passed] = worker.events("a snapshot cannot be used, the one before it is tried")
        assert passed["path"] == second.path
        [restored] = worker.events("state restored from a snapshot")
        assert restored["position"] == kept.position(first)
    kept.assert_whole()


def test_without_a_snapshot_that_helps_the_cell_stops_and_goes_on_once_there_is_one(kept: Kept) -> None:
    with working(kept.settings, kept.folder) as worker:
        kept.publish(20)
        stored = kept.take()
        kept.trim(kept.position(stored))
        # its owner takes one of its own when it first looks, if it looks before ours is there
        eventually(lambda: worker.metric("shoal_snapshot_timestamp_seconds", cell="0"), lambda seen: seen > 0)
        folder = kept.path(stored).parent
        moved = folder.rename(kept.folder / "away")
        kept.publish(10)
        kept.client.flushall()
        start = len(kept.published)
        kept.published += kept.platform.publish(caption(start))
        [stopped] = eventually(lambda: worker.events("cell stopped"), bool)
        assert "no snapshot in snapshots.location helps" in stopped["reason"]
        assert len(kept.platform.decisions()) == start
    moved.rename(folder)
    with working(kept.settings, kept.folder):
        kept.publish(5)
    kept.assert_whole()


@pytest.mark.parametrize("step", ["in the middle", "set aside", "in place"])
def test_a_restore_that_ends_anywhere_is_made_again(
    kept: Kept, bundle: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A killed process does nothing more: what it set aside stays, and nobody reads it."""
    died: list[str] = []
    run = StateCopier._run

    def dying(self: StateCopier, name: str, names: list[str], arguments: list[Any]) -> list[Any]:
        if name == {"in the middle": "stage", "set aside": "put_in_place"}.get(step) and len(died) < 2:
            died.append(name)
            raise StateUnavailable("the process died here")
        answer = run(self, name, names, arguments)
        if name == "put_in_place" and step == "in place" and not died:
            died.append(name)
            raise StateUnavailable("the process died here")
        return answer

    monkeypatch.setattr(StateCopier, "discard", lambda *_: None)
    with owning(kept, bundle):
        kept.publish_with_a_verdict(20)
        kept.publish(10)
        kept.trim(kept.position(kept.take()))
        kept.publish(10)
        monkeypatch.setattr(StateCopier, "_run", dying)
        kept.client.flushall()
        kept.publish(10)
    assert died
    kept.assert_whole()


def test_a_process_killed_while_it_takes_snapshots_leaves_only_whole_ones(frequent: Kept) -> None:
    kept = frequent
    settings = kept.settings.model_copy(
        update={"snapshots": kept.settings.snapshots.model_copy(update={"every_seconds": 0.01, "kept": 100})}
    )
    for round_number in range(3):
        worker = Worker(settings, kept.folder / f"killed-{round_number}.log")
        try:
            worker.wait_ready()
            before = len(kept.snapshots.stored(0))
            kept.publish(20)
            eventually(lambda: len(kept.snapshots.stored(0)), before.__lt__)
        finally:
            worker.kill()
    with working(kept.settings, kept.folder) as last:
        before = len(kept.snapshots.stored(0))
        kept.publish(10)
        eventually(lambda: kept.snapshots.stored(0)[0].begun, lambda begun: begun >= 70)
        assert last.metric("shoal_snapshot_failures_total", cell="0") == 0
    wanted = wanted_snapshot(kept.settings, kept.platform.bundle, 0, least=0, most=10_000)
    stored = kept.snapshots.stored(0)
    assert len(stored) >= 3
    for one in stored:
        *_, end = contents(kept.snapshots, one, wanted)
        assert isinstance(end, End)
    kept.assert_whole()


@pytest.mark.parametrize("trouble", ["a full disk", "a store that hangs"])
def test_a_store_in_trouble_does_not_stop_the_cell(
    frequent: Kept, bundle: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    kept = frequent
    put, released, called = obstore.put, threading.Event(), threading.Event()

    def failing(*arguments: Any, **named: Any) -> Any:
        called.set()
        if trouble == "a full disk":
            raise OSError(errno.ENOSPC, "No space left on device")
        released.wait(60)
        return put(*arguments, **named)

    monkeypatch.setattr(obstore, "put", failing)
    try:
        with owning(kept, bundle) as health:
            kept.publish(20)
            assert called.wait(60)
            kept.publish(20)
            if trouble == "a full disk":
                eventually(SNAPSHOT_FAILURES.labels("0")._value.get, lambda count: count > 0)
                assert kept.snapshots.stored(0) == []
                monkeypatch.setattr(obstore, "put", put)
                eventually(lambda: kept.snapshots.stored(0), bool)
            assert health.live()[0]
    finally:
        released.set()
    kept.assert_whole()


def test_a_cell_moves_into_another_redis(kept: Kept) -> None:
    with working(kept.settings, kept.folder):
        kept.publish_with_a_verdict(20)
        kept.publish(10)
        stored = kept.take()
        kept.publish(10)
    kept.trim(kept.position(stored))
    with own_redis() as server:
        other = Kept(kept.platform, server.url, kept.folder, every_seconds=100_000.0)
        other.published = kept.published
        [finding] = restore_findings(other.settings, cell=0, source=None, force=False)
        assert finding.state == "good"
        assert f"at position {kept.position(stored):,} from the snapshot of" in finding.text
        with working(other.settings, other.folder) as worker:
            other.publish(10)
            assert worker.events("state restored from a snapshot") == []
        other.assert_whole()
        [row] = stats_rows(other.settings)
        assert row["snapshot"] == stored.begun
        assert row["behind"] <= 1  # the marker of the last transaction
        assert row["log"].startswith(f"{kept.position(stored)}-")
        assert row["committed"] == row["position"]


def test_a_state_that_is_further_is_left_unless_forced_and_its_owner_goes_on(kept: Kept) -> None:
    with working(kept.settings, kept.folder) as worker:
        kept.publish_with_a_verdict(20)
        stored = kept.take()
        kept.publish(10)
        address = f"file://{kept.path(stored)}"
        with pytest.raises(CheckError, match=r"Redis is at \d+, the snapshot at \d+: .*--force"):
            list(restore_findings(kept.settings, cell=0, source=address, force=False))
        kept.publish(1)
        assert worker.metric("shoal_folded_again_records_total", cell="0") == 0
        [finding] = restore_findings(kept.settings, cell=0, source=address, force=True)
        assert finding.state == "good"
        kept.publish(10)
        assert worker.metric("shoal_folded_again_records_total", cell="0") > 0
    kept.assert_whole()


def test_a_rebuild_begins_at_the_newest_snapshot_and_is_refused_without(kept: Kept) -> None:
    without = kept.settings.model_copy(update={"snapshots": Snapshots()})

    def rebuild(settings: Any) -> Any:
        with opened_state(settings) as (manifest, store):
            return rebuild_cell(settings, manifest, store, 0, patience_seconds=1.0)

    with working(kept.settings, kept.folder):
        kept.publish_with_a_verdict(20)
        stored = kept.take()
        kept.publish(10)
        kept.trim(kept.position(stored))
        with opened_state(kept.settings) as (_, store):
            before = store.read(0)
            with pytest.raises(RebuildError, match="no snapshot that could help"):
                rebuild(without)
            after = store.read(0)
        assert before is not None
        assert after is not None
        assert after.position == before.position
        rebuilt = rebuild(kept.settings)
        assert rebuilt.begun == kept.position(stored)
        kept.publish(10)
    kept.assert_whole()


def test_a_restore_from_before_an_erasure_erases_again(kept: Kept) -> None:
    with working(kept.settings, kept.folder):
        kept.publish_with_a_verdict(20)
        kept.take()
        erased = erase_post(kept.settings, "post-1", patience_seconds=60.0)
        assert sum(found.entries or 0 for found in erased) > 0
        kept.client.flushall()
        kept.publish(5)
    with opened_state(kept.settings) as (_, store):
        holding = [entry for kind in KINDS for entry in store.entries(0, kind) if b"post-1\xc4" in entry.value]
        held = [codec.decode(MemberValue, entry).post_id for entry in store.entries(0, "members")]
    assert holding == []
    assert "post-2" in held
    assert "post-1" not in held
    kept.assert_whole()


def test_the_commands_say_what_they_did(kept: Kept) -> None:
    with working(kept.settings, kept.folder):
        kept.publish(20)
        kept.take()
        [taken] = kept.shoal("state", "snapshot", "0", "--to", f"file://{kept.folder}/elsewhere/")
        kept.publish(5)
        address = taken["text"].rpartition(": ")[2]
        [restored] = kept.shoal("state", "restore", "0", address, "--force")
        kept.publish(5)
        [row] = kept.shoal("state", "stats")
        [rebuilt] = kept.shoal("state", "rebuild", "0")
        kept.publish(5)
    assert taken["text"].startswith("position ")
    assert address.startswith(f"file://{kept.folder}/elsewhere/")
    assert "from the snapshot of" in restored["text"]
    assert row["snapshot"] > 0
    assert row["snapshot age s"] >= 0
    assert row["clusters"] > 0
    assert row["memory MB"] > 0
    assert "from its snapshot at" in rebuilt["text"]
    kept.assert_whole()


def test_a_snapshot_of_another_log_is_not_used(kept: Kept) -> None:
    with working(kept.settings, kept.folder):
        kept.publish(5)
        stored = kept.take()
    wanted = wanted_snapshot(kept.settings, kept.platform.bundle, 0, least=0, most=100)
    assert wanted.topic_id
    other = type(wanted)(wanted.bundle, 1, 0, "another", 0, 100)
    with pytest.raises(SnapshotError, match="made again"):
        list(contents(kept.snapshots, stored, other))
