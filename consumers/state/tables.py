"""Entries of the store -> the tables that judge: for the owner of a cell, and for whoever only looks at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumers.cells.evidence import evidence_of
from consumers.state import codec
from consumers.state.codec import ClusterValue, EvidenceValue, damaged
from models.cluster_table import ManyClusters

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from consumers.state.codec import Entry
    from models.cluster_table import ClusterTable
    from models.policies import Evidence

AT_ONCE = 500
"""Clusters or members: with 768 numbers each, their sums fit the processor's cache while they are worked on."""


def insert_clusters(table: ClusterTable, entries: Sequence[Entry], size: int) -> dict[int, ClusterValue]:
    """Insert clusters as they were, none of them watched; gives them by key, without those that the table had.

    Args:
        size: numbers of a fused vector.

    Raises:
        CodecError: an entry cannot be read, or is of another size.
    """
    fresh = {key: entry for key, entry in zip(numbers_of(entries), entries, strict=True) if key not in table}
    keys, values = list(fresh), codec.decode_many(ClusterValue, list(fresh.values()))
    try:
        sums = codec.sums_of_many(values, size)
    except ValueError as error:
        raise damaged(entries[0], f"it, or one near it: {error}") from error
    table.insert_many(
        ManyClusters(
            keys,
            sums,
            weights=[value.weight for value in values],
            squares=[value.squares for value in values],
            times=[value.time for value in values],
            counts=[value.count for value in values],
            opened=[value.opened for value in values],
            seen=[value.seen for value in values],
        )
    )
    return dict(zip(keys, values, strict=True))


def evidence_in(entry: Entry, size: int) -> tuple[int, Evidence]:
    """A piece of evidence, and the cluster that it stands with.

    Raises:
        CodecError: it cannot be read, or its vector is of another size.
    """
    value = codec.decode(EvidenceValue, entry)
    piece = evidence_of(entry.field, value, size)
    if piece is None:
        raise damaged(entry, "the vector is of another size")
    return value.cluster, piece


def resolve(redirects: Mapping[int, int], clusters: Container[int], cluster: int) -> int | None:
    """The cluster that is now where this one was; None when it is gone."""
    while cluster not in clusters:
        found = redirects.get(cluster)
        if found is None:
            return None
        cluster = found
    return cluster


def number_of(entry: Entry) -> int:
    """The log offset that names an entry.

    Raises:
        CodecError: it is none.
    """
    try:
        return int(entry.field)
    except ValueError as error:
        raise damaged(entry, "not a log offset") from error


def numbers_of(entries: Sequence[Entry]) -> list[int]:
    """The log offsets that name entries.

    Raises:
        CodecError: one is none.
    """
    try:
        return [int(entry.field) for entry in entries]
    except ValueError:
        return [number_of(entry) for entry in entries]  # it tells which
