from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from consumers.cells.fold import Fold
from consumers.names import cell_name
from consumers.settings import Redis
from consumers.state.codec import VERSION, Entry, StateChanges
from consumers.state.keys import KINDS
from consumers.state.store import StaleOwner, StateStore, StateUnavailable, StateVersionError, StoredOutputs
from tests.cells.small_cells import Cell, directions, manifest, near, post, rules, verdict
from tests.conftest import lacks
from tests.proxy import proxied
from tests.redis_servers import own_redis, redis_cluster, replicated_redis, wait_until
from tests.servers import Missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from consumers.contracts.cell_log import Record
    from tests.redis_servers import RedisCluster
    from tests.state.conftest import StateRedis

pytestmark = pytest.mark.redis

BUNDLE = "small-1"


@pytest.fixture
def store(state_redis: StateRedis) -> Iterator[StateStore]:
    made = StateStore(state_redis.settings, BUNDLE, 2)
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


def test_a_new_claim_ends_the_writes_of_the_owner_before(store: StateStore, state_redis: StateRedis) -> None:
    store.claim(0, "one")
    store.write(0, "one", None, 1, StateChanges(), b"")
    other = StateStore(state_redis.settings, BUNDLE, 2)
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


def test_a_state_of_another_version_is_refused(store: StateStore, state_redis: StateRedis) -> None:
    client = state_redis.client
    client.hset(f"shoal:{{{BUNDLE}.2.0}}:meta", mapping={"version": "99", "position": "5", "token": "old"})
    message = f"version 99, this Shoal reads {VERSION}; run the Shoal that wrote it"
    with pytest.raises(StateVersionError, match=message):
        store.claim(0, "one")
    with pytest.raises(StateVersionError, match=message):
        store.read(0)
    assert client.hget(f"shoal:{{{BUNDLE}.2.0}}:meta", "token") == b"old"


def test_a_redis_that_forgot_the_scripts_runs_them(store: StateStore, state_redis: StateRedis) -> None:
    store.claim(0, "one")
    store.write(0, "one", None, 1, StateChanges(), b"")
    for node in state_redis.nodes:
        node.client.script_flush()
    assert store.write(0, "one", 1, 2, StateChanges(), b"") == "written"


def test_a_redis_that_is_full_refuses_the_whole_batch(store: StateStore, state_redis: StateRedis) -> None:
    store.claim(0, "one")
    store.write(0, "one", None, 1, _changes(a=b"1"), b"")
    for node in state_redis.nodes:
        node.fill()
    with pytest.raises(StateUnavailable, match=r"redis: write: .*maxmemory"):
        store.write(0, "one", 1, 2, _changes(a=b"2"), b"x")
    for node in state_redis.nodes:
        node.empty()
    assert _contents(store) == (1, [], {Entry("marks", "a", b"1")})
    assert store.write(0, "one", 1, 2, _changes(a=b"2"), b"x") == "written"


def test_a_read_only_redis_refuses_the_whole_batch() -> None:
    with own_redis() as server:
        store = StateStore(Redis(url=server.url), BUNDLE, 2)
        store.claim(0, "one")
        server.make_read_only()
        with pytest.raises(StateUnavailable, match="redis: write: "):
            store.write(0, "one", None, 1, StateChanges(), b"")
        server.promote()
        assert store.write(0, "one", None, 1, StateChanges(), b"") == "written"
        store.close()


def test_a_redis_with_too_few_replicas_refuses_the_whole_batch(store: StateStore, state_redis: StateRedis) -> None:
    store.claim(0, "one")
    for node in state_redis.nodes:
        node.client.config_set("min-replicas-to-write", 1)
    try:
        with pytest.raises(StateUnavailable, match=r"redis: write: .*replicas"):
            store.write(0, "one", None, 1, _changes(a=b"1"), b"")
        assert store.read(0) is None
    finally:
        for node in state_redis.nodes:
            node.client.config_set("min-replicas-to-write", 0)
    assert store.write(0, "one", None, 1, _changes(a=b"1"), b"") == "written"


def test_writes_that_redis_holds_back_for_too_long_are_given_up_in_time_and_may_be_repeated(
    store: StateStore, state_redis: StateRedis
) -> None:
    store.claim(0, "one")
    store.write(0, "one", None, 1, StateChanges(), b"")
    hasty = StateStore(state_redis.settings.model_copy(update={"timeout_seconds": 0.2}), BUNDLE, 2)
    for node in state_redis.nodes:
        node.client.client_pause(60_000, all=False)
    with pytest.raises(StateUnavailable, match=r"redis: write: .*[Tt]ime"):
        hasty.write(0, "one", 1, 2, _changes(a=b"1"), b"x")
    for node in state_redis.nodes:
        node.client.client_unpause()
    hasty.close()
    # a server may drop what a client that is gone has asked for, and may do it
    assert store.write(0, "one", 1, 2, _changes(a=b"1"), b"x") in {"written", "done"}
    assert _contents(store) == (2, [StoredOutputs(1, 2, b"x")], {Entry("marks", "a", b"1")})


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
        with pytest.raises(StateUnavailable, match=r"redis: claim: .*[Tt]ime"):
            store.claim(0, "one")
        store.close()


def test_a_lost_connection_is_made_again(store: StateStore, state_redis: StateRedis) -> None:
    store.claim(0, "one")
    for node in state_redis.nodes:
        node.client.client_kill_filter(_type="normal", skipme=True)
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


def _filled(store: StateStore, entries: int = 3_000) -> None:
    """Cell 0 with so many entries of two kinds, claimed by `one`."""
    changes = StateChanges()
    for number in range(entries):
        changes.set("marks", f"mark-{number}", b"x" * 100)
        changes.set("members", str(number), b"y" * 100)
    store.claim(0, "one")
    store.write(0, "one", None, 5, changes, b"")


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a hash of thousands of fields little has been read when its first field is looked at, whatever is ahead."""
    monkeypatch.setattr("consumers.state.store.SCAN_COUNTS", (100, 100))


def test_a_claimed_state_is_read_whole(store: StateStore) -> None:
    _filled(store)
    state = store.read(0, "one")
    assert state is not None
    entries = list(state.entries)
    assert len(entries) == 6_000
    assert len({(entry.kind, entry.field) for entry in entries}) == 6_000


def test_a_state_that_another_has_claimed_is_not_read(store: StateStore) -> None:
    _filled(store)
    store.claim(0, "two")
    with pytest.raises(StaleOwner, match="claimed, and Redis has token two"):
        store.read(0, "one")


def _lose_an_entry(client: Any, stem: str) -> None:
    client.hdel(f"{stem}:marks", *(f"mark-{number}" for number in range(3_000)))


def _lose_everything(client: Any, stem: str) -> None:
    client.delete(*(f"{stem}:{kind}" for kind in ("meta", "outputs", *KINDS)))


def _lose_the_claim(client: Any, stem: str) -> None:
    client.hset(f"{stem}:meta", "token", "zero")


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("lose", [_lose_an_entry, _lose_everything, _lose_the_claim])
def test_a_state_that_changes_while_it_is_read_is_refused(
    store: StateStore, state_redis: StateRedis, lose: Callable[[Any, str], None]
) -> None:
    _filled(store)
    state = store.read(0, "one")
    assert state is not None
    next(state.entries)
    lose(state_redis.client, f"shoal:{{{BUNDLE}.2.0}}")
    with pytest.raises(StaleOwner, match=r"Redis changed while|Redis has token"):
        list(state.entries)


def test_an_owner_is_told_whether_the_cell_is_as_it_was_left(store: StateStore, state_redis: StateRedis) -> None:
    store.claim(0, "one")
    store.write(0, "one", None, 5, StateChanges(), b"")
    store.confirm(0, "one", 5)
    for token, position in (("two", 5), ("one", 4), ("one", 6)):
        with pytest.raises(StaleOwner, match="token one and position 5; it was left at"):
            store.confirm(0, token, position)
    for node in state_redis.nodes:
        node.client.flushall()
    with pytest.raises(StaleOwner, match="token none and position none; it was left at 5"):
        store.confirm(0, "one", 5)


@pytest.mark.usefixtures("small_pieces")
def test_hashes_that_are_numbered_anew_while_they_are_read_are_refused_or_whole() -> None:
    """A replica promoted in the middle of a take-over holds the same fields in another order."""
    with replicated_redis() as (primary, replica), proxied(primary.port) as proxy:
        store = StateStore(Redis(url=f"redis://127.0.0.1:{proxy.port}/0", timeout_seconds=2.0), BUNDLE, 2)
        _filled(store, 20_000)
        wait_until(lambda: replica.client.hlen(f"shoal:{{{BUNDLE}.2.0}}:marks") == 20_000)
        state = store.read(0, "one")
        assert state is not None
        next(state.entries)
        replica.promote()
        proxy.target = replica.port
        proxy.cut()
        primary.kill()
        with pytest.raises(StaleOwner, match=r"Redis changed while \w+ were read: \d+ of 20000"):
            list(state.entries)
        again = store.read(0, "one")
        assert again is not None
        assert len(list(again.entries)) == 40_000
        store.close()


def test_a_reply_lost_after_the_script_ran_is_asked_for_again() -> None:
    with own_redis() as server, proxied(server.port) as proxy:
        store = StateStore(Redis(url=f"redis://127.0.0.1:{proxy.port}/0", timeout_seconds=2.0), BUNDLE, 2)
        store.claim(0, "one")
        store.write(0, "one", None, 1, StateChanges(), b"")
        proxy.lose_reply(b"Applies one batch")
        assert store.write(0, "one", 1, 2, _changes(a=b"1"), b"x") == "done"
        assert proxy.lost == 1
        assert _contents(store) == (2, [StoredOutputs(1, 2, b"x")], {Entry("marks", "a", b"1")})
        store.close()


@pytest.mark.parametrize("direction", ["requests", "replies"])
def test_a_partition_of_one_direction_is_given_up_in_time_and_repeated_when_it_is_over(direction: str) -> None:
    with own_redis() as server, proxied(server.port) as proxy:
        store = StateStore(Redis(url=f"redis://127.0.0.1:{proxy.port}/0", timeout_seconds=0.3), BUNDLE, 2)
        store.claim(0, "one")
        store.write(0, "one", None, 1, StateChanges(), b"")
        setattr(proxy, f"passes_{direction}", False)
        with pytest.raises(StateUnavailable, match=r"redis: write: .*[Tt]ime"):
            store.write(0, "one", 1, 2, _changes(a=b"1"), b"x")
        setattr(proxy, f"passes_{direction}", True)
        answer = store.write(0, "one", 1, 2, _changes(a=b"1"), b"x")
        assert answer == ("written" if direction == "requests" else "done")
        store.close()


def test_the_cells_of_a_cluster_spread_over_its_primaries(state_redis: StateRedis) -> None:
    store = StateStore(state_redis.settings, BUNDLE, 16)
    for cell in range(16):
        store.claim(cell, "one")
        store.write(cell, "one", None, cell, StateChanges(), b"")
    keys = [node.client.dbsize() for node in state_redis.nodes]
    assert sum(keys) == 16
    assert min(keys) > 0
    assert [_contents(store, cell)[0] for cell in range(16)] == list(range(16))
    store.close()


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    """A cluster that may be changed, though not broken."""
    try:
        made = redis_cluster(3, replicas=1)
        found = made.__enter__()
    except Missing as missing:
        lacks(str(missing))
    yield found
    made.__exit__(None, None, None)


def test_a_cell_whose_slot_moves_to_another_primary_waits_and_goes_on_there(cluster: RedisCluster) -> None:
    store = StateStore(Redis(url=cluster.url, cluster=True, timeout_seconds=2.0), BUNDLE, 2)
    _filled(store)
    meta = f"shoal:{{{BUNDLE}.2.0}}:meta"
    source = cluster.node_of(meta)
    target = next(node for node in cluster.primaries if node is not source)
    slot = source.client.cluster("keyslot", meta)
    target.client.cluster("setslot", slot, "importing", source.client.cluster("myid").decode())
    source.client.cluster("setslot", slot, "migrating", target.client.cluster("myid").decode())
    source.client.execute_command("MIGRATE", "127.0.0.1", target.port, meta, 0, 5_000)
    with pytest.raises(StateUnavailable, match="redis: write: "):
        store.write(0, "one", 5, 6, _changes(a=b"1"), b"x")
    rest = [f"shoal:{{{BUNDLE}.2.0}}:{kind}" for kind in ("members", "marks")]
    source.client.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5_000, "KEYS", *rest)
    # the new node refuses scripts on a slot that comes in as long as one of their keys does not exist
    with pytest.raises(StateUnavailable, match="redis: write: "):
        store.write(0, "one", 5, 6, _changes(a=b"1"), b"x")
    for node in cluster.primaries:
        node.client.cluster("setslot", slot, "node", target.client.cluster("myid").decode())
    assert store.write(0, "one", 5, 6, _changes(a=b"1"), b"x") == "written"
    state = store.read(0, "one")
    assert state is not None
    assert (state.position, len(list(state.entries))) == (6, 6_001)
    assert target.client.hget(meta, "position") == b"6"
    store.close()


def test_a_cluster_whose_primary_dies_refuses_in_time_and_goes_on_with_what_its_replica_had(
    cluster: RedisCluster,
) -> None:
    """The replica has the claim, and not the last write."""
    cell = next(
        cell for cell in range(64) if cluster.node_of(f"{{{cell_name(BUNDLE, 64, cell)}}}") is cluster.primaries[0]
    )
    store = StateStore(Redis(url=cluster.url, cluster=True, timeout_seconds=0.5), BUNDLE, 64)
    store.claim(cell, "one")
    store.write(cell, "one", None, 1, StateChanges(), b"")
    [replica] = cluster.replicas
    offset = cluster.primaries[0].client.info("replication")["master_repl_offset"]
    wait_until(lambda: replica.client.info("replication")["slave_repl_offset"] >= offset)
    cluster.primaries[0].stop_replication()
    assert store.write(cell, "one", 1, 2, _changes(a=b"1"), b"x") == "written"
    cluster.primaries[0].kill()
    with pytest.raises(StateUnavailable, match="redis: write: "):
        store.write(cell, "one", 2, 3, _changes(b=b"2"), b"y")
    wait_until(lambda: replica.client.info("replication")["role"] == "master")
    cluster.primaries[0] = cluster.replicas.pop()
    cluster.wait_whole()
    with pytest.raises(StaleOwner, match="token one and position 1"):
        store.write(cell, "one", 2, 3, _changes(b=b"2"), b"y")
    store.claim(cell, "two")
    assert store.write(cell, "two", 1, 2, _changes(a=b"1"), b"x") == "written"
    store.close()


def test_a_cluster_that_is_not_there_is_a_line_with_its_cause() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{taken.getsockname()[1]}/0"
        store = StateStore(Redis(url=url, cluster=True, timeout_seconds=1.0), BUNDLE, 1)
        with pytest.raises(StateUnavailable, match=r"redis: claim: .*cannot be connected"):
            store.claim(0, "one")
        store.close()
