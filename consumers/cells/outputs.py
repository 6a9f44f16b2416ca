"""What the fold of a batch puts out: as records of Kafka, and as bytes that Redis keeps until they are committed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from consumers.cells.conclusions import CellRecord
from consumers.contracts import cell_log
from consumers.contracts.codec import CONTENT_TYPE
from consumers.contracts.decision import Decision
from consumers.contracts.flag import Flag
from consumers.contracts.source import Source
from consumers.encoding.work import Failure, SourceRecord
from consumers.kafka.dead_letters import dead_letter
from consumers.kafka.delivery import Outgoing
from consumers.names import cell_log_topic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from consumers.cells.conclusions import DeadVerdict, Output
    from consumers.settings import Settings

Role = Literal["decisions", "flags", "dead_letters", "cells"]


class Kept(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One record to be written; it says which topic by its role, so that a topic renamed meanwhile is no obstacle.

    Attributes:
        partition: where it must go; -1 leaves that to the key.
        offset: of the record in the cell log that it comes from.
    """

    role: Role
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    partition: int = -1
    offset: int = -1


_json = msgspec.json.Encoder()
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[list[Kept]] = msgspec.msgpack.Decoder(list[Kept])


def keep(output: Output, cell: int, offset: int, settings: Settings) -> Kept:
    """The record of one output, caused by the record at this offset; decisions keep their cell's partition number."""
    payload = output.payload
    if isinstance(payload, Decision):
        return Kept("decisions", output.key.encode(), _json.encode(payload), (CONTENT_TYPE,), cell, offset)
    if isinstance(payload, Flag):
        return Kept("flags", output.key.encode(), _json.encode(payload), (CONTENT_TYPE,), offset=offset)
    if isinstance(payload, CellRecord):
        return Kept("cells", output.key.encode(), cell_log.encode(payload.record), (), payload.cell, offset)
    return _keep_dead_verdict(output.key, payload, output.timestamp, offset, settings)


def keep_dead_letter(record: SourceRecord, failure: Failure, offset: int, settings: Settings) -> Kept:
    """The dead letter of a record, caused by the record at this offset of the cell log."""
    letter = dead_letter(record, failure, settings)
    return Kept("dead_letters", letter.key, letter.value, letter.headers, offset=offset)


def pack(outputs: Sequence[Kept]) -> bytes:
    """The outputs of a batch as Redis keeps them."""
    return _encoder.encode(outputs)


def unpack(stored: bytes) -> list[Kept]:
    """The outputs of a batch that Redis kept.

    Raises:
        msgspec.DecodeError: the bytes are something else.
    """
    return _decoder.decode(stored) if stored else []


def outgoing(kept: Kept, settings: Settings, bundle: str) -> Outgoing:
    """The record of Kafka; `bundle` names the cell log."""
    topic = cell_log_topic(settings, bundle) if kept.role == "cells" else getattr(settings.topics, kept.role)
    return Outgoing(topic, kept.key, kept.value, kept.headers, kept.partition)


def _keep_dead_verdict(key: str, dead: DeadVerdict, timestamp: int, offset: int, settings: Settings) -> Kept:
    """A verdict that found no target, as a record of the verdicts topic; where it stood there is not known here."""
    source = Source(settings.topics.verdicts, "", -1, -1, timestamp)
    record = SourceRecord(source, key.encode(), _json.encode(dead.verdict), (CONTENT_TYPE,))
    return keep_dead_letter(record, Failure(dead.reason, dead.step, dead.detail), offset, settings)
