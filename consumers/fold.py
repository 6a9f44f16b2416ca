"""The cell as a state machine: one log in, the state's changes and the decisions and flags out.

Pure: nothing here reads a clock or a socket. The same records folded onto the same state give the same bytes, however
they are cut into batches.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from consumers.cell import CellState
from consumers.contracts.cell_log import DeadRecord, EvidenceRecord, PostRecord, VerdictRecord
from consumers.contracts.decision import Decision, Outcome
from consumers.contracts.flag import Flag, NearestExemplar
from consumers.contracts.source import decision_id, flag_id
from consumers.contracts.verdict import Verdict
from consumers.names import cluster_id
from consumers.state.codec import MemberValue, StateChanges
from consumers.steps.judge import judge_post
from consumers.steps.place import Placed, place, read_vector
from consumers.targets import count_verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from consumers.contracts.cell_log import Record
    from consumers.settings import Settings
    from consumers.state.codec import Entry
    from models.manifest import Manifest
    from models.policies import Judgement

STEP = "assign"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EARLIEST_MS, LATEST_MS = -62_135_596_800_000, 253_402_300_799_999
"""What RFC 3339 can say: the years 1 to 9999."""


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
    duplicates: int
    notices: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Batch:
    """What the fold of a batch gathers."""

    outputs: list[Output] = field(default_factory=list)
    verdicts: Counter[tuple[str, str]] = field(default_factory=Counter)
    duplicates: int = 0
    notices: list[str] = field(default_factory=list)


class Fold:
    """The state of one cell in memory, and the fold over its log.

    Owned by one thread. `fold` changes the state at once: when the changes cannot be written, throw the object away
    and restore another from the store.

    Twins are merged and faded clusters evicted whenever the log passes a multiple of assign.maintenance_records:
    before the first record at or after the multiple, or at the end of a batch that reaches it.
    """

    def __init__(self, settings: Settings, manifest: Manifest, cell: int, *, position: int) -> None:
        """An empty cell whose next record stands at `position` or later."""
        self._state = CellState(settings, manifest, cell)
        self._position = position
        self._interval = settings.assign.maintenance_records

    def restore(self, entries: Iterable[Entry]) -> None:
        """Fill an empty cell from what the store holds (StoredState.entries).

        Raises:
            CodecError: an entry cannot be read, or its vectors have another size than the bundle's.
        """
        self._state.restore(entries)

    @property
    def position(self) -> int:
        """Offset after the last record folded."""
        return self._position

    @property
    def clusters(self) -> int:
        """Micro-clusters held."""
        return len(self._state.clusters)

    def empty_changes(self) -> StateChanges:
        """Nothing changed: for the first write of a new cell."""
        return StateChanges()

    def fold(self, records: Sequence[tuple[int, Record]], *, position: int) -> Folded:
        """Fold records (log offset, record), in log order, all at or after the present position.

        Args:
            records: may be fewer than the log holds up to `position`: records that cannot be read are left out.
            position: the position afterwards.

        Raises:
            ValueError: offsets are not ascending, before the present position, or not below `position`.
        """
        _check_order([self._position - 1, *(offset for offset, _ in records), position])
        batch = _Batch()
        run: list[tuple[int, PostRecord | DeadRecord]] = []
        for offset, record in records:
            alone = not isinstance(record, PostRecord | DeadRecord)
            if alone or self._is_due(offset):
                self._fold_posts(run, batch)
                run = []
            self._maintain(offset)
            self._position = offset + 1
            if isinstance(record, PostRecord | DeadRecord):
                run.append((offset, record))
            elif isinstance(record, VerdictRecord | EvidenceRecord):
                self._fold_verdict(offset, record, batch)
            else:
                kind = type(record).__name__.removesuffix("Record").lower()
                batch.notices.append(f"{kind} record at offset {offset}: this version does not act on it")
        self._fold_posts(run, batch)
        self._maintain(position - 1)
        self._position = position
        changes, events = self._state.take_changes()
        return Folded(changes, batch.outputs, position, events, batch.verdicts, batch.duplicates, batch.notices)

    def _is_due(self, offset: int) -> bool:
        """Whether a multiple lies above the last record folded and not above `offset`."""
        return offset // self._interval > (self._position - 1) // self._interval

    def _maintain(self, offset: int) -> None:
        if self._is_due(offset):
            self._state.maintain()

    def _fold_posts(self, run: Sequence[tuple[int, PostRecord | DeadRecord]], batch: _Batch) -> None:
        """Place a run of posts with one search, then judge and keep each; no label changes between them."""
        state = self._state
        fresh: list[tuple[int, PostRecord | DeadRecord]] = []
        posts: list[tuple[int, PostRecord, NDArray[np.float32]]] = []
        clocks: list[int] = []
        for offset, record in run:
            if not state.is_new(record.source.mark, record.source.offset):
                batch.duplicates += 1
                continue
            fresh.append((offset, record))
            clock = state.advance(record.time)
            vector = read_vector(record.vector, state.size) if isinstance(record, PostRecord) else None
            if isinstance(record, PostRecord) and vector is not None:
                posts.append((offset, record, vector))
                clocks.append(clock)
        placed = {post.offset: post for post in place(posts, state.clusters, clocks)}
        for offset, record in fresh:
            if offset in placed:
                batch.outputs += self._settle(placed[offset])
            else:
                batch.outputs.append(_output(self._dead(offset, record), record.source.timestamp))

    def _settle(self, post: Placed) -> list[Output]:
        """Judge a placed post and keep it; gives its flags and its decision."""
        state, record, placement = self._state, post.record, post.placement
        judgements = judge_post(post.vector, placement.watched, state.book) if placement.watched else {}
        flags = [
            self._flag(post, policy, judgement)
            for policy, judgement in judgements.items()
            if judgement.action == "flag"
        ]
        policies = tuple(flag.policy for flag in flags)
        member = MemberValue(record.post_id, record.source, record.time, record.vector, policies)
        state.add_member(placement.cluster, post.offset, member)
        if placement.rival is not None:
            state.add_rivals(placement.cluster, placement.rival, post.offset)
        state.events["opened" if placement.opened else "joined"] += 1
        timestamp = record.source.timestamp
        decision = self._decision(post, flags, judgements)
        return [*(Output("flag", flag.post_id, flag, timestamp) for flag in flags), _output(decision, timestamp)]

    def _decision(self, post: Placed, flags: Sequence[Flag], judgements: dict[str, Judgement]) -> Decision:
        """A flag in shadow is listed, and leaves the outcome as it would be without it."""
        state, record, placement = self._state, post.record, post.placement
        outcome: Outcome = "clear"
        if any(flag.mode == "live" for flag in flags):
            outcome = "flagged"
        elif any(
            judgement.action == "review" and state.settings.policy(policy).mode == "live"
            for policy, judgement in judgements.items()
        ):
            outcome = "review"
        return Decision(
            decision_id=decision_id(state.bundle, record.source),
            post_id=record.post_id,
            source=record.source,
            cell=state.cell,
            cell_offset=post.offset,
            outcome=outcome,
            cluster_id=cluster_id(state.cell, placement.cluster),
            opened=placement.opened,
            similarity=placement.similarity,
            shares=state.book.layout.named(placement.shares),
            parts=record.parts,
            flags=tuple(flag.flag_id for flag in flags),
            bundle=state.bundle,
            decided_at=_rfc3339(record.time),
        )

    def _flag(self, post: Placed, policy: str, judgement: Judgement) -> Flag:
        state, record, candidate = self._state, post.record, judgement.candidate
        rule, settings = state.book.rule(policy), state.settings.policy(policy)
        return Flag(
            flag_id=flag_id(state.bundle, record.source, policy),
            revision=post.offset,
            action="flag",
            mode=settings.mode,
            cause="live",
            post_id=record.post_id,
            source=record.source,
            policy=policy,
            severity=settings.severity,
            cluster_id=cluster_id(state.cell, candidate.cluster),
            bound=candidate.label.bound,
            cell=state.cell,
            cell_offset=post.offset,
            similarity=candidate.similarity,
            shares=state.book.layout.named(candidate.shares),
            exemplar=NearestExemplar(judgement.exemplar, judgement.similarity),
            thresholds=rule.thresholds,
            bundle=state.bundle,
            policy_version=rule.version,
            decided_at=_rfc3339(record.time),
        )

    def _dead(self, offset: int, record: PostRecord | DeadRecord) -> Decision:
        """The decision about a post that encode gave up, or whose record holds no vector of this bundle."""
        reason = record.reason if isinstance(record, DeadRecord) else "invalid-vector"
        state = self._state
        return Decision(
            decision_id=decision_id(state.bundle, record.source),
            post_id=record.post_id,
            source=record.source,
            cell=state.cell,
            cell_offset=offset,
            outcome="dead_letter",
            cluster_id=None,
            opened=False,
            similarity=None,
            shares={},
            parts=record.parts | {"post": reason},
            flags=(),
            bundle=state.bundle,
            decided_at=_rfc3339(record.time),
        )

    def _fold_verdict(self, offset: int, record: VerdictRecord | EvidenceRecord, batch: _Batch) -> None:
        self._state.advance(record.time)
        outcome = count_verdict(self._state, offset, record)
        batch.verdicts[record.decision, outcome] += 1
        if outcome == "unknown_target" and isinstance(record, VerdictRecord) and record.asked == 1:
            batch.outputs.append(_dead_verdict(record))


def _check_order(offsets: Sequence[int]) -> None:
    if any(one >= two for one, two in itertools.pairwise(offsets)):
        raise ValueError(f"log offsets must ascend from the position {offsets[0] + 1}, and stay below {offsets[-1]}")


def _output(decision: Decision, timestamp: int) -> Output:
    key = decision.decision_id if decision.post_id is None else decision.post_id
    return Output("decision", key, decision, timestamp)


def _dead_verdict(record: VerdictRecord) -> Output:
    target = record.flag_id or record.cluster_id or record.post_id or ""
    named = record.flag_id is not None or record.cluster_id is not None
    verdict = Verdict(
        verdict_id=record.verdict_id,
        decision=record.decision,
        policy=record.policy,
        post_id=None if named else record.post_id,
        flag_id=record.flag_id,
        cluster_id=record.cluster_id,
        actor=record.actor,
        decided_at=_rfc3339(record.time),
        supersedes=record.supersedes,
    )
    detail = f"no post, flag or cluster {target!r} is kept in its cell; repeat the verdict with cell and cell_offset"
    return Output("dead_letter", target, DeadVerdict(verdict, "unknown-target", STEP, detail), record.time)


def _rfc3339(time: int) -> str:
    """Milliseconds since 1970 in RFC 3339, to the millisecond."""
    moment = EPOCH + timedelta(milliseconds=min(max(time, EARLIEST_MS), LATEST_MS))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
