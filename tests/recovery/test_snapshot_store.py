"""A snapshot is in the store whole or not at all, the newest comes first, and the store's troubles are one line."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from consumers.recovery import snapshot_store as module
from consumers.recovery.snapshot_store import SnapshotStore, SnapshotStoreError, snapshot_at
from consumers.settings import Kafka, Settings, Snapshots
from consumers.state.codec import VERSION
from consumers.state.snapshot import End, Header, Item, SnapshotError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.state.snapshot import Part


def settings_of(folder: Path) -> Settings:
    return Settings(kafka=Kafka(group="night"), snapshots=Snapshots(location=f"file://{folder}/"))


@pytest.fixture
def snapshots(tmp_path: Path) -> SnapshotStore:
    return SnapshotStore(settings_of(tmp_path), "small-1", f"file://{tmp_path}/")


def parts(position: int, size: int = 100) -> list[Part]:
    header = Header(
        bundle="small-1", cells=1, cell=0, group="night", topic_id="", state=VERSION, shoal="0", created_at=5
    )
    return [header, Item("marks", "a", bytes(size)), End(position=position, items=1, entries={"marks": 1})]


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_snapshot_is_found_and_read_as_it_was_saved(snapshots: SnapshotStore, tmp_path: Path) -> None:
    stored = snapshots.save(0, 42, 1234, parts(45))
    assert files(tmp_path) == ["night/small-1.1.0/00000000000000000042-1234.snapshot"]
    assert snapshots.stored(0) == [stored]
    assert (stored.begun, stored.created_at, stored.size) == (42, 1234, (tmp_path / stored.path).stat().st_size)
    assert list(snapshots.read(stored)) == parts(45)
    assert snapshots.end(stored).position == 45
    assert snapshots.stored(1) == []


def test_a_large_snapshot_is_read_in_pieces(snapshots: SnapshotStore, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = snapshots.save(0, 42, 1234, parts(45, 100_000))
    monkeypatch.setattr(module, "PIECE_BYTES", 1000)
    assert list(snapshots.read(stored)) == parts(45, 100_000)


def test_the_newest_comes_first_and_what_is_no_snapshot_is_left_out(snapshots: SnapshotStore, tmp_path: Path) -> None:
    for begun, created_at in ((9, 3), (10, 1), (10, 2)):
        snapshots.save(0, begun, created_at, parts(begun))
    folder = tmp_path / "night/small-1.1.0"
    (folder / "notes.txt").write_text("x")
    (folder / "00000000000000000099-1.snapshot").write_bytes(b"")
    assert [(one.begun, one.created_at) for one in snapshots.stored(0)] == [(10, 2), (10, 1), (9, 3)]


def test_the_oldest_are_deleted_and_so_is_what_a_killed_process_left(
    snapshots: SnapshotStore, tmp_path: Path
) -> None:
    for begun in range(5):
        snapshots.save(0, begun, begun, parts(begun))
    snapshots.save(1, 7, 7, parts(7))
    folder = tmp_path / "night/small-1.1.0"
    old, young = folder / "00000000000000000007-1.snapshot#1", folder / "00000000000000000008-1.snapshot#1"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 2 * module.LEFT_SECONDS,) * 2)
    assert snapshots.prune(0, 2) == 3
    assert [one.begun for one in snapshots.stored(0)] == [4, 3]
    assert [one.begun for one in snapshots.stored(1)] == [7]
    assert (old.exists(), young.exists()) == (False, True)
    assert snapshots.prune(0, 2) == 0


@pytest.mark.parametrize("size", [10, 30 * 2**20])
def test_what_breaks_off_leaves_nothing(snapshots: SnapshotStore, tmp_path: Path, size: int) -> None:
    def broken() -> Iterator[Part]:
        header, item, _ = parts(45)
        yield header
        for _ in range(size // 1000):
            yield Item("marks", "a", os.urandom(1000))
        yield item
        raise RuntimeError("the owner changed")

    with pytest.raises(RuntimeError, match="the owner changed"):
        snapshots.save(0, 42, 1234, broken())
    assert files(tmp_path) == []


def test_a_snapshot_that_vanishes_before_it_is_read_is_not_usable(snapshots: SnapshotStore, tmp_path: Path) -> None:
    stored = snapshots.save(0, 42, 1234, parts(45))
    (tmp_path / stored.path).unlink()
    with pytest.raises(SnapshotError, match="gone"):
        snapshots.end(stored)


@pytest.mark.parametrize("location", ["posts", "http://example.org/", "file:///proc/none/", "s3:///"])
def test_a_location_that_cannot_be_used_is_one_line(location: str) -> None:
    with pytest.raises(SnapshotStoreError) as caught:
        SnapshotStore(Settings(), "small-1", location).stored(0)
    assert "\n" not in str(caught.value)
    assert location in str(caught.value)


def test_a_store_that_does_not_answer_is_one_line_in_time() -> None:
    location = "s3://bucket/shoal/"
    options = {"endpoint": "http://127.0.0.1:9", "region": "z", "skip_signature": "true", "allow_http": "true"}
    settings = Settings(snapshots=Snapshots(location=location, timeout_seconds=0.5, options={location: options}))
    with pytest.raises(SnapshotStoreError, match=r"s3://bucket/shoal/: shoal/small-1\.1\.0: "):
        SnapshotStore(settings, "small-1", location).stored(0)


def test_a_snapshot_is_found_by_its_address(snapshots: SnapshotStore, tmp_path: Path) -> None:
    stored = snapshots.save(0, 42, 1234, parts(45))
    found, same = snapshot_at(settings_of(tmp_path), "small-1", f"file://{tmp_path}/{stored.path}")
    assert (same.begun, same.created_at, same.size) == (42, 1234, stored.size)
    assert list(found.read(same)) == parts(45)
    with pytest.raises(SnapshotStoreError, match="named"):
        snapshot_at(settings_of(tmp_path), "small-1", f"file://{tmp_path}/state.snapshot")
    with pytest.raises(SnapshotStoreError, match="not found"):
        snapshot_at(settings_of(tmp_path), "small-1", f"file://{tmp_path}/00000000000000000001-1.snapshot")


FULL = """
import os, resource, signal, sys
from pathlib import Path
from consumers.state.snapshot import Item
from tests.recovery.test_snapshot_store import SnapshotStore, SnapshotStoreError, files, parts, settings_of

folder = Path(sys.argv[1])
snapshots = SnapshotStore(settings_of(folder), "small-1", f"file://{folder}/")
kept = snapshots.save(0, 1, 1, parts(1))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
header, item, end = parts(2)
try:
    snapshots.save(0, 2, 2, [header, Item("marks", "a", os.urandom(1_000_000)), end])
except SnapshotStoreError as error:
    print(error)
print(files(folder) == [kept.path], list(snapshots.read(kept)) == parts(1))
"""


def test_a_disk_that_takes_no_more_leaves_the_snapshots_that_are_there(tmp_path: Path) -> None:
    """Files may not grow beyond 100 kB in this process: the same to it as a full disk."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, env=environment, timeout=120,
        check=False,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert len(lines) == 2, done.stderr
    assert "File too large" in lines[0]
    assert lines[1] == "True True"
