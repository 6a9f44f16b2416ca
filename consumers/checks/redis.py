"""Is Redis as the state needs it?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import redis
from redis.exceptions import RedisClusterException

from consumers.checks.findings import PATIENCE_SECONDS, Finding

if TYPE_CHECKING:
    from consumers.settings import Settings

LEAST_REDIS = (6, 2)


def check_redis(settings: Settings) -> list[Finding]:
    """That Redis answers, is new enough, takes writes, never evicts keys, and whether it keeps them over a restart.

    Of a cluster every primary is asked; what they have in common is said once.
    """
    url = _without_password(settings.redis.url)
    cluster = settings.redis.cluster
    kind = redis.RedisCluster if cluster else redis.Redis
    timeout = min(settings.redis.timeout_seconds, PATIENCE_SECONDS)
    try:
        client: Any = kind.from_url(
            settings.redis.url,
            username=settings.redis.username,
            password=settings.redis.password,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
        )
        found: list[Finding] = []
        for where, server in _servers(client, url, cluster=cluster):
            info = server.info()
            found += [_check_server(where, info, cluster=cluster), _check_eviction(info)]
            found.append(_check_persistence(info, _saves(server)))
        client.close()
    except (redis.RedisError, RedisClusterException, OSError, ValueError) as error:
        return [Finding("redis", "bad", f"{url}: {_line(error)}", "start Redis or set SHOAL_REDIS__URL")]
    return list(dict.fromkeys(found))


def _servers(client: Any, url: str, *, cluster: bool) -> list[tuple[str, Any]]:
    """The server, or the primaries of a cluster; each with its address."""
    if not cluster:
        return [(url, client)]
    return [(node.name, client.get_redis_connection(node)) for node in client.get_primaries()]


def _check_server(where: str, info: dict[str, Any], *, cluster: bool) -> Finding:
    version = str(info.get("redis_version", "0"))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < LEAST_REDIS:
        return Finding("redis", "bad", f"{where}: version {version}", "Shoal needs Redis 6.2 or newer, or Valkey")
    if info.get("cluster_enabled") and not cluster:
        return Finding("redis", "bad", f"{where}: a node of a cluster", "set redis.cluster to true")
    if info.get("role") == "slave":
        return Finding("redis", "bad", f"{where}: a replica, which refuses writes", "set redis.url to the primary")
    return Finding("redis", "good", f"{where}: version {version}")


def _check_eviction(info: dict[str, Any]) -> Finding:
    policy = str(info.get("maxmemory_policy", "unknown"))
    if policy == "noeviction":
        return Finding("redis eviction", "good", "maxmemory-policy noeviction")
    return Finding(
        "redis eviction", "bad", f"maxmemory-policy {policy}: keys of the state could vanish", "set it to noeviction"
    )


def _check_persistence(info: dict[str, Any], saves: str | None) -> Finding:
    subject, remedy = "redis persistence", "set appendonly yes"
    if info.get("aof_enabled"):
        return Finding(subject, "good", "append-only file")
    if saves:
        return Finding(subject, "hint", "snapshots only: what a crash loses is folded again from the log", remedy)
    if saves is None:
        return Finding(subject, "hint", "unknown: the server does not tell", "make sure it is persistent")
    return Finding(subject, "hint", "none: after a restart every cell is folded again from its log", remedy)


def _saves(client: Any) -> str | None:
    """The snapshot schedule; None where CONFIG is forbidden, as on many hosted servers."""
    try:
        answer = client.config_get("save")
    except redis.RedisError:
        return None
    return str(answer.get("save", "")) if isinstance(answer, dict) else None


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
