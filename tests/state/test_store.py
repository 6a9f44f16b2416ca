from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
import redis

from consumers.fold import Fold
from consumers.settings import Redis
from consumers.state.codec import Entry, StateChanges
from consumers.state.keys import KINDS
from consumers.state.store import StaleOwner, StateStore, StateUnavailable, StateVersionError, StoredOutputs
from tests.cells import Cell, directions, manifest, near, post, rules, verdict
from tests.state.conftest import redis_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.contracts.cell_log import Record

pytestmark = pytest.mark.redis

BUNDLE = "small-1"


@pytest.fixture
def store(state_redis: str) -> Iterator[StateStore]:
    made = StateStore(Redis(url=state_redis, timeout_seconds=2.0), BUNDLE, 2)
    yield made
    made.close()


def _changes(**fields: bytes) -> StateChanges:
    changes = StateChanges()
    for name, value in fields.items():
        changes.set("marks", name, value)
    return changes


def _contents(store: StateStore, cell: int = 0) -> tuple[int, list[StoredOutputs], set[Entry]]:
    state = store.read(cell)
    assert state is not None
    return state.position, state.outputs, set(state.entries)


def test_an_empty_redis_holds_no_state_and_a_claim_makes_none(store: StateStore) -> None:
    assert store.read(0) is None
    store.claim(0, "one")
    assert store.read(0) is None


def test_what_was_written_is_read_and_another_cell_is_not_touched(store: StateStore) -> None:
    store.claim(0, "one")
    assert store.write(0, "one", None, 7, StateChanges(), b"") == "written"
    assert store.write(0, "one", 7, 9, _changes(a=b"\x00\xff", b=b"2"), b"out\x00:put") == "written"
    assert _contents(store) == (
        9,
        [StoredOutputs(7, 9, b"out\x00:put")],
        {Entry("marks", "a", b"\x00\xff"), Entry("marks", "b", b"2")},
    )
    assert store.read(1) is None


def test_fields_are_deleted_and_every_kind_has_its_hash(store: StateStore) -> None:
    store.claim(0, "one")
    first, second = StateChanges(), StateChanges()
    for kind in KINDS:
        first.set(kind, "stays", b"1")
        first.set(kind, "goes", b"1")
        second.delete(kind, "goes")
        second.delete(kind, "never was")
    store.write(0, "one", None, 1, first, b"")
    store.write(0, "one", 1, 2, second, b"")
    assert _contents(store)[2] == {Entry(kind, "stays", b"1") for kind in KINDS}


def test_a_batch_of_many_fields_fits_one_call(store: StateStore) -> None:
    store.claim(0, "one")
    many, gone = StateChanges(), StateChanges()
    for number in range(20_001):
        many.set("members", str(number), b"x")
        if number:
            gone.delete("members", str(number))
    store.write(0, "one", None, 1, many, b"")
    assert len(_contents(store)[2]) == 20_001
    store.write(0, "one", 1, 2, gone, b"")
    assert _contents(store)[2] == {Entry("members", "0", b"x")}


def test_the_same_batch_again_is_done_and_changes_nothing(store: StateStore) -> None:
    store.claim(0, "one")
    store.write(0, "one", None, 1, StateChanges(), b"")
    assert store.write(0, "one", 1, 2, _changes(a=b"1"), b"x") == "written"
    assert store.write(0, "one", 1, 2, _changes(a=b"2"), b"y") == "done"
    assert _contents(store) == (2, [StoredOutputs(1, 2, b"x")], {Entry("marks", "a", b"1")})


@pytest.mark.parametrize(
    ("token", "expected", "position"), [("two", 5, 6), ("one", 4, 6), ("one", None, 6), ("one", 6, 7), ("two", 4, 5)]
)
def test_any_other_mismatch_is_refused_and_changes_nothing(
    store: StateStore, token: str, expected: int | None, position: int
) -> None:
    store.claim(0, "one")
    store.write(0, "one", None, 5, _changes(a=b"1"), b"")
    before = _contents(store)
    with pytest.raises(StaleOwner, match="token one and position 5"):
        store.write(0, token, expected, position, _changes(a=b"2", b=b"2"), b"")
    assert _contents(store) == before


def test_nobody_writes_before_a_claim(store: StateStore) -> None:
    with pytest.raises(StaleOwner, match="token none and position none"):
        store.write(0, "one", None, 1, StateChanges(), b"")


def test_a_new_claim_ends_the_writes_of_the_owner_before(store: StateStore, state_redis: str) -> None:
    store.claim(0, "one")
    store.write(0, "one", None, 1, StateChanges(), b"")
    other = StateStore(Redis(url=state_redis), BUNDLE, 2)
    other.claim(0, "two")
    with pytest.raises(StaleOwner):
        store.write(0, "one", 1, 2, StateChanges(), b"")
    with pytest.raises(StaleOwner):
        store.forget_outputs(0, "one", 1)
    assert other.write(0, "two", 1, 2, StateChanges(), b"") == "written"
    other.close()


def test_the_first_write_of_a_cell_holds_no_outputs(store: StateStore) -> None:
    store.claim(0, "one")
    with pytest.raises(ValueError, match="no outputs"):
        store.write(0, "one", None, 5, StateChanges(), b"x")
    assert store.read(0) is None


def test_outputs_are_kept_until_they_are_committed(store: StateStore) -> None:
    store.claim(0, "one")
    store.write(0, "one", None, 1, StateChanges(), b"")
    store.write(0, "one", 1, 9, StateChanges(), b"a")
    store.write(0, "one", 9, 10, StateChanges(), b"b", committed=1)
    store.write(0, "one", 10, 100, StateChanges(), b"c", committed=1)
    assert [(kept.start, kept.end) for kept in _contents(store)[1]] == [(1, 9), (9, 10), (10, 100)]
    store.forget_outputs(0, "one", 9)
    assert [(kept.start, kept.end) for kept in _contents(store)[1]] == [(9, 10), (10, 100)]
    store.write(0, "one", 100, 101, StateChanges(), b"d")
    assert [(kept.start, kept.end) for kept in _contents(store)[1]] == [(100, 101)]


def test_a_state_of_another_version_is_refused(store: StateStore, state_redis: str) -> None:
    client: Any = redis.Redis.from_url(state_redis)
    client.hset(f"shoal:{{{BUNDLE}.2.0}}:meta", mapping={"version": "99", "position": "5", "token": "old"})
    message = "version 99, this Shoal reads 2; run the Shoal that wrote it"
    with pytest.raises(StateVersionError, match=message):
        store.claim(0, "one")
    with pytest.raises(StateVersionError, match=message):
        store.read(0)
    assert client.hget(f"shoal:{{{BUNDLE}.2.0}}:meta", "token") == b"old"
    client.close()


def test_scripts_are_loaded_again_after_redis_forgot_them(store: StateStore, state_redis: str) -> None:
    store.claim(0, "one")
    store.write(0, "one", None, 1, StateChanges(), b"")
    client: Any = redis.Redis.from_url(state_redis)
    client.script_flush()
    client.close()
    assert store.write(0, "one", 1, 2, StateChanges(), b"") == "written"


def test_a_redis_that_is_full_refuses_the_whole_batch(store: StateStore, state_redis: str) -> None:
    store.claim(0, "one")
    store.write(0, "one", None, 1, _changes(a=b"1"), b"")
    client: Any = redis.Redis.from_url(state_redis)
    client.config_set("maxmemory", 1)
    with pytest.raises(StateUnavailable, match=r"redis: write: .*maxmemory"):
        store.write(0, "one", 1, 2, _changes(a=b"2"), b"x")
    client.config_set("maxmemory", 0)
    client.close()
    assert _contents(store) == (1, [], {Entry("marks", "a", b"1")})
    assert store.write(0, "one", 1, 2, _changes(a=b"2"), b"x") == "written"


def test_a_read_only_redis_refuses_the_whole_batch(store: StateStore, state_redis: str) -> None:
    store.claim(0, "one")
    client: Any = redis.Redis.from_url(state_redis)
    client.replicaof("127.0.0.1", "1")
    try:
        with pytest.raises(StateUnavailable, match="redis: write: "):
            store.write(0, "one", None, 1, StateChanges(), b"")
    finally:
        client.replicaof("NO", "ONE")
        client.close()


def test_an_unreachable_redis_is_a_line_with_its_cause() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    store = StateStore(Redis(url=f"redis://127.0.0.1:{port}/0", timeout_seconds=1.0), BUNDLE, 1)
    with pytest.raises(StateUnavailable, match=r"redis: read: .*refused"):
        store.read(0)
    store.close()


def test_a_silent_redis_is_given_up_in_time() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
        store = StateStore(Redis(url=url, timeout_seconds=0.2), BUNDLE, 1)
        start = time.monotonic()
        with pytest.raises(StateUnavailable, match=r"redis: claim: .*[Tt]ime"):
            store.claim(0, "one")
        assert time.monotonic() - start < 2.0
        store.close()


def test_a_lost_connection_is_made_again(store: StateStore, state_redis: str) -> None:
    store.claim(0, "one")
    client: Any = redis.Redis.from_url(state_redis)
    client.client_kill_filter(_type="normal", skipme=True)
    client.close()
    assert store.write(0, "one", None, 1, StateChanges(), b"") == "written"


def test_a_fold_goes_on_from_what_redis_holds(store: StateStore) -> None:
    given = Cell()
    a, b = directions(2)
    batches: list[list[Record]] = [
        [post(0, a), post(1, b), verdict(1, post_id="post-0")],
        [post(2, near(a, 0.9)), verdict(2, "overturn", post_id="post-1", policy="spam")],
        [post(3, near(a, 0.9, seed=3)), post(4, near(b, 0.9)), verdict(3, post_id="post-3", actor="bob")],
    ]
    store.claim(0, "one")
    store.write(0, "one", None, 0, given.fold.first_changes(), b"")
    for batch in batches:
        start = given.fold.position
        folded = given.add(*batch)
        store.write(0, "one", start, folded.position, folded.changes, b"")
        state = store.read(0)
        assert state is not None
        fresh = Fold(rules(), manifest(), 0, position=state.position)
        fresh.restore(state.entries)
        given.fold = fresh
    expected = Cell()
    whole = expected.add(*(record for batch in batches for record in batch))
    assert _contents(store)[2] == set(expected.store.entries())
    assert folded.outputs == whole.outputs[-len(folded.outputs) :]
    assert [output.kind for output in folded.outputs] == ["flag", "decision", "decision"]


def test_a_redis_cluster_takes_the_same_calls(redis_executable: str) -> None:
    with redis_server(redis_executable, "--cluster-enabled", "yes") as url:
        node: Any = redis.Redis.from_url(url)
        node.execute_command("CLUSTER", "ADDSLOTS", *range(16_384))
        deadline = time.monotonic() + 10
        while node.execute_command("CLUSTER INFO")["cluster_state"] != "ok":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        node.close()
        store = StateStore(Redis(url=url, cluster=True), BUNDLE, 2)
        for cell in range(2):
            store.claim(cell, "one")
            store.write(cell, "one", None, 1, StateChanges(), b"")
            assert store.write(cell, "one", 1, 2, _changes(a=b"1"), b"x") == "written"
            assert store.write(cell, "one", 1, 2, _changes(a=b"1"), b"x") == "done"
            assert _contents(store, cell) == (2, [StoredOutputs(1, 2, b"x")], {Entry("marks", "a", b"1")})
        store.close()
