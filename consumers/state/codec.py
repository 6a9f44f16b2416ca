"""What the hashes of a cell hold: one msgpack value a field, and the changes of a batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeVar

import msgspec

from consumers.contracts.source import Source

VERSION = 1
"""Version of the layout and of the values; a state of another version is refused."""

Kind = Literal["clusters", "members", "evidence", "labels", "marks", "redirects", "rivals", "verdicts", "clock"]


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
        self.deletes.get(kind, set()).discard(name)

    def delete(self, kind: Kind, name: str) -> None:
        """Delete a field, whether it exists or not."""
        self.deletes.setdefault(kind, set()).add(name)
        self.sets.get(kind, {}).pop(name, None)


class ClusterValue(msgspec.Struct, frozen=True, array_like=True):
    """A micro-cluster, in `clusters` under the log offset that opened it.

    Attributes:
        weight, squares, sums, time: the cluster feature (w, q, LS, t); sums is little-endian float32.
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


class MemberValue(msgspec.Struct, frozen=True, array_like=True):
    """A recent member, in `members` under its log offset.

    Attributes:
        vector: the fused vector, little-endian float16.
        policies: the policies it was flagged under.
    """

    post_id: str
    source: Source
    time: int
    vector: bytes
    policies: tuple[str, ...] = ()


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


class LabelValue(msgspec.Struct, frozen=True, array_like=True):
    """What the evidence makes of a cluster under one policy, in `labels` under `cluster:policy`."""

    state: Literal["none", "violating", "disputed", "benign"]
    bound: float
    upheld: int
    overturned: int


T = TypeVar("T", ClusterValue, MemberValue, EvidenceValue, LabelValue, int)

_encoder = msgspec.msgpack.Encoder()
_decoders: dict[type, msgspec.msgpack.Decoder[object]] = {
    kind: msgspec.msgpack.Decoder(kind) for kind in (ClusterValue, MemberValue, EvidenceValue, LabelValue, int)
}


def encode(value: ClusterValue | MemberValue | EvidenceValue | LabelValue | int) -> bytes:
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


def damaged(entry: Entry, what: str) -> CodecError:
    """The error about an entry that cannot be used."""
    return CodecError(f"the state in Redis is damaged: {entry.kind} {entry.field}: {what}")
