"""Verdicts that every cell was asked about and some have given up: who says in the end that none knows the target."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from consumers.contracts import cell_log
from consumers.contracts.cell_log import VerdictRecord
from consumers.state import codec
from consumers.state.codec import MissingValue

if TYPE_CHECKING:
    from consumers.contracts.cell_log import MissingRecord
    from consumers.state.codec import StateChanges


def counting_cell(verdict_id: str, cells: int) -> int:
    """The cell that counts who has given this verdict up."""
    return zlib.crc32(verdict_id.encode()) % cells


class MissingVerdicts:
    """Which cells have given which verdicts up; the oldest beyond the limit are forgotten."""

    def __init__(self) -> None:
        self._missing: dict[str, MissingValue] = {}

    def report(self, offset: int, record: MissingRecord, most: int, changes: StateChanges) -> VerdictRecord | None:
        """Count a cell's report; gives the verdict once all the cells that were asked have given it up."""
        verdict = record.verdict
        known = self._missing.get(verdict.verdict_id)
        cells = {record.cell, *(() if known is None else known.cells)}
        if len(cells) >= verdict.asked:
            self._drop(verdict.verdict_id, changes)
            return verdict
        first = offset if known is None else known.offset
        value = MissingValue(first, tuple(sorted(cells)), cell_log.encode(verdict))
        self._missing[verdict.verdict_id] = value
        changes.set("missing", verdict.verdict_id, codec.encode(value))
        for oldest in list(self._missing)[: max(len(self._missing) - most, 0)]:
            self._drop(oldest, changes)
        return None

    def forget(self, post_id: str, changes: StateChanges) -> int:
        """Drop the verdicts on a post; gives how many."""
        about = [name for name, value in self._missing.items() if _post_of(value) == post_id]
        for verdict_id in about:
            self._drop(verdict_id, changes)
        return len(about)

    def restore(self, values: dict[str, MissingValue]) -> None:
        """Fill an empty collection from what the store holds."""
        self._missing = dict(sorted(values.items(), key=lambda item: item[1].offset))

    def _drop(self, verdict_id: str, changes: StateChanges) -> None:
        if self._missing.pop(verdict_id, None) is not None:
            changes.delete("missing", verdict_id)


def _post_of(value: MissingValue) -> str | None:
    record = cell_log.decode(value.record)
    return record.post_id if isinstance(record, VerdictRecord) else None
