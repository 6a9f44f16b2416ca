"""Is Redis as the state needs it?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import redis

from consumers.findings import PATIENCE_SECONDS, Finding

if TYPE_CHECKING:
    from consumers.settings import Settings

LEAST_REDIS = (6, 2)


def check_redis(settings: Settings) -> list[Finding]:
    """That Redis answers, is new enough, never evicts keys, and whether it keeps them over a restart."""
    url = _without_password(settings.redis.url)
    kind = redis.RedisCluster if settings.redis.cluster else redis.Redis
    timeout = min(settings.redis.timeout_seconds, PATIENCE_SECONDS)
    try:
        client: Any = kind.from_url(settings.redis.url, socket_timeout=timeout, socket_connect_timeout=timeout)
        info = client.info(target_nodes=redis.RedisCluster.RANDOM) if settings.redis.cluster else client.info()
        saves = _saves(client)
        client.close()
    except (redis.RedisError, OSError, ValueError) as error:
        return [Finding("redis", "bad", f"{url}: {_line(error)}", "start Redis or set SHOAL_REDIS__URL")]
    return [*_check_version(url, info), _check_eviction(info), _check_persistence(info, saves)]


def _check_version(url: str, info: dict[str, Any]) -> list[Finding]:
    version = str(info.get("redis_version", "0"))
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < LEAST_REDIS:
        return [Finding("redis", "bad", f"{url}: version {version}", "Shoal needs Redis 6.2 or newer, or Valkey")]
    return [Finding("redis", "good", f"{url}: version {version}")]


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
