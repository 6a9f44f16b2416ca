"""Records of the cell log: encoded posts and verdicts, in the order that counts. Binary (msgpack)."""

from __future__ import annotations

from typing import Literal

import msgspec

from consumers.contracts.fold_settings import FoldSettings
from consumers.contracts.source import Source

VERSION = 1


class PostRecord(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="post", omit_defaults=True, gc=False
):
    """An encoded post.

    Attributes:
        time: effective time in milliseconds: the post's timestamp clamped to at most a minute ahead of the encoder.
        parts: modality -> `used`, `absent` or the reason it was dropped.
        vector: the fused vector, little-endian float16; the state adds exactly this.
        actor: opaque author.
        features: small features for verification, by modality (models/verification.py).
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
        features: of that post, likewise.
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
    features: dict[str, bytes] = {}


class EvidenceRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="evidence", omit_defaults=True):
    """A verdict that another cell has counted, for this one: its post lies near the border. Never copied on.

    Attributes:
        post: what it is about, as in the evidence of the other cell.
        post_id: for people.
        vector: the fused vector of the post, or the centroid of the cluster that it is about (float16).
        features: of the post, for verification.
    """

    version: int = VERSION
    verdict_id: str
    decision: Literal["uphold", "overturn"]
    policy: str
    actor: str
    time: int
    post: str
    post_id: str
    vector: bytes
    supersedes: str | None = None
    features: dict[str, bytes] = {}


class MissingRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="missing"):
    """A cell has given up waiting for the post of a verdict that every cell was asked about."""

    version: int = VERSION
    cell: int
    verdict: VerdictRecord
    time: int


class ContinueRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="continue"):
    """The rest of what a verdict reaches: the posts after `cursor`.

    Attributes:
        cause: the verdict_id, or the name of the settings record.
        cursor: log offset of the last post looked at.
        time: effective time of the cause.
    """

    version: int = VERSION
    cause: str
    cursor: int
    time: int


class SettingsRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="settings", omit_defaults=True):
    """New settings of the fold, in force from this record on.

    Attributes:
        first: written by a cell's first owner; it says what the cell began with, and changes nothing.
        actor: who changed them.
    """

    version: int = VERSION
    time: int
    settings: FoldSettings
    first: bool = False
    actor: str = ""


class EraseRecord(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="erase"):
    """A post that must be forgotten.

    Attributes:
        erase_id: under which the cell says how many entries held the post; it says nothing of the post.
    """

    version: int = VERSION
    post_id: str
    time: int
    erase_id: str = ""


Record = (
    PostRecord
    | DeadRecord
    | VerdictRecord
    | EvidenceRecord
    | MissingRecord
    | ContinueRecord
    | SettingsRecord
    | EraseRecord
)

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
