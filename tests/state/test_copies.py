"""A copy is the cell at one position whatever is written meanwhile; it takes a cell's place whole or not at all."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from consumers.settings import Redis
from consumers.state import copies as module
from consumers.state.codec import StateChanges
from consumers.state.copies import CopyError, NewerState, StateCopier
from consumers.state.keys import KINDS, CellKeys
from consumers.state.snapshot import End, Item
from consumers.state.store import StaleOwner, StateStore, StateUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.state.conftest import StateRedis

pytestmark = pytest.mark.redis

BUNDLE = "small-1"
OWNER, NEXT, ONE = "owner", "next", "one"


class Owner:
    """An owner that knows what Redis must hold after each of its batches."""

    def __init__(self, settings: Redis, seed: int = 0) -> None:
        self.store = StateStore(settings, BUNDLE, 2)
        self.held: dict[tuple[str, str], bytes] = {}
        self.history: dict[int, dict[tuple[str, str], bytes]] = {}
        self.position = 0
        self._random = random.Random(seed)
        self.claim("owner")
        self.store.write(0, "owner", None, 0, StateChanges(), b"")
        self.history[0] = {}

    def claim(self, token: str) -> None:
        self.token = token
        self.store.claim(0, token)

    def batch(self, size: int = 60) -> None:
        """Set and delete some fields of every kind."""
        changes = StateChanges()
        for _ in range(size):
            kind, field = self._random.choice(KINDS), str(self._random.randrange(400))
            if self._random.random() < 0.3:
                changes.delete(kind, field)
                self.held.pop((kind, field), None)
            else:
                value = self._random.randbytes(20)
                changes.set(kind, field, value)
                self.held[kind, field] = value
        start, self.position = self.position, self.position + self._random.randrange(1, 9)
        self.store.write(0, self.token, start, self.position, changes, b"out")
        self.history[self.position] = dict(self.held)


@pytest.fixture
def owner(state_redis: StateRedis) -> Iterator[Owner]:
    made = Owner(state_redis.settings)
    for _ in range(60):
        made.batch()
    yield made
    made.store.close()


@pytest.fixture
def copier(state_redis: StateRedis) -> Iterator[StateCopier]:
    made = StateCopier(state_redis.settings, BUNDLE, 2)
    yield made
    made.close()


@pytest.fixture
def client(state_redis: StateRedis) -> Any:
    return state_redis.client


def keys(cell: int = 0) -> CellKeys:
    return CellKeys(Redis(), BUNDLE, 2, cell)


def last_words(parts: Iterable[Item | End]) -> tuple[int, dict[tuple[str, str], bytes], dict[str, bytes]]:
    """Position, entries and outputs that the parts of a copy come to."""
    held: dict[tuple[str, str], bytes] = {}
    outputs: dict[str, bytes] = {}
    for count, part in enumerate(parts):
        if isinstance(part, End):
            assert part.items == count
            assert part.entries == Counter(kind for kind, _ in held)
            return part.position, held, outputs
        if part.name == "outputs":
            assert part.value is not None
            outputs[part.field] = part.value
        elif part.value is None:
            held.pop((part.name, part.field), None)
        else:
            held[part.name, part.field] = part.value
    raise AssertionError


@contextmanager
def started(copier: StateCopier, stopped: Callable[[], bool] = lambda: False) -> Iterator[Any]:
    with copier.copying(0, stopped) as copy:
        assert copy is not None
        yield copy


def small_pieces(monkeypatch: pytest.MonkeyPatch, fields: int) -> None:
    monkeypatch.setattr(module, "SCAN_COUNTS", (fields, fields))
    monkeypatch.setattr(module, "next_count", lambda _values, _size: fields)


def contents(store: StateStore) -> tuple[int, dict[tuple[str, str], bytes]]:
    state = store.read(0)
    assert state is not None
    return state.position, {(entry.kind, entry.field): entry.value for entry in state.entries}


def test_a_copy_of_a_quiet_cell_is_what_redis_holds(owner: Owner, copier: StateCopier, client: Any) -> None:
    with started(copier) as (begun, parts):
        position, held, outputs = last_words(parts)
    assert (begun, position, held) == (owner.position, owner.position, owner.held)
    assert list(outputs) == [str(owner.position)]
    assert not client.exists(keys().copying)


@pytest.mark.parametrize("seed", range(5))
def test_a_copy_of_a_busy_cell_is_the_cell_at_one_position(
    state_redis: StateRedis, copier: StateCopier, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """The owner writes between any two items that are read."""
    small_pieces(monkeypatch, 10)
    monkeypatch.setattr(module, "CHANGES", 50)
    monkeypatch.setattr(module, "DRAIN_SECONDS", [0.0, 100.0][seed % 2])
    owner = Owner(state_redis.settings, seed)
    for _ in range(150):
        owner.batch()
    chance = random.Random(seed)

    def busy(parts: Iterable[Item | End]) -> Iterator[Item | End]:
        for number, part in enumerate(parts):
            yield part
            if number < 20_000 and chance.random() < 0.02:
                owner.batch(20)

    with started(copier) as (begun, parts):
        position, held, _ = last_words(busy(parts))
    assert begun < position
    assert held == owner.history[position]
    owner.store.close()


def test_nothing_is_noted_before_and_after_a_copy(owner: Owner, copier: StateCopier, client: Any) -> None:
    assert not client.exists(keys().copying)
    with started(copier):
        owner.batch()
        assert client.hlen(keys().copying) > 2
    owner.batch()
    assert not client.exists(keys().copying)


def test_a_copy_that_nobody_goes_on_with_is_forgotten(owner: Owner, copier: StateCopier, client: Any) -> None:
    with started(copier) as (_, parts):
        next(parts)
        assert 0 < client.ttl(keys().copying) <= module.KEPT_SECONDS
        client.delete(keys().copying)
        owner.batch()
        with pytest.raises(CopyError, match="too long"):
            list(parts)


def test_two_copies_at_once_are_refused(owner: Owner, copier: StateCopier) -> None:
    with started(copier) as (_, parts):
        with pytest.raises(CopyError, match="another snapshot"), started(copier):
            pass
        assert last_words(parts)[0] == owner.position
    with started(copier) as (_, parts):
        assert last_words(parts)[0] == owner.position


def test_a_cell_that_redis_does_not_hold_has_no_copy(copier: StateCopier, owner: Owner) -> None:
    with copier.copying(1) as copy:
        assert copy is None


def test_a_copy_over_a_change_of_owners_is_given_up(owner: Owner, copier: StateCopier) -> None:
    """The old owner's last writes may have been lost, and with them what was read of them."""
    with started(copier) as (_, parts):
        next(parts)
        owner.claim("next")
        with pytest.raises(CopyError, match="owner changed"):
            list(parts)


def test_a_copy_over_lost_writes_is_given_up(owner: Owner, copier: StateCopier, client: Any) -> None:
    with started(copier) as (_, parts):
        next(parts)
        client.hset(keys().meta, "position", owner.position - 1)
        with pytest.raises(CopyError, match="server changed"):
            list(parts)


def test_a_copy_over_a_change_of_servers_is_given_up(
    owner: Owner, copier: StateCopier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another server numbers the fields of a hash anew: the rest of a scan would miss some."""
    run = copier._run
    scans: list[bytes] = []

    def moved(name: str, names: list[str], arguments: list[Any]) -> list[Any]:
        answer = run(name, names, arguments)
        if name == "copy_scan":
            scans.append(answer[1])
            answer[1] = answer[1] if len(scans) < 3 else b"owner another"
        return answer

    monkeypatch.setattr(copier, "_run", moved)
    with started(copier) as (_, parts), pytest.raises(CopyError, match="server changed"):
        list(parts)
    assert all(len(answered) > len("owner ") + 20 for answered in scans)


def test_a_writer_that_notes_nothing_is_noticed(owner: Owner, copier: StateCopier, client: Any) -> None:
    with started(copier) as (_, parts):
        client.hset(keys().meta, "position", owner.position + 1)
        with pytest.raises(CopyError, match="another version of Shoal"):
            list(parts)


def test_a_dropped_cell_ends_its_copy(owner: Owner, copier: StateCopier) -> None:
    with started(copier) as (_, parts):
        owner.store.drop(0)
        with pytest.raises(CopyError):
            list(parts)


def test_changes_whose_reply_was_lost_end_the_copy(
    owner: Owner, copier: StateCopier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """redis-py sends the call again, and the first answer held changes that are not noted any more."""
    with started(copier) as (_, parts):
        run = copier._run

        def twice(name: str, names: list[str], arguments: list[Any]) -> list[Any]:
            if name == "copy_drain":
                run(name, names, arguments)
            return run(name, names, arguments)

        monkeypatch.setattr(copier, "_run", twice)
        owner.batch()
        with pytest.raises(CopyError):
            list(parts)


def test_a_copy_is_given_up_when_asked_to(owner: Owner, copier: StateCopier, client: Any) -> None:
    with pytest.raises(CopyError, match="given up"), started(copier, lambda: True) as (_, parts):
        list(parts)
    assert not client.exists(keys().copying)


def test_a_full_redis_is_not_copied(owner: Owner, copier: StateCopier, state_redis: StateRedis) -> None:
    for node in state_redis.nodes:
        node.fill()
    with pytest.raises(StateUnavailable, match="copy_begin"), started(copier):
        pass


STATE = [Item("marks", "a", b"1"), Item("members", "1", b"x"), Item("marks", "b", b"2"), Item("outputs", "9", b"5:o")]
WORDS = [*STATE, Item("marks", "a", b"3"), Item("members", "1", None), Item("members", "2", None)]
"""The last words: a is 3, no members are left."""


def test_a_state_set_aside_takes_the_place_of_what_was_there(owner: Owner, copier: StateCopier, client: Any) -> None:
    staged = copier.stage(0, WORDS)
    assert contents(owner.store)[0] == owner.position
    copier.put_in_place(0, staged, 9, token=NEXT, owned=False, force=True)
    assert contents(owner.store) == (9, {("marks", "a"): b"3", ("marks", "b"): b"2"})
    state = owner.store.read(0)
    assert state is not None
    assert [(kept.start, kept.end, kept.data) for kept in state.outputs] == [(5, 9, b"o")]
    with pytest.raises(StaleOwner):
        owner.batch()
    assert list(client.scan_iter("*restoring*")) == []
    assert {client.ttl(key) for key in client.scan_iter("*")} == {-1}
    owner.store.write(0, "next", 9, 10, StateChanges(), b"")


def test_a_state_for_an_empty_redis(copier: StateCopier) -> None:
    copier.put_in_place(0, copier.stage(0, STATE), 9, token=ONE, owned=False)
    assert contents(copier)[0] == 9
    copier.put_in_place(1, copier.stage(1, []), 4, token=ONE, owned=False)
    state = copier.read(1)
    assert state is not None
    assert (state.position, list(state.entries)) == (4, [])


def test_a_newer_state_is_left_unless_forced(owner: Owner, copier: StateCopier) -> None:
    before = contents(owner.store)
    staged = copier.stage(0, STATE)
    with pytest.raises(NewerState, match=f"at position {owner.position}, this state is at 9"):
        copier.put_in_place(0, staged, 9, token=NEXT, owned=False)
    assert contents(owner.store) == before
    owner.batch()
    copier.put_in_place(0, staged, 9, token=NEXT, owned=False, force=True)


def test_an_owner_that_was_replaced_puts_nothing_in_place(owner: Owner, copier: StateCopier) -> None:
    before = contents(owner.store)
    staged = copier.stage(0, STATE)
    owner.claim("next")
    with pytest.raises(StaleOwner):
        copier.put_in_place(0, staged, owner.position + 5, token=OWNER, owned=True, force=True)
    assert contents(owner.store) == before


def test_the_same_call_again_is_done(owner: Owner, copier: StateCopier) -> None:
    staged = copier.stage(0, STATE)
    for _ in range(2):
        copier.put_in_place(0, staged, owner.position + 5, token=OWNER, owned=True)
    assert contents(owner.store)[1] == {("marks", "a"): b"1", ("marks", "b"): b"2", ("members", "1"): b"x"}


@pytest.mark.parametrize("loss", ["a field", "a hash"])
def test_a_state_of_which_something_vanished_is_not_put_in_place(
    owner: Owner, copier: StateCopier, client: Any, loss: str
) -> None:
    before = contents(owner.store)
    staged = copier.stage(0, STATE)
    key = keys().aside(staged.name, "marks")
    client.hdel(key, "a") if loss == "a field" else client.delete(key)
    with pytest.raises(StateUnavailable, match="vanished"):
        copier.put_in_place(0, staged, 900, token=OWNER, owned=True)
    assert contents(owner.store) == before


def test_what_is_set_aside_and_not_put_in_place_vanishes(owner: Owner, copier: StateCopier, client: Any) -> None:
    """A process that dies in the middle leaves nothing for long, and what it left is read by nobody."""
    before = contents(owner.store)
    copier.stage(0, STATE)
    assert {0 < client.ttl(key) <= module.KEPT_SECONDS for key in client.scan_iter("*restoring*")} == {True}
    assert contents(owner.store) == before
    owner.batch()


def test_what_cannot_be_read_to_its_end_is_discarded(owner: Owner, copier: StateCopier, client: Any) -> None:
    def broken() -> Iterator[Item]:
        yield from STATE
        raise RuntimeError("the snapshot is damaged")

    with pytest.raises(RuntimeError, match="damaged"):
        copier.stage(0, broken())
    assert list(client.scan_iter("*restoring*")) == []


def test_a_full_redis_refuses_a_state_and_stays_as_it_is(
    owner: Owner, copier: StateCopier, state_redis: StateRedis
) -> None:
    before = contents(owner.store)
    staged = copier.stage(0, STATE)
    for node in state_redis.nodes:
        node.fill()
    with pytest.raises(StateUnavailable):
        copier.put_in_place(0, staged, 900, token=OWNER, owned=True)
    with pytest.raises(StateUnavailable):
        copier.stage(0, STATE)
    assert contents(owner.store) == before


def test_a_cell_goes_through_a_copy_unchanged_whatever_its_size(
    owner: Owner, copier: StateCopier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PIECE_BYTES", 300)
    small_pieces(monkeypatch, 20)
    with started(copier) as (_, parts):
        *items, end = list(parts)
    assert isinstance(end, End)
    before = contents(owner.store)
    owner.store.drop(0)
    staged = copier.stage(0, [item for item in items if isinstance(item, Item)])
    copier.put_in_place(0, staged, end.position, token=NEXT, owned=False)
    assert contents(owner.store) == before


def test_a_copy_of_one_cell_may_become_another(owner: Owner, copier: StateCopier) -> None:
    """Of the same bundle in another Redis, say; here in another slot."""
    with started(copier) as (_, parts):
        staged = copier.stage(1, (part for part in parts if isinstance(part, Item)))
    copier.put_in_place(1, staged, owner.position, token=ONE, owned=False)
    state = copier.read(1)
    assert state is not None
    assert {(entry.kind, entry.field): entry.value for entry in state.entries} == owner.held
