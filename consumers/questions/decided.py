"""What has been decided about a post: its decision, the latest revision of its flags, and its vector."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec
from confluent_kafka import KafkaException

from consumers.contracts import cell_log
from consumers.contracts.cell_log import PostRecord
from consumers.contracts.decision import Decision
from consumers.contracts.flag import Flag
from consumers.kafka.lookup import open_reader, read_record, read_topic
from consumers.names import cell_log_topic
from consumers.state import codec
from consumers.state.codec import MemberValue
from consumers.steps.place import read_vector

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from consumers.settings import Settings
    from consumers.state.store import StateStore

T = TypeVar("T")

PLACE = re.compile(r"(\d+):(\d+)")
_decision = msgspec.json.Decoder(Decision)
_flag = msgspec.json.Decoder(Flag)


class Decided(NamedTuple):
    """A decision, and the latest revision of each of its post's flags."""

    decision: Decision
    flags: list[Flag]


class Kept(NamedTuple):
    """The fused vector of a decided post, float32 (size,), and its features for verification."""

    vector: NDArray[np.float32]
    features: dict[str, bytes]


def find_decision(settings: Settings, bundle: str, given: str) -> Decided | None:
    """The latest decision of a bundle with this id, on this post, of this flag, or at this place (`CELL:OFFSET`).

    Reads the decisions topic from its beginning: seconds for a million decisions.

    Raises:
        KafkaException: the brokers do not answer.
    """
    place = PLACE.fullmatch(given)
    wanted = b'"cell_offset":%d,' % int(place[2]) if place else given.encode()
    found: Decision | None = None
    for message in read_topic(settings, settings.topics.decisions):
        value = message.value() or b""
        if wanted in value:
            decision = _decoded(_decision, value)
            if decision is not None and decision.bundle == bundle and _is_meant(decision, given, place):
                found = decision
    return None if found is None else Decided(found, _flags_of(settings, found))


def kept_of(settings: Settings, store: StateStore, decision: Decision, size: int) -> Kept | None:
    """What is kept of a decided post: by its cell log, else by the members in Redis; None when it is gone.

    Raises:
        StateUnavailable, CodecError: Redis does not answer as it should.
    """
    cell, offset = decision.cell, decision.cell_offset
    reader = open_reader(settings)
    try:
        topic = cell_log_topic(settings, decision.bundle)
        message = read_record(reader, topic, cell, offset, timeout=settings.kafka.request_timeout_seconds)
        record = None if message is None else cell_log.decode(message.value() or b"")
    except (KafkaException, msgspec.DecodeError):
        record = None
    finally:
        reader.close()
    if isinstance(record, PostRecord):
        return _kept(record, size)
    members = store.some_entries(cell, "members", [str(offset)])
    return _kept(codec.decode(MemberValue, members[0]), size) if members else None


def _kept(post: PostRecord | MemberValue, size: int) -> Kept | None:
    vector = read_vector(post.vector, size)
    return None if vector is None else Kept(vector, post.features)


def _is_meant(decision: Decision, given: str, place: re.Match[str] | None) -> bool:
    if place is not None:
        return (decision.cell, decision.cell_offset) == (int(place[1]), int(place[2]))
    return given in {decision.decision_id, decision.post_id, *decision.flags}


def _flags_of(settings: Settings, decision: Decision) -> list[Flag]:
    """Also those given afterwards, by a verdict."""
    latest: dict[str, Flag] = {}
    wanted = (decision.post_id or decision.decision_id).encode()
    for message in read_topic(settings, settings.topics.flags):
        flag = _decoded(_flag, message.value() or b"") if wanted in (message.value() or b"") else None
        if flag is None or flag.source != decision.source or flag.bundle != decision.bundle:
            continue
        if flag.flag_id not in latest or latest[flag.flag_id].revision < flag.revision:
            latest[flag.flag_id] = flag
    return sorted(latest.values(), key=lambda flag: flag.policy)


def _decoded(decoder: msgspec.json.Decoder[T], value: bytes) -> T | None:
    try:
        return decoder.decode(value)
    except msgspec.DecodeError:
        return None
