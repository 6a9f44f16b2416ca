"""Verdicts on posts that a cell does not know yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumers.contracts import cell_log
from consumers.contracts.cell_log import VerdictRecord
from consumers.state import codec
from consumers.state.codec import WaitingValue

if TYPE_CHECKING:
    from consumers.state.codec import StateChanges


class WaitingVerdicts:
    """Verdicts by the post_id they wait for. Bounded in number and in time; whoever waits too long is given up."""

    def __init__(self) -> None:
        self._waiting: dict[str, WaitingValue] = {}
        self._records: dict[str, VerdictRecord] = {}
        self._by_post: dict[str, list[str]] = {}
        self._earliest: int | None = None

    def __contains__(self, verdict_id: object) -> bool:
        return verdict_id in self._waiting

    def __len__(self) -> int:
        """Verdicts that wait."""
        return len(self._waiting)

    def expects(self, post_id: str) -> bool:
        """Whether a verdict waits for this post."""
        return post_id in self._by_post

    def is_due(self, clock: int) -> bool:
        """Whether one has waited too long at this clock."""
        return self._earliest is not None and self._earliest <= clock

    def add(self, offset: int, until: int, record: VerdictRecord, changes: StateChanges) -> None:
        """Let a verdict that names a post_id wait."""
        value = WaitingValue(offset, until, cell_log.encode(record))
        self._enter(value, record)
        changes.set("waiting", record.verdict_id, codec.encode(value))

    def take(self, post_id: str, changes: StateChanges) -> list[VerdictRecord]:
        """The verdicts that waited for a post, in log order; they wait no more."""
        return [self._remove(verdict_id, changes) for verdict_id in list(self._by_post.get(post_id, ()))]

    def give_up(self, clock: int, most: int, changes: StateChanges) -> list[VerdictRecord]:
        """The verdicts that have waited too long, and the oldest beyond `most`, in log order."""
        late = [verdict_id for verdict_id, value in self._waiting.items() if value.until <= clock]
        kept = [verdict_id for verdict_id in self._waiting if verdict_id not in set(late)]
        late += kept[: max(len(kept) - most, 0)]
        late.sort(key=lambda verdict_id: self._waiting[verdict_id].offset)
        return [self._remove(verdict_id, changes) for verdict_id in late]

    def restore(self, values: list[WaitingValue]) -> None:
        """Fill an empty collection from what the store holds.

        Raises:
            msgspec.DecodeError: a record cannot be read.
        """
        for value in sorted(values, key=lambda value: value.offset):
            record = cell_log.decode(value.record)
            if isinstance(record, VerdictRecord):
                self._enter(value, record)

    def _enter(self, value: WaitingValue, record: VerdictRecord) -> None:
        self._waiting[record.verdict_id] = value
        self._records[record.verdict_id] = record
        self._by_post.setdefault(record.post_id or "", []).append(record.verdict_id)
        self._earliest = value.until if self._earliest is None else min(self._earliest, value.until)

    def _remove(self, verdict_id: str, changes: StateChanges) -> VerdictRecord:
        del self._waiting[verdict_id]
        record = self._records.pop(verdict_id)
        others = self._by_post[record.post_id or ""]
        others.remove(verdict_id)
        if not others:
            del self._by_post[record.post_id or ""]
        self._earliest = min((value.until for value in self._waiting.values()), default=None)
        changes.delete("waiting", verdict_id)
        return record
