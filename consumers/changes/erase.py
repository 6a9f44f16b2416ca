"""Erasing a post from every cell: the records that ask for it, and what the cells' owners say of it."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, NamedTuple

from consumers.changes.verdicts import ID_CHARACTERS
from consumers.checks.kafka import require_brokers
from consumers.contracts import cell_log
from consumers.contracts.cell_log import EraseRecord
from consumers.kafka.delivery import Outgoing, open_delivery
from consumers.names import cell_log_topic
from consumers.settings import SettingsError
from consumers.state import codec
from consumers.state.codec import ErasedValue
from consumers.state.reading import opened_state

if TYPE_CHECKING:
    from consumers.settings import Settings
    from consumers.state.store import StateStore

LOOK_SECONDS = 0.1


class Erased(NamedTuple):
    """What became of a post in a cell: how many entries held it; None while no owner has come to the record."""

    cell: int
    entries: int | None


def erase_post(settings: Settings, post_id: str, *, patience_seconds: float) -> list[Erased]:
    """Ask every cell to forget a post, and wait until all have.

    Several cells are asked twice: a copy of evidence may have been on its way from one to another.

    Args:
        patience_seconds: how long to wait for the cells' owners, each time.

    Raises:
        SettingsError: no post can have this id. CheckError: the brokers do not answer.
        Aborted: Kafka refused, and nothing was written. StateUnavailable: Redis does not answer.
    """
    if not 0 < len(post_id) <= ID_CHARACTERS:
        raise SettingsError(f"erase: POST_ID must have 1 to {ID_CHARACTERS} characters")
    require_brokers(settings)
    with opened_state(settings) as (manifest, store):
        found = _ask(settings, manifest.bundle_id, store, post_id, patience_seconds)
        if settings.assign.cells == 1 or any(erased.entries is None for erased in found):
            return found
        again = _ask(settings, manifest.bundle_id, store, post_id, patience_seconds)
    return [
        Erased(one.cell, None if one.entries is None or two.entries is None else one.entries + two.entries)
        for one, two in zip(found, again, strict=True)
    ]


def _ask(settings: Settings, bundle: str, store: StateStore, post_id: str, patience_seconds: float) -> list[Erased]:
    """One record for every cell, in one transaction where the brokers have them, and each cell's answer."""
    erase_id, now = uuid.uuid4().hex, time.time_ns() // 1_000_000
    value = cell_log.encode(EraseRecord(post_id=post_id, time=now, erase_id=erase_id))
    topic, cells = cell_log_topic(settings, bundle), range(settings.assign.cells)
    delivery = open_delivery(settings, f"{settings.kafka.group}.erase-{erase_id}")
    try:
        delivery.deliver([Outgoing(topic, b"erase", value, partition=cell) for cell in cells])
    finally:
        delivery.close()
    deadline = time.monotonic() + patience_seconds
    return [Erased(cell, _answer(store, cell, erase_id, deadline)) for cell in cells]


def _answer(store: StateStore, cell: int, erase_id: str, deadline: float) -> int | None:
    """How many entries of a cell held the post, once what it folded up to the record is delivered; else None."""
    while True:
        found = store.some_entries(cell, "erased", [erase_id])
        if found:
            value = codec.decode(ErasedValue, found[0])
            state = store.read(cell)
            # what an owner has not delivered yet may hold the post, on its way to another cell too
            if state is None or not any(kept.start <= value.offset < kept.end for kept in state.outputs):
                return value.entries
        if time.monotonic() >= deadline:
            return None
        time.sleep(LOOK_SECONDS)
