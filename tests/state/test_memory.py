"""How full Redis is comes from the server itself, of a cluster from every primary."""

from __future__ import annotations

import pytest
import redis
from prometheus_client import REGISTRY

from consumers.metrics import REDIS_MEMORY, REDIS_MEMORY_LIMIT
from consumers.settings import Redis
from consumers.state.memory import RedisMemory, publish_memory
from tests.redis_servers import own_redis, redis_cluster, wait_until


@pytest.fixture(autouse=True)
def _nothing_known() -> None:
    for gauge in (REDIS_MEMORY, REDIS_MEMORY_LIMIT):
        gauge.clear()


def memory(server: str = "redis") -> float | None:
    return REGISTRY.get_sample_value("shoal_redis_memory_bytes", {"server": server})


def limit(server: str = "redis") -> float | None:
    return REGISTRY.get_sample_value("shoal_redis_memory_limit_bytes", {"server": server})


def test_memory_and_its_limit_are_told() -> None:
    with own_redis("--maxmemory", "64mb") as server:
        publish_memory(Redis(url=server.url))
        assert (memory() or 0) > 100_000
        assert limit() == 64 * 2**20


def test_of_a_cluster_every_primary_is_told() -> None:
    with redis_cluster(primaries=3) as cluster:
        publish_memory(Redis(url=cluster.url, cluster=True))
        names = {f"127.0.0.1:{node.port}" for node in cluster.primaries}
        assert all((memory(name) or 0) > 100_000 and limit(name) == 0 for name in names)


def test_a_redis_that_is_away_leaves_what_was_known() -> None:
    with own_redis() as server:
        settings = Redis(url=server.url, timeout_seconds=1.0)
        publish_memory(settings)
        server.kill()
        before = memory()
        with pytest.raises(redis.RedisError):
            publish_memory(settings)
        assert memory() == before
        server.start()


def test_it_is_asked_in_the_background_until_it_is_closed() -> None:
    with own_redis() as server:
        asking = RedisMemory(Redis(url=server.url))
        wait_until(lambda: memory() is not None)
        asking.close()
        assert not asking._thread.is_alive()
