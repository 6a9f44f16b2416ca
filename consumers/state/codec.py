"""What the hashes of a cell hold: one msgpack value a field, and the changes of a batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar, cast, get_args

import msgspec
import numpy as np

from consumers.contracts.fold_settings import FoldSettings
from consumers.contracts.source import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

VERSION = 4
"""Version of the layout and of the values; a state of another version is refused."""

Kind = Literal[
    "clusters", "members", "evidence", "labels", "marks", "redirects", "rivals", "verdicts", "clock",
    "settings", "flagged", "waiting", "missing", "unfinished", "erased",
]  # fmt: skip


class CodecError(ValueError):
    """A value in Redis that cannot be read; the message names the hash and the field."""


class Entry(NamedTuple):
    """One field of one hash of a cell."""

    kind: Kind
    field: str
    value: bytes


@dataclass(slots=True)
class StateChanges:
    """What a batch changed: for each hash, fields to set and fields to delete. No field is in both."""

    sets: dict[Kind, dict[str, bytes]] = field(default_factory=dict)
    deletes: dict[Kind, set[str]] = field(default_factory=dict)

    def set(self, kind: Kind, name: str, value: bytes) -> None:
        """Set a field; the last word about a field counts."""
        self.sets.setdefault(kind, {})[name] = value
        if gone := self.deletes.get(kind):
            gone.discard(name)

    def delete(self, kind: Kind, name: str) -> None:
        """Delete a field, whether it exists or not."""
        self.deletes.setdefault(kind, set()).add(name)
        self.sets.get(kind, {}).pop(name, None)


class ClusterValue(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A micro-cluster, in `clusters` under the log offset that opened it.

    Attributes:
        weight, squares, sums, time: the cluster feature (w, q, LS, t); sums is little-endian float32, or float16
            when `half`: `pack_sums` and `sums_of`.
        count: posts that ever joined.
        opened: effective time of the record that opened it, in milliseconds.
        seen: clock when the last post joined.
        members: log offsets of the recent members kept, oldest first.
    """

    weight: float
    squares: float
    sums: bytes
    time: int
    count: int
    opened: int
    seen: int
    members: tuple[int, ...]
    half: bool = False


class MemberValue(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A recent member, in `members` under its log offset.

    Attributes:
        time: effective time, in milliseconds.
        clock: the cell's clock when it joined.
        vector: the fused vector, little-endian float16.
        features: for verification, by modality.
    """

    post_id: str
    source: Source
    time: int
    clock: int
    vector: bytes
    features: dict[str, bytes] = {}


class FlaggedValue(msgspec.Struct, frozen=True, array_like=True):
    """A flagged post that may still be retracted, in `flagged` under its log offset.

    Attributes:
        policies: policy -> log offset of the cluster whose label flags it.
        followed: the policies under which a trail gave the flag (models.trails).
    """

    post_id: str
    source: Source
    time: int
    vector: bytes
    policies: dict[str, int]
    features: dict[str, bytes] = {}
    followed: tuple[str, ...] = ()


class WaitingValue(msgspec.Struct, frozen=True, array_like=True):
    """A verdict on a post not known yet, in `waiting` under its verdict_id.

    Attributes:
        offset: log offset of the verdict.
        until: the clock at which it is given up.
        record: the verdict's record, as in the log.
    """

    offset: int
    until: int
    record: bytes


class MissingValue(msgspec.Struct, frozen=True, array_like=True):
    """A verdict that some cells have given up, in `missing` under its verdict_id.

    Attributes:
        offset: log offset of the first report.
        cells: which cells have reported.
        record: the verdict's record, as in the log.
    """

    offset: int
    cells: tuple[int, ...]
    record: bytes


class SettingsValue(msgspec.Struct, frozen=True, array_like=True):
    """The settings in force, in `settings` under `settings`.

    Attributes:
        offset: log offset of the record that put them in force; -1 while they are those the cell began with.
    """

    offset: int
    settings: FoldSettings


class UnfinishedValue(msgspec.Struct, frozen=True, array_like=True):
    """What a verdict still has to reach, in `unfinished` under the name of its cause.

    Attributes:
        policies: whose labels changed.
        clusters: whose members are looked at.
        before: log offset of the cause: only posts before it are looked at.
        cursor: log offset of the last post looked at.
        adds: whether it can only give flags, and take none back.
    """

    policies: tuple[str, ...]
    clusters: tuple[int, ...]
    before: int
    cursor: int
    adds: bool = False


class ErasedValue(msgspec.Struct, frozen=True, array_like=True):
    """That a post was erased, in `erased` under the id of the erasure: it says nothing of the post.

    Attributes:
        offset: log offset of the record.
        entries: how many held the post.
    """

    offset: int
    entries: int


class EvidenceValue(msgspec.Struct, frozen=True, array_like=True):
    """A verdict that counts, in `evidence` under its verdict_id.

    Attributes:
        cluster: log offset that opened the cluster it counts for.
        post: `topic id:partition:offset` of the post, or the cluster's id when the verdict is about the cluster.
        offset: log offset of the verdict.
    """

    cluster: int
    policy: str
    actor: str
    upheld: bool
    post: str
    post_id: str
    offset: int
    time: int
    vector: bytes
    features: dict[str, bytes] = {}


class LabelValue(msgspec.Struct, frozen=True, array_like=True):
    """What the evidence makes of a cluster under one policy, in `labels` under `cluster:policy`.

    Attributes:
        flags: posts that matched it so far.
    """

    state: Literal["none", "violating", "disputed", "benign"]
    bound: float
    upheld: int
    overturned: int
    flags: int = 0


Value = (
    ClusterValue | MemberValue | FlaggedValue | WaitingValue | MissingValue | UnfinishedValue | SettingsValue
    | ErasedValue | EvidenceValue | LabelValue | int
)  # fmt: skip
T = TypeVar(
    "T", ClusterValue, MemberValue, FlaggedValue, WaitingValue, MissingValue, UnfinishedValue, SettingsValue,
    ErasedValue, EvidenceValue, LabelValue, int,
)  # fmt: skip

_encoder = msgspec.msgpack.Encoder()
_decoders: dict[type, msgspec.msgpack.Decoder[object]] = {
    kind: msgspec.msgpack.Decoder(kind) for kind in get_args(Value)
}


def pack_sums(sums: NDArray[np.float32], count: int) -> tuple[bytes, bool]:
    """A cluster's sums as bytes, and whether they are float16: where a lone post is a sum, that holds it exactly."""
    if count == 1:
        half = sums.astype("<f2")
        if np.array_equal(half, sums):
            return half.tobytes(), True
    return sums.astype("<f4", copy=False).tobytes(), False


def sums_of(value: ClusterValue) -> NDArray[np.float32]:
    """A cluster's sums: float32, as the owner has them."""
    return np.frombuffer(value.sums, dtype="<f2" if value.half else "<f4").astype(np.float32)


def sums_of_many(values: Sequence[ClusterValue], size: int) -> NDArray[np.float32]:
    """The sums of clusters, float32 (n, size).

    Raises:
        ValueError: one is of another size.
    """
    found = np.empty((len(values), size), dtype=np.float32)
    for half, width in ((True, 2), (False, 4)):
        rows = [row for row, value in enumerate(values) if value.half == half]
        if any(len(values[row].sums) != width * size for row in rows):
            raise ValueError(f"a sum has not {size} numbers")
        joined = b"".join([values[row].sums for row in rows])
        part: slice | list[int] = slice(None) if len(rows) == len(values) else rows
        found[part] = np.frombuffer(joined, dtype=f"<f{width}").reshape(-1, size)
    return found


def encode(value: Value) -> bytes:
    """The value in msgpack."""
    return _encoder.encode(value)


def decode(kind: type[T], entry: Entry) -> T:
    """The value of an entry.

    Raises:
        CodecError: it is something else.
    """
    try:
        value = _decoders[kind].decode(entry.value)
    except msgspec.DecodeError as error:
        raise damaged(entry, str(error)) from error
    assert isinstance(value, kind)  # noqa: S101  # the decoder is this kind's
    return value


def decode_many(kind: type[T], entries: Sequence[Entry]) -> list[T]:
    """The values of entries, which are all of one kind; several times as fast as one by one.

    Raises:
        CodecError: one is something else.
    """
    read = cast("Callable[[bytes], T]", _decoders[kind].decode)
    try:
        return [read(entry.value) for entry in entries]
    except msgspec.DecodeError:
        return [decode(kind, entry) for entry in entries]  # it tells which


def damaged(entry: Entry, what: str) -> CodecError:
    """The error about an entry that cannot be used."""
    return CodecError(f"the state in Redis is damaged: {entry.kind} {entry.field}: {what}")
