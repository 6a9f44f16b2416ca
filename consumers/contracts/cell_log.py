"""Records of the cell log: encoded posts and verdicts, in the order that counts. Binary (msgpack)."""

from __future__ import annotations

from typing import Literal

import msgspec

from consumers.contracts.source import Source

VERSION = 1


class PostRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="post", omit_defaults=True):
    """An encoded post.

    Attributes:
        time: effective time in milliseconds: the post's timestamp clamped to at most a minute ahead of the encoder.
        parts: modality -> `used`, `absent` or the reason it was dropped.
        vector: the fused vector, little-endian float16; the state adds exactly this.
        actor: opaque author.
        features: small features for verification, by name.
    """

    version: int = VERSION
    post_id: str
    source: Source
    time: int
    parts: dict[str, str]
    vector: bytes
    actor: str | None = None
    surface: str | None = None
    features: dict[str, bytes] = {}


class DeadRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="dead", omit_defaults=True):
    """A post that became a dead letter; its decision is written by the cell's owner like every other."""

    version: int = VERSION
    post_id: str | None
    source: Source
    time: int
    reason: str
    step: str
    parts: dict[str, str] = {}


class VerdictRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="verdict", omit_defaults=True):
    """A verdict that has found its cell.

    Attributes:
        vector: the fused vector of the post it is about (float16), when route could read the log record.
        source: that post's source, likewise.
        asked: how many cells were asked; above one, a cell that does not know the post stays silent.
    """

    version: int = VERSION
    verdict_id: str
    decision: Literal["uphold", "overturn"]
    policy: str
    actor: str
    time: int
    post_id: str | None = None
    flag_id: str | None = None
    cluster_id: str | None = None
    cell_offset: int | None = None
    vector: bytes | None = None
    source: Source | None = None
    supersedes: str | None = None
    asked: int = 1


class EvidenceRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="evidence", omit_defaults=True):
    """Evidence near a cell's border, copied by its owner into a neighbouring cell; never copied on."""

    version: int = VERSION
    verdict_id: str
    decision: Literal["uphold", "overturn"]
    policy: str
    actor: str
    time: int
    vector: bytes
    source: Source
    post_id: str


class ContinueRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="continue"):
    """The rest of a verdict's retroactive flags or retractions: the next chunk starts at `cursor`."""

    version: int = VERSION
    verdict_id: str
    cursor: int
    time: int


class SettingsRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="settings"):
    """New settings of the fold, in force from this record on."""

    version: int = VERSION
    time: int
    settings: dict[str, float]
    policies: bytes


Record = PostRecord | DeadRecord | VerdictRecord | EvidenceRecord | ContinueRecord | SettingsRecord

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Record] = msgspec.msgpack.Decoder(Record)


def encode(record: Record) -> bytes:
    """The record in msgpack."""
    return _encoder.encode(record)


def decode(value: bytes) -> Record:
    """The record in `value`.

    Raises:
        msgspec.DecodeError: it is not a record of this version of Shoal.
    """
    return _decoder.decode(value)
