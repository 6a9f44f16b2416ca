"""Alerting's state in Redis: one process holds a lease, and writes what has changed in one guarded script call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from consumers.alerting.grouping import KnownFlag, OpenCampaign
from consumers.contracts.notification import Notification
from consumers.names import alert_group
from consumers.state.codec import CodecError
from consumers.state.store import calling, connect, disconnect, script

if TYPE_CHECKING:
    from collections.abc import Mapping

    from consumers.settings import Settings

HASHES = ("positions", "campaigns", "flags", "outbox")
SCAN_COUNT = 1_000
LEAST_KEPT_SECONDS = 30 * 86_400.0
"""The keys vanish when nobody has alerted for so long."""


class Unsent(msgspec.Struct, frozen=True, kw_only=True):
    """A notification on its way to a channel.

    Attributes:
        held: where the flags stand that it tells of.
        serial: its place in the order of all.
    """

    channel: str
    notification: Notification
    held: dict[str, int]
    serial: int

    @property
    def field(self) -> str:
        """Its name: the same notification to the same channel is one thing."""
        return f"{self.channel}:{self.notification.notification_id}"


class Kept(NamedTuple):
    """All that is kept.

    Attributes:
        positions: partition -> the next offset to read.
        campaigns, flags: as the grouping has them.
        outbox: by field.
    """

    positions: dict[str, int]
    campaigns: list[OpenCampaign]
    flags: dict[str, KnownFlag]
    outbox: dict[str, Unsent]


class Changes(NamedTuple):
    """What is to be written: a value of None takes its field away."""

    positions: Mapping[str, int | None]
    campaigns: Mapping[str, OpenCampaign | None]
    flags: Mapping[str, KnownFlag | None]
    outbox: Mapping[str, Unsent | None]


class AlertStore:
    """The keys `prefix:{alert.group}:...`; every method raises StateUnavailable when Redis does not do its part."""

    def __init__(self, settings: Settings, token: str) -> None:
        """Connects with the first call; `token` is this process's."""
        self._settings = settings.redis
        self._token = token
        self._lease_ms = int(settings.alert.lease_seconds * 1000)
        self._kept_ms = int(1000 * max(LEAST_KEPT_SECONDS, 2 * settings.alert.forget_seconds))
        stem = f"{settings.redis.prefix}:{{{alert_group(settings)}}}"
        self._lease = f"{stem}:lease"
        self._keys = [f"{stem}:{name}" for name in HASHES]
        self._connection: Any = None

    def acquire(self) -> bool:
        """Take or renew the lease; False when another process holds it."""
        return self._run("alert_acquire", [self._lease], [self._token, self._lease_ms])

    def keep(self, changes: Changes) -> bool:
        """Write what has changed and renew the lease; False, and nothing is written, when it is another's."""
        arguments: list[Any] = [self._token, self._lease_ms, self._kept_ms]
        for part in changes:
            arguments += _arguments(part)
        return self._run("alert_keep", [self._lease, *self._keys], arguments)

    def read(self) -> Kept:
        """All that is kept; nobody else writes while the lease is ours.

        Raises:
            CodecError: it was written by another version of Shoal.
        """
        positions, campaigns, flags, outbox = (self._hash(key) for key in self._keys)
        try:
            return Kept(
                {name: int(value) for name, value in positions.items()},
                [msgspec.msgpack.decode(value, type=OpenCampaign) for value in campaigns.values()],
                {name: msgspec.msgpack.decode(value, type=KnownFlag) for name, value in flags.items()},
                {name: msgspec.msgpack.decode(value, type=Unsent) for name, value in outbox.items()},
            )
        except (msgspec.DecodeError, ValueError) as error:
            raise CodecError(
                f"alerting's state in Redis cannot be read ({error}); run the Shoal that wrote it, or delete the "
                f"keys {self._keys[0].rpartition(':')[0]}:*: open digests are then told as new campaigns"
            ) from error

    def release(self) -> None:
        """Give the lease back, so that another process need not wait for its end."""
        self._run("alert_release", [self._lease], [self._token])

    def close(self) -> None:
        """Close the connections."""
        if self._connection is not None:
            disconnect(self._connection, self._settings)

    def _run(self, name: str, keys: list[str], arguments: list[Any]) -> bool:
        """Run a script that gives 1 or 0."""
        with calling(name):
            return bool(self._client().eval(script(name), len(keys), *keys, *arguments))

    def _hash(self, key: str) -> dict[str, bytes]:
        with calling("alert_read"):
            return {name.decode(): value for name, value in self._client().hscan_iter(key, count=SCAN_COUNT)}

    def _client(self) -> Any:
        if self._connection is None:
            self._connection = connect(self._settings)
        return self._connection


def _arguments(part: Mapping[str, Any]) -> list[Any]:
    """Of one hash: how many fields are set, fields and values, how many are deleted, fields."""
    given = {name: value for name, value in part.items() if value is not None}
    gone = [name for name, value in part.items() if value is None]
    flat: list[Any] = [len(given)]
    for name, value in given.items():
        flat += [name, value if isinstance(value, int) else msgspec.msgpack.encode(value)]
    return [*flat, len(gone), *gone]
