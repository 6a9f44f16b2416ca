"""Names that several consumers must agree on: topics, groups, transactional ids."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from consumers.settings import Settings


POLICY_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
"""What a policy may be called; the whole name must match."""


def cell_log_topic(settings: Settings, bundle: str) -> str:
    """The cell log's topic: `cells.<bundle id>.<number of cells>`; partition c is cell c."""
    return f"{settings.topics.cells}.{bundle}.{settings.assign.cells}"


def encode_group(settings: Settings, bundle: str) -> str:
    """Consumer group of the encoders of a bundle; two bundles side by side read every post each."""
    return f"{settings.kafka.group}.{bundle}.encode"


def assign_group(settings: Settings, bundle: str) -> str:
    """Consumer group of the owners of a bundle's cells."""
    return f"{settings.kafka.group}.{bundle}.{settings.assign.cells}.assign"


def route_group(settings: Settings, bundle: str) -> str:
    """Consumer group that brings verdicts into a bundle's cell log."""
    return f"{settings.kafka.group}.{bundle}.{settings.assign.cells}.route"


def alert_group(settings: Settings) -> str:
    """Consumer group that tells moderators of flags; those of all bundles, for they share a topic."""
    return f"{settings.kafka.group}.alert"


def cell_transactional_id(settings: Settings, bundle: str, cell: int) -> str:
    """Transactional id of a cell's owner: a new owner's init_transactions ends the old one's transaction."""
    return f"{settings.kafka.group}.{bundle}.{settings.assign.cells}.cell-{cell}"


def cell_name(bundle: str, cells: int, cell: int) -> str:
    """The cell's name in Redis keys' hash tag: every key of a cell lives in one slot."""
    return f"{bundle}.{cells}.{cell}"


def cluster_id(cell: int, offset: int) -> str:
    """A micro-cluster's id: its cell and the log offset of the record that opened it."""
    return f"{cell}-{offset}"


def place_of_cluster(given: str) -> tuple[int, int] | None:
    """The cell and the log offset in a micro-cluster's id; None when it is no such id."""
    cell, _, offset = given.partition("-")
    if not (cell.isascii() and cell.isdigit() and offset.isascii() and offset.isdigit()):
        return None
    return int(cell), int(offset)
