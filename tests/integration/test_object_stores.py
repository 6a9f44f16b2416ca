"""Snapshots in object stores over HTTP: kept, pruned, brought back; nothing half written is taken for one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from consumers.checks.snapshots import check_snapshots
from consumers.recovery.snapshot_store import SnapshotStore, SnapshotStoreError, snapshot_at
from consumers.settings import Settings, Snapshots
from consumers.state.codec import VERSION
from consumers.state.snapshot import End, Header, Item
from tests.integration.kept import Kept
from tests.integration.platform import Platform, eventually, working
from tests.object_stores.servers import ObjectStore, object_store
from tests.proxy import Proxy, proxied
from tests.redis_servers import own_redis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from consumers.state.snapshot import Part

BUNDLE = "small-1"
WRONG = {"s3": {"secret_access_key": "hunter2"}, "az": {"account_key": "aHVudGVyMg=="}}
"""Keys that the servers do not know; the one for gs:// takes any."""

LARGE = 40
"""Items of a megabyte that do not pack: several requests."""


@pytest.fixture(scope="module", params=["s3", "gs", "az"])
def objects(request: pytest.FixtureRequest) -> Iterator[ObjectStore]:
    with object_store(request.param) as store:
        yield store


def section(objects: ObjectStore, location: str, **changes: Any) -> Snapshots:
    given = {"location": location, "options": {location: objects.options}, "timeout_seconds": 20.0} | changes
    return Snapshots(**given)


def snapshots_in(objects: ObjectStore, location: str | None = None, **changes: Any) -> SnapshotStore:
    place = location or objects.location(uuid.uuid4().hex)
    return SnapshotStore(Settings(snapshots=section(objects, place, **changes)), BUNDLE, place)


def parts(meanwhile: Callable[[int], None] = lambda _number: None) -> Iterator[Part]:
    """A large snapshot; told the number of each item before it is given."""
    yield Header(bundle=BUNDLE, cells=1, cell=0, group="shoal", topic_id="", state=VERSION, shoal="0", created_at=5)
    for number in range(LARGE):
        meanwhile(number)
        yield Item("marks", str(number), os.urandom(2**20))
    yield End(position=45, items=LARGE, entries={"marks": LARGE})


def small(position: int) -> list[Part]:
    header = next(parts())
    return [header, Item("marks", "a", b"1"), End(position=position, items=1, entries={"marks": 1})]


def test_a_snapshot_is_read_as_it_was_saved_and_the_oldest_are_deleted(objects: ObjectStore) -> None:
    snapshots = snapshots_in(objects)
    large = snapshots.save(0, 40, 1, parts())
    assert snapshots.stored(0) == [large]
    assert sum(1 for _ in snapshots.read(large)) == LARGE + 2
    for position in (41, 42):
        snapshots.save(0, position, 1, small(position))
    snapshots.save(1, 7, 7, small(7))
    assert snapshots.prune(0, 2) == 1
    assert [one.begun for one in snapshots.stored(0)] == [42, 41]
    assert [one.begun for one in snapshots.stored(1)] == [7]
    assert list(snapshots.read(snapshots.stored(0)[0])) == small(42)
    place = f"{snapshots.location}{snapshots.stored(0)[0].path}"
    found, same = snapshot_at(snapshots._settings, BUNDLE, place)
    assert list(found.read(same)) == small(42)


def test_a_bucket_that_is_not_there_is_one_line_that_says_so(objects: ObjectStore) -> None:
    snapshots = snapshots_in(objects, objects.location("shoal", bucket="nowhere"))
    calls: list[Callable[[], Any]] = [lambda: snapshots.stored(0), lambda: snapshots.save(0, 1, 1, small(1))]
    for call in calls:
        with pytest.raises(
            SnapshotStoreError, match=r"^\S+://nowhere/shoal/: .*404.*(NoSuchBucket|ContainerNot)"
        ) as told:
            call()
        assert "\n" not in str(told.value)
    [found] = check_snapshots(snapshots._settings, BUNDLE)
    assert found.state == "hint"
    assert "404" in found.text


@pytest.mark.parametrize("objects", WRONG, indirect=True)
def test_a_wrong_key_is_one_line_that_says_so(objects: ObjectStore) -> None:
    wrong = WRONG[objects.scheme]
    location = objects.location(uuid.uuid4().hex)
    snapshots = snapshots_in(objects, location, options={location: objects.options | wrong})
    calls: list[Callable[[], Any]] = [lambda: snapshots.stored(0), lambda: snapshots.save(0, 1, 1, small(1))]
    for call in calls:
        with pytest.raises(SnapshotStoreError, match=r"403.*(SignatureDoesNotMatch|AuthorizationFailure)") as told:
            call()
        assert "\n" not in str(told.value)
        assert not any(value in str(told.value) for value in wrong.values())
    assert snapshots_in(objects, location).stored(0) == []


@pytest.fixture
def proxy(objects: ObjectStore) -> Iterator[Proxy]:
    """In front of the server."""
    with proxied(objects.port) as made:
        yield made


def behind(objects: ObjectStore, proxy: Proxy, **changes: Any) -> SnapshotStore:
    location = objects.location(uuid.uuid4().hex)
    return snapshots_in(objects, location, options={location: objects.behind(proxy.port)}, **changes)


def test_a_server_that_hangs_is_given_up(objects: ObjectStore, proxy: Proxy) -> None:
    snapshots = behind(objects, proxy, timeout_seconds=1.0)
    proxy.passes_replies = False
    calls: list[Callable[[], Any]] = [lambda: snapshots.stored(0), lambda: snapshots.save(0, 1, 1, small(1))]
    for call in calls:
        with pytest.raises(SnapshotStoreError, match=f"^{snapshots.location}: ") as told:
            call()
        assert "\n" not in str(told.value)


def test_a_server_that_goes_away_in_the_middle_of_an_upload_has_no_snapshot(
    objects: ObjectStore, proxy: Proxy
) -> None:
    snapshots = behind(objects, proxy)

    def leave(number: int) -> None:
        if number == LARGE // 2:
            proxy.refuse()

    with pytest.raises(SnapshotStoreError, match=f"^{snapshots.location}: "):
        snapshots.save(0, 42, 1, parts(leave))
    proxy.listen()
    assert snapshots.stored(0) == []
    again = snapshots.save(0, 42, 1, parts())
    assert snapshots.stored(0) == [again]
    assert sum(1 for _ in snapshots.read(again)) == LARGE + 2


KILLED = """
import os, signal, sys
from consumers.settings import Settings
from consumers.recovery.snapshot_store import SnapshotStore
from tests.integration.test_object_stores import BUNDLE, LARGE, parts

def die(number):
    if number == LARGE // 2:
        os.kill(os.getpid(), signal.SIGKILL)

settings = Settings()
SnapshotStore(settings, BUNDLE, settings.snapshots.location).save(0, 42, 1, parts(die))
"""


def test_a_process_killed_in_the_middle_of_an_upload_leaves_no_snapshot(objects: ObjectStore) -> None:
    snapshots = snapshots_in(objects)
    environment = os.environ | {
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "SHOAL_SNAPSHOTS": snapshots._settings.snapshots.model_dump_json(),
    }
    done = subprocess.run([sys.executable, "-c", KILLED], env=environment, timeout=200, check=False)
    assert done.returncode == -signal.SIGKILL
    assert snapshots.stored(0) == []
    again = snapshots.save(0, 42, 1, parts())
    assert snapshots.stored(0) == [again]


def newest(kept: Kept) -> int:
    """Where the newest snapshot was begun."""
    return max((one.begun for one in kept.snapshots.stored(0)), default=0)


@pytest.mark.kafka
@pytest.mark.redis
def test_the_commands_keep_cells_in_it_and_bring_them_into_another_redis(
    objects: ObjectStore, platform: Platform, tmp_path: Path
) -> None:
    """Its options are in the settings first, and then in the variables of the cloud's own tools."""
    location = objects.location(platform.settings.kafka.group)
    place = {"location": location, "options": {location: objects.options}, "timeout_seconds": 20.0, "kept": 2}
    with own_redis() as server, own_redis() as second:
        kept = Kept(platform, server.url, tmp_path, every_seconds=0.5, **place)
        with working(kept.settings, tmp_path) as worker:
            for _ in range(4):
                kept.publish(10)
                eventually(lambda: newest(kept), len(kept.published).__le__)
            eventually(lambda: len(kept.snapshots.stored(0)), lambda count: count <= 2)
            found = {line["subject"]: line for line in kept.shoal("check", code=1)}  # of the topics
            [rebuilt] = kept.shoal("state", "rebuild", "0")
            kept.publish(5)
            assert worker.metric("shoal_snapshot_failures_total", cell="0") == 0
        assert found["snapshots"]["state"] == "good", found["snapshots"]
        assert "from its snapshot at" in rebuilt["text"]
        without = {"location": location, "timeout_seconds": 20.0}
        other = Kept(platform, second.url, tmp_path, every_seconds=100_000.0, **without)
        other.published = kept.published
        [taken] = kept.shoal("state", "snapshot", "0", "--to", location)
        address = taken["text"].rpartition(": ")[2]
        assert address.startswith(location)
        kept.trim(kept.position(kept.snapshots.stored(0)[0]))
        [restored] = other.shoal("state", "restore", "0", address, environment=objects.variables)
        assert "from the snapshot of" in restored["text"]
        with working(other.settings.model_copy(update={"snapshots": Snapshots()}), tmp_path):
            other.publish(5)
        other.settings = kept.settings.model_copy(update={"redis": other.settings.redis})
        other.platform.settings = other.settings
        other.assert_whole()
