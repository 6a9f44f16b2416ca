"""The places where the state may be: every redis-server that this machine has, and a real cluster."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import redis

from consumers.embedded import redis_executable as redis_executable_of_the_demo
from consumers.settings import Redis
from tests.conftest import lacks
from tests.redis_servers import RedisServer, own_redis, redis_cluster, system_redis
from tests.servers import Missing

if TYPE_CHECKING:
    from collections.abc import Iterator


class StateRedis:
    """A Redis for the state, and what tests do to it behind the store's back.

    Attributes:
        nodes: the servers that hold keys: one, or a cluster's primaries.
        client: reaches every key.
    """

    def __init__(self, nodes: list[RedisServer]) -> None:
        self.nodes = nodes
        self.settings = Redis(url=nodes[0].url, cluster=len(nodes) > 1, timeout_seconds=2.0)
        kind = redis.RedisCluster if self.settings.cluster else redis.Redis
        self.client: Any = kind.from_url(self.settings.url)


@contextmanager
def started(where: str) -> Iterator[StateRedis]:
    """One of the places by its name."""
    if where == "cluster":
        with redis_cluster(3) as cluster:
            yield StateRedis(cluster.primaries)
        return
    executable = system_redis() if where == "system" else redis_executable_of_the_demo()
    with own_redis(executable=executable) as server:
        yield StateRedis([server])


@pytest.fixture(scope="session", params=["system", "embedded", "cluster"])
def _state_redis(request: pytest.FixtureRequest) -> Iterator[StateRedis]:
    try:
        place = started(request.param)
        found = place.__enter__()
    except Missing as missing:
        lacks(str(missing))
    yield found
    found.client.close()
    place.__exit__(None, None, None)


@pytest.fixture
def state_redis(_state_redis: StateRedis) -> Iterator[StateRedis]:
    """A Redis that holds nothing."""
    for node in _state_redis.nodes:
        node.client.flushall()
    yield _state_redis
    for node in _state_redis.nodes:
        node.empty()
