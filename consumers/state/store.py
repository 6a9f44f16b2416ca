"""The cells' state in Redis: one owner a cell, one guarded script call a batch."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException
from redis.retry import Retry

from consumers.metrics import REDIS
from consumers.state.codec import VERSION, Entry
from consumers.state.keys import KINDS, CellKeys
from consumers.state.read_ahead import read_ahead

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from consumers.settings import Redis
    from consumers.state.codec import Kind, StateChanges

LARGE: tuple[Kind, ...] = ("members", "clusters")

SCAN_BYTES = 8 * 2**20
SCAN_COUNTS = (500, 20_000)
"""A large hash is read in pieces of about so many bytes, and of so many fields at least and at most: a reply that
takes half a second to come must not come too often."""


class StateUnavailable(RuntimeError):  # noqa: N818  # a state of the world more than a mistake
    """Redis is unreachable, out of memory, read-only or slow; the message says which. Nothing is lost: try again.

    A write may have happened all the same; repeating it with the same arguments is safe.
    """


class StaleOwner(RuntimeError):  # noqa: N818  # it tells who is asking, not what went wrong
    """The token or the position in Redis is not the expected one, and nothing was changed: the cell is another's."""


class StateVersionError(RuntimeError):
    """The state was written by a version of Shoal that this one cannot read; the message says what to do."""


@dataclass(frozen=True, slots=True)
class StoredOutputs:
    """The outputs of one batch, kept until they are known to be committed.

    Attributes:
        start, end: positions before and after the batch.
        data: opaque to the store.
    """

    start: int
    end: int
    data: bytes


@dataclass(frozen=True, slots=True)
class StoredState:
    """A cell as Redis holds it.

    Attributes:
        position: offset after the last record folded.
        outputs: of batches not yet known to be committed, ascending.
        clusters: how many there are.
        entries: everything else, read from Redis in pieces while it is iterated (once); feed it to Fold.restore.
            Iterating raises StateUnavailable, and StaleOwner where `read` was given a token.
    """

    position: int
    outputs: list[StoredOutputs]
    clusters: int
    entries: Iterator[Entry]


class StateStore:
    """Reads and writes the state of a bundle's cells. After its first call it may be used from several threads.

    Every attempt at a call ends within settings.redis.timeout_seconds, and a call is tried twice when the connection
    breaks.
    """

    def __init__(self, settings: Redis, bundle: str, cells: int) -> None:
        """Connects with the first call. `bundle` is the bundle's id, `cells` the number of its cells."""
        self._settings = settings
        self._bundle = bundle
        self.cells = cells
        self._connection: Any = None

    def claim(self, cell: int, token: str) -> None:
        """Make `token` the cell's owner: every write with another token is refused from now on.

        Raises:
            StateUnavailable: Redis does not take writes. StateVersionError: the state is of another version.
        """
        answer = self._run("claim", [self._keys(cell).meta, self._keys(cell).copying], [token, str(VERSION)])
        if answer[0] != b"claimed":
            raise other_version(cell, answer[1])

    def read(self, cell: int, token: str | None = None) -> StoredState | None:
        """The cell's state, or None when Redis holds none.

        Args:
            token: that has claimed the cell, so that nobody writes meanwhile. Then what is read is whole, or an error
                says that it is not: a Redis that fails over, or moves the cell to another node, numbers the fields
                of a hash anew, and a reader that goes on with the next piece would miss some without a word.

        Raises:
            StateUnavailable, StateVersionError. StaleOwner: the cell is not the token's, here or at the end of the
                entries.
        """
        keys = self._keys(cell)
        meta, flat, sizes = self._run("read", [keys.meta, keys.outputs, *map(keys.of, KINDS)], [])
        version, held, position = meta
        if version is not None and int(version) != VERSION:
            raise other_version(cell, version)
        if token is not None and held != token.encode():
            raise StaleOwner(f"cell {cell}: claimed, and Redis has token {_shown(held)}: it has lost the claim")
        if position is None:
            return None
        stored = zip(flat[::2], flat[1::2], strict=True)
        outputs = sorted((_outputs(int(end), value) for end, value in stored), key=lambda found: found.end)
        if token is None:
            entries = self._all_entries(cell)
        else:
            entries = itertools.chain.from_iterable(read_ahead(self._whole(cell, token, int(position), sizes)))
        return StoredState(int(position), outputs, int(sizes[KINDS.index("clusters")]), entries)

    def confirm(self, cell: int, token: str, position: int) -> None:
        """Make sure that the cell still is the token's, at this position.

        Raises:
            StaleOwner, StateUnavailable.
        """
        with calling("confirm"):
            held, at = self._client().hmget(self._keys(cell).meta, ["token", "position"])
        if held != token.encode() or at != str(position).encode():
            raise StaleOwner(
                f"cell {cell}: Redis has token {_shown(held)} and position {_shown(at)}; it was left at {position}"
            )

    def write(  # the order of the protocol: who, from where, to where, what
        self,
        cell: int,
        token: str,
        expected: int | None,
        position: int,
        changes: StateChanges,
        outputs: bytes,
        *,
        committed: int | None = None,
    ) -> Literal["written", "done"]:
        """Apply one batch: changes, outputs and the new position, all or nothing.

        Args:
            expected: the position before the batch; None for a cell that has none yet.
            position: the position after it.
            outputs: stored under (expected, position); empty bytes store nothing. The first write of a cell has none.
            committed: stored outputs of batches that end here or before are dropped. Left out, it is `expected`:
                whoever writes the next batch has committed the last one.

        Returns:
            `done` when this very batch had been written before (the reply was lost), else `written`.

        Raises:
            StaleOwner: token or position do not match. StateUnavailable: Redis does not take writes.
            ValueError: outputs of no batch.
        """
        if expected is None and outputs:
            raise ValueError("the first write of a cell has no batch before it, so no outputs")
        keys = self._keys(cell)
        known = expected if committed is None else committed
        names = [keys.meta, keys.outputs, keys.copying]
        arguments: list[str | bytes | int] = [token, _text(expected), position, _text(known), outputs]
        for kind in KINDS:
            fields, gone = changes.sets.get(kind, {}), changes.deletes.get(kind, set())
            if fields or gone:
                names.append(keys.of(kind))
                arguments.append(len(fields))
                arguments += itertools.chain.from_iterable(fields.items())
                arguments += (len(gone), *sorted(gone))
        answer = self._run("write", names, arguments)
        if answer[0] == b"stale":
            raise stale(cell, expected, position, answer)
        return "done" if answer[0] == b"done" else "written"

    def forget_outputs(self, cell: int, token: str, committed: int) -> None:
        """Drop stored outputs of batches that end at `committed` or before.

        Raises:
            StaleOwner, StateUnavailable.
        """
        keys = self._keys(cell)
        answer = self._run("forget", [keys.meta, keys.outputs], [token, committed])
        if answer[0] == b"stale":
            raise stale(cell, None, committed, answer)

    def entries(self, cell: int, kind: Kind) -> Iterator[Entry]:
        """All entries of a kind, read in pieces; one may come twice.

        Raises:
            StateUnavailable.
        """
        return itertools.chain.from_iterable(self._pieces(cell, kind))

    def some_entries(self, cell: int, kind: Kind, fields: Sequence[str]) -> list[Entry]:
        """The entries with these fields, as far as they exist.

        Raises:
            StateUnavailable.
        """
        if not fields:
            return []
        with calling("get"):
            values = self._client().hmget(self._keys(cell).of(kind), list(fields))
        return [Entry(kind, name, value) for name, value in zip(fields, values, strict=True) if value is not None]

    def drop(self, cell: int) -> None:
        """Forget everything about a cell, its owner too: the owner's next write is refused.

        Raises:
            StateUnavailable.
        """
        keys = self._keys(cell)
        with calling("drop"):
            self._client().unlink(keys.meta, keys.outputs, keys.copying, *map(keys.of, KINDS))

    def sizes(self, cell: int) -> dict[str, tuple[int, int]]:
        """Fields and bytes of memory of each hash of a cell: of every kind, and of the stored outputs.

        Raises:
            StateUnavailable.
        """
        keys = self._keys(cell)
        with calling("sizes"):
            client = self._client()
            return {
                name: (int(client.hlen(key)), int(client.memory_usage(key) or 0))
                for name, key in [*((kind, keys.of(kind)) for kind in KINDS), ("outputs", keys.outputs)]
            }

    def close(self) -> None:
        """Close the connections."""
        if self._connection is None:
            return
        disconnect(self._connection, self._settings)

    def _pieces(self, cell: int, kind: Kind) -> Iterator[list[Entry]]:
        key, cursor, count = self._keys(cell).of(kind), 0, SCAN_COUNTS[0]
        while True:
            with calling("scan"):
                cursor, found = self._client().hscan(key, cursor, count=count)
            yield [Entry(kind, name.decode(), value) for name, value in found.items()]
            if cursor == 0:
                return
            count = next_count(found.values(), SCAN_BYTES)

    def _all_entries(self, cell: int) -> Iterator[Entry]:
        return itertools.chain.from_iterable(self.entries(cell, kind) for kind in KINDS)

    def _whole(self, cell: int, token: str, position: int, sizes: Sequence[int]) -> Iterator[list[Entry]]:
        """All entries, each once, and the assurance that these are all; the large kinds last."""
        for kind, size in sorted(zip(KINDS, sizes, strict=True), key=lambda found: found[0] in LARGE):
            seen: set[str] = set()
            for piece in self._pieces(cell, kind):
                fresh = [entry for entry in piece if entry.field not in seen]
                seen.update(entry.field for entry in fresh)
                yield fresh
            if len(seen) != size:
                raise StaleOwner(f"cell {cell}: Redis changed while {kind} were read: {len(seen)} of {size}")
        self.confirm(cell, token, position)

    def _keys(self, cell: int) -> CellKeys:
        return CellKeys(self._settings, self._bundle, self.cells, cell)

    def _run(self, name: str, keys: list[str], arguments: list[Any]) -> list[Any]:
        """Run a script. Its text goes along each time: no server has to have seen it before, be it new or flushed."""
        with calling(name):
            answer: list[Any] = self._client().eval(script(name), len(keys), *keys, *arguments)
            return answer

    def _client(self) -> Any:
        if self._connection is None:
            self._connection = connect(self._settings)
        return self._connection


def connect(settings: Redis) -> Any:
    """A client of the server or the cluster; a call is tried twice when the connection breaks."""
    kind = redis.RedisCluster if settings.cluster else redis.Redis
    timeout = settings.timeout_seconds
    return kind.from_url(
        settings.url,
        username=settings.username,
        password=settings.password,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 1),
    )


def disconnect(connection: Any, settings: Redis) -> None:
    """Close a client's connections."""
    if settings.cluster:
        connection.disconnect_connection_pools()
    connection.close()


@contextmanager
def calling(name: str) -> Iterator[None]:
    """Time a call, and turn what Redis and the network may say into StateUnavailable."""
    try:
        with REDIS.labels(name).time():
            yield
    except (redis.RedisError, RedisClusterException, OSError) as error:
        cause = " ".join(str(error).split()) or type(error).__name__
        raise StateUnavailable(f"redis: {name}: {cause}") from error


def next_count(values: Collection[bytes], size_bytes: int) -> int:
    """How many fields to ask for next so that about `size_bytes` come, when these came last."""
    size = sum(map(len, values)) // max(len(values), 1)
    return min(max(size_bytes // max(size, 1), SCAN_COUNTS[0]), SCAN_COUNTS[1])


@cache
def script(name: str) -> str:
    """The text of a script."""
    return resources.files("consumers.state").joinpath(f"scripts/{name}.lua").read_text()


def _shown(held: bytes | None) -> str:
    return "none" if held is None else held.decode(errors="replace")


def _text(position: int | None) -> str:
    return "" if position is None else str(position)


def _outputs(end: int, value: bytes) -> StoredOutputs:
    start, _, data = value.partition(b":")
    return StoredOutputs(int(start), end, data)


def stale(cell: int, expected: int | None, position: int, answer: Sequence[bytes]) -> StaleOwner:
    """The error of a script that found another token or position."""
    token, at = answer[1].decode(errors="replace") or "none", answer[2].decode() or "none"
    return StaleOwner(
        f"cell {cell}: Redis has token {token} and position {at}; refused a write from {expected} to {position}"
    )


def other_version(cell: int, version: bytes) -> StateVersionError:
    """The error about a state of another version."""
    return StateVersionError(
        f"cell {cell}: its state in Redis has version {version.decode(errors='replace')}, this Shoal reads "
        f"{VERSION}; run the Shoal that wrote it, or set redis.prefix to begin anew"
    )
