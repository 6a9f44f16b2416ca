"""Flags as rows of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from consumers.contracts.flag import Flag
from consumers.kafka.lookup import read_topic

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.settings import Settings

_decoder = msgspec.json.Decoder(Flag)


def read_flags(settings: Settings, *, policy: str | None, last: int) -> Iterator[Flag]:
    """The `last` flag revisions of each partition of the flags topic, oldest first; those of one policy if named.

    Records that are no flags are passed over.
    """
    for message in read_topic(settings, settings.topics.flags, last=last):
        try:
            flag = _decoder.decode(message.value() or b"")
        except msgspec.DecodeError:
            continue
        if policy is None or flag.policy == policy:
            yield flag


def row_of(flag: Flag) -> dict[str, Any]:
    """One line of the list."""
    return {
        "time": flag.decided_at,
        "action": flag.action,
        "policy": flag.policy,
        "post": flag.post_id,
        "cluster": flag.cluster_id,
        "similarity": flag.similarity,
        "shares": {modality: share for modality, share in flag.shares.items() if share},
        "exemplar": None if flag.exemplar is None else flag.exemplar.post_id,
        "to exemplar": None if flag.exemplar is None else flag.exemplar.similarity,
        "bound": flag.bound,
        "place": f"{flag.cell}:{flag.cell_offset}",
    }
