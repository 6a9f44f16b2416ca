"""How full the Redis of the cells is: full, it takes no writes, and every cell waits."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import redis
import structlog
from redis.exceptions import RedisClusterException

from consumers.metrics import REDIS_MEMORY, REDIS_MEMORY_LIMIT

if TYPE_CHECKING:
    from consumers.settings import Redis

EVERY_SECONDS = 15.0
CLOSE_SECONDS = 5.0

log = structlog.get_logger()


class RedisMemory:
    """Asks the server, or every primary of a cluster, now and then; a thread of its own, so no cell waits."""

    def __init__(self, settings: Redis) -> None:
        self._settings = settings
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="redis-memory", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ask no more."""
        self._stop.set()
        self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                publish_memory(self._settings)
            except (redis.RedisError, RedisClusterException, OSError) as error:
                log.debug("Redis does not tell its memory", error=str(error))
            self._stop.wait(EVERY_SECONDS)


def publish_memory(settings: Redis) -> None:
    """Set the gauges; a server that is gone from a cluster goes from them.

    Raises:
        redis.RedisError, RedisClusterException, OSError: Redis is away; the gauges keep what was last known.
    """
    kind: Any = redis.RedisCluster if settings.cluster else redis.Redis
    timeout = settings.timeout_seconds
    client = kind.from_url(settings.url, socket_timeout=timeout, socket_connect_timeout=timeout)
    try:
        asked = {"target_nodes": kind.PRIMARIES} if settings.cluster else {}
        answer = client.info("memory", **asked)
    finally:
        client.close()
    servers = answer if settings.cluster and "used_memory" not in answer else {"redis": answer}
    for gauge, key in ((REDIS_MEMORY, "used_memory"), (REDIS_MEMORY_LIMIT, "maxmemory")):
        gauge.clear()
        for server, info in servers.items():
            gauge.labels(server).set(info[key])
