"""The cell as a state machine: one log in, the state's changes and the decisions and flags out.

Pure: nothing here reads a clock or a socket. The same records folded onto the same state give the same bytes, however
they are cut into batches.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from consumers.contracts.decision import Decision
from consumers.contracts.flag import Flag
from consumers.contracts.verdict import Verdict

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Sequence

    from models.manifest import Manifest

    from consumers.contracts.cell_log import Record
    from consumers.settings import Settings
    from consumers.state.codec import Entry, StateChanges


@dataclass(frozen=True, slots=True)
class DeadVerdict:
    """A verdict about something this cell does not know: the payload of an output of kind `dead_letter`.

    Attributes:
        verdict: as it stood on the verdicts topic, without its note.
        reason, step: for the dead letter's headers and metric.
        detail: for people.
    """

    verdict: Verdict
    reason: str
    step: str
    detail: str


@dataclass(frozen=True, slots=True)
class Output:
    """One record to be written to Kafka.

    Attributes:
        kind: `decision` (Decision), `flag` (Flag) or `dead_letter` (DeadVerdict).
        key: the record's key; the post_id, or the decision_id of a post without one; a verdict's target.
        timestamp: of the post in the posts topic, or of the verdict, in milliseconds.
    """

    kind: Literal["decision", "flag", "dead_letter"]
    key: str
    payload: Decision | Flag | DeadVerdict
    timestamp: int


@dataclass(frozen=True, slots=True)
class Folded:
    """What folding a batch did.

    Attributes:
        changes: what to write to the store, together with the position.
        outputs: in log order.
        position: offset after the last record folded.
        events: clusters opened, joined, merged, evicted, labelled, unlabelled (metrics.CLUSTER_EVENTS).
        verdicts: (decision, outcome) with outcome counted, duplicate or unknown_target (metrics.VERDICTS).
        duplicates: posts that had been folded before, and were dropped.
        notices: one line each, for the log: records that this version does not act on.
    """

    changes: StateChanges
    outputs: list[Output]
    position: int
    events: Counter[str]
    verdicts: Counter[tuple[str, str]]
    duplicates: int = 0
    notices: list[str] = field(default_factory=list)


class Fold:
    """The state of one cell in memory, and the fold over its log.

    Owned by one thread. `fold` changes the state at once: when the changes cannot be written, throw the object away
    and restore another from the store.
    """

    def __init__(self, settings: Settings, manifest: Manifest, cell: int, *, position: int) -> None:
        """An empty cell whose next record stands at `position` or later."""

    def restore(self, entries: Iterable[Entry]) -> None:
        """Fill an empty cell from what the store holds (StoredState.entries).

        Raises:
            CodecError: an entry cannot be read, or its vectors have another size than the bundle's.
        """

    @property
    def position(self) -> int:
        """Offset after the last record folded."""

    @property
    def clusters(self) -> int:
        """Micro-clusters held."""

    def empty_changes(self) -> StateChanges:
        """Nothing changed: for the first write of a new cell."""

    def fold(self, records: Sequence[tuple[int, Record]], *, position: int) -> Folded:
        """Fold records (log offset, record), in log order, all at or after the present position.

        Args:
            records: may be fewer than the log holds up to `position`: records that cannot be read are left out.
            position: the position afterwards.

        Raises:
            ValueError: offsets are not ascending, before the present position, or not below `position`.
        """
