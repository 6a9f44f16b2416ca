"""Alerting's state belongs to whoever holds the lease."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from consumers.alerting.grouping import Grouping, Place
from consumers.alerting.settings import Alert
from consumers.names import alert_group
from consumers.settings import Redis, Settings
from consumers.state.alerts import AlertStore, Changes, Unsent
from consumers.state.codec import CodecError
from consumers.state.store import StateUnavailable
from tests.alerting.flags import NOW, flag
from tests.alerting.notices import notification

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.state.conftest import StateRedis

pytestmark = pytest.mark.redis

NOTHING = Changes({}, {}, {}, {})


@pytest.fixture
def settings(state_redis: StateRedis) -> Settings:
    return Settings(redis=state_redis.settings.model_copy(update={"prefix": uuid.uuid4().hex}))


@pytest.fixture
def store(settings: Settings) -> Iterator[AlertStore]:
    store = AlertStore(settings, "ours")
    yield store
    store.close()


@pytest.fixture
def other(settings: Settings) -> Iterator[AlertStore]:
    store = AlertStore(settings, "theirs")
    yield store
    store.close()


@pytest.fixture
def client(state_redis: StateRedis) -> Any:
    return state_redis.client


def name_of(settings: Settings, key: str) -> str:
    return f"{settings.redis.prefix}:{{{alert_group(settings)}}}:{key}"


def test_what_is_kept_is_read_again(store: AlertStore) -> None:
    groups = Grouping(Alert())
    groups.fold(flag(1), Place("p", 1), NOW)
    unsent = Unsent(channel="hook", notification=notification(), held={"p": 1}, serial=7)
    assert store.acquire()
    assert store.keep(Changes({"p": 2}, dict(groups.campaigns), dict(groups.flags), {unsent.field: unsent}))
    kept = store.read()
    assert kept.positions == {"p": 2}
    assert kept.campaigns == list(groups.campaigns.values())
    assert kept.flags == groups.flags
    assert kept.outbox == {unsent.field: unsent}
    [key], [known] = groups.campaigns, groups.flags
    assert store.keep(Changes({}, {key: None}, {known: None}, {unsent.field: None}))
    assert store.read() == ({"p": 2}, [], {}, {})


def test_one_holds_the_lease_and_the_other_writes_nothing(store: AlertStore, other: AlertStore) -> None:
    assert store.acquire()
    assert store.acquire()
    assert not other.acquire()
    assert not other.keep(Changes({"p": 9}, {}, {}, {}))
    assert store.read().positions == {}
    store.release()
    assert other.acquire()
    assert not store.keep(NOTHING)
    store.release()
    assert other.keep(NOTHING)


def test_after_the_lease_ran_out_nothing_is_written_even_if_nobody_took_it(
    store: AlertStore, settings: Settings, client: Any
) -> None:
    assert store.acquire()
    client.delete(name_of(settings, "lease"))
    assert not store.keep(Changes({"p": 9}, {}, {}, {}))
    assert store.read().positions == {}


def test_all_keys_expire_when_nobody_alerts(store: AlertStore, settings: Settings, client: Any) -> None:
    assert store.acquire()
    assert store.keep(Changes({"p": 9}, {}, {}, {}))
    assert 0 < client.pttl(name_of(settings, "lease")) <= 1000 * settings.alert.lease_seconds
    assert client.pttl(name_of(settings, "positions")) > 29 * 86_400_000


def test_a_state_of_another_version_says_what_to_do(store: AlertStore, settings: Settings, client: Any) -> None:
    client.hset(name_of(settings, "campaigns"), "key", b"\xc1")
    with pytest.raises(CodecError, match="delete the keys"):
        store.read()


def test_a_redis_that_is_away_is_said_so() -> None:
    store = AlertStore(Settings(redis=Redis(url="redis://127.0.0.1:1/0", timeout_seconds=0.5)), "ours")
    with pytest.raises(StateUnavailable):
        store.acquire()
