"""The cell as a state machine: one log in, the state's changes and the decisions and flags out.

Pure: nothing here reads a clock or a socket. The same records folded onto the same state give the same bytes, however
they are cut into batches and on whichever processor (models.exact). What would change them is another version of the
fold (contracts.fold_settings.FOLD), which the log and the state name.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from consumers.cells.cell import CellState
from consumers.cells.conclusions import (
    Cause,
    Judged,
    Output,
    dead_decision,
    dead_verdict,
    decision,
    flag,
    flagged,
    target_of,
    to_cell,
)
from consumers.cells.evidence import Change
from consumers.cells.forget import forget_post
from consumers.cells.missing import counting_cell
from consumers.cells.retroactive import continue_reach, reach_back
from consumers.cells.targets import count_verdict, is_flagged
from consumers.contracts.cell_log import (
    ContinueRecord,
    DeadRecord,
    EraseRecord,
    EvidenceRecord,
    MissingRecord,
    PostRecord,
    SettingsRecord,
    VerdictRecord,
)
from consumers.names import POLICY_NAME, place_of_cluster
from consumers.state.codec import MemberValue, StateChanges
from consumers.steps.judge import judge_post
from consumers.steps.place import Placed, place
from models.policies import least_exemplar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from consumers.contracts.cell_log import Record
    from consumers.contracts.flag import Flag
    from consumers.contracts.fold_settings import FoldSettings
    from consumers.state.codec import Entry
    from models.manifest import Manifest
    from models.policies import Evidence
    from models.quantizer import Quantizer

LIVE = "live"
POSTS = (PostRecord, DeadRecord)
UNSUSPECTED = Judged((), (), ())


@dataclass(frozen=True, slots=True)
class Folded:
    """What folding a batch did.

    Attributes:
        changes: what to write to the store, together with the position.
        outputs: in log order.
        offsets: of the records that the outputs come from, one for each output.
        position: offset after the last record folded.
        events: clusters opened, joined, merged, evicted, labelled, unlabelled (metrics.CLUSTER_EVENTS).
        verdicts: (decision, outcome): what became of verdicts (metrics.VERDICTS).
        judged: (policy, decision): verdicts counted about posts that were flagged (metrics.JUDGED_FLAGS).
        duplicates: posts that had been folded before, and were dropped.
        notices: one line each, for the log: settings changed, posts erased.
        erased: whether a post was erased, so that outputs kept of before must go too.
    """

    changes: StateChanges
    outputs: list[Output]
    offsets: list[int]
    position: int
    events: Counter[str]
    verdicts: Counter[tuple[str, str]]
    judged: Counter[tuple[str, str]]
    duplicates: int
    notices: list[str] = field(default_factory=list)
    erased: bool = False
    refused: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class _Batch:
    """What the fold of a batch gathers."""

    outputs: list[Output] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    verdicts: Counter[tuple[str, str]] = field(default_factory=Counter)
    judged: Counter[tuple[str, str]] = field(default_factory=Counter)
    duplicates: int = 0
    notices: list[str] = field(default_factory=list)
    erased: bool = False

    def note_offset(self, offset: int) -> None:
        """The outputs since the last call come from the record at this log offset."""
        for _ in range(len(self.offsets), len(self.outputs)):
            self.offsets.append(offset)


class Fold:
    """The state of one cell in memory, and the fold over its log.

    Owned by one thread. `fold` changes the state at once: when the changes cannot be written, throw the object away
    and restore another from the store.

    Twins are merged and faded clusters evicted whenever the log passes a multiple of `maintenance_records`: before
    the first record at or after the multiple, or at the end of a batch that reaches it.
    """

    def __init__(
        self,
        settings: FoldSettings,
        manifest: Manifest,
        cell: int,
        *,
        position: int,
        quantizer: Quantizer | None = None,
    ) -> None:
        """An empty cell whose next record stands at `position` or later.

        Args:
            settings: that the cell begins with; a state that is restored brings its own.
            quantizer: of all the cells; None where there is only one.

        Raises:
            OtherFold: the settings are of another version of the fold.
        """
        self._state = CellState(settings, manifest, cell)
        self._position = position
        self._quantizer = quantizer

    def restore(self, entries: Iterable[Entry], clusters: int = 0) -> None:
        """Fill an empty cell from what the store holds (StoredState.entries).

        Args:
            clusters: about how many will come (StoredState.clusters).

        Raises:
            CodecError: an entry cannot be read, or its vectors have another size than the bundle's.
            OtherFold: the state was folded by another version of the fold.
        """
        self._state.restore(entries, clusters)

    @property
    def position(self) -> int:
        """Offset after the last record folded."""
        return self._position

    @property
    def clusters(self) -> int:
        """Micro-clusters held."""
        return len(self._state.clusters)

    def has_evidence(self, cluster_id: str) -> bool:
        """Whether any verdict counts for a micro-cluster of this cell, or for the one it was merged into."""
        found = place_of_cluster(cluster_id)
        return found is not None and self._state.resolve(found[1]) in self._state.book

    @property
    def settings(self) -> FoldSettings:
        """In force now."""
        return self._state.settings

    def first_changes(self) -> StateChanges:
        """What the first write of a new cell holds: the settings it begins with."""
        self._state.note_settings()
        return self._state.take_changes()[0]

    def fold(self, records: Sequence[tuple[int, Record]], *, position: int) -> Folded:
        """Fold records (log offset, record), in log order, all at or after the present position.

        Args:
            records: may be fewer than the log holds up to `position`: records that cannot be read are left out.
            position: the position afterwards.

        Raises:
            ValueError: offsets are not ascending, before the present position, or not below `position`.
            OtherFold: a record brings settings of another version of the fold.
        """
        _check_order([self._position - 1, *(offset for offset, _ in records), position])
        batch = _Batch()
        run: list[tuple[int, PostRecord | DeadRecord]] = []
        clock = self._state.clock
        for offset, record in records:
            clock = max(clock, record.time)
            late, due = self._state.waiting.is_due(clock), self._is_due(offset)
            if late or due or not isinstance(record, POSTS):
                self._fold_posts(run, batch)
                run = []
            if late:
                self._give_up(clock, batch)
            if due:
                self._state.maintain()
            self._position = offset + 1
            if isinstance(record, POSTS):
                run.append((offset, record))
                if isinstance(record, PostRecord) and self._state.waiting.expects(record.post_id):
                    self._fold_posts(run, batch)
                    run = []
                    self._count_waiting(offset, record, batch)
            else:
                self._fold_other(offset, record, batch)
            batch.note_offset(offset)
        self._fold_posts(run, batch)
        if self._is_due(position - 1):
            self._state.maintain()
        self._position = position
        changes, events = self._state.take_changes()
        return Folded(
            changes,
            batch.outputs,
            batch.offsets,
            position,
            events,
            batch.verdicts,
            batch.judged,
            batch.duplicates,
            batch.notices,
            batch.erased,
            self._state.book.take_refused(),
        )

    def _is_due(self, offset: int) -> bool:
        """Whether a multiple lies above the last record folded and not above `offset`."""
        interval = self._state.settings.maintenance_records
        return offset // interval > (self._position - 1) // interval

    def _fold_posts(self, run: Sequence[tuple[int, PostRecord | DeadRecord]], batch: _Batch) -> None:
        """Place a run of posts with one search, then judge and keep each; no label changes between them."""
        state = self._state
        fresh: list[tuple[int, PostRecord | DeadRecord]] = []
        posts: list[tuple[int, PostRecord]] = []
        clocks: list[int] = []
        for offset, record in run:
            clock = state.advance(record.time)
            if not state.is_new(record.source.mark, record.source.offset):
                batch.duplicates += 1
                continue
            fresh.append((offset, record))
            if isinstance(record, PostRecord):
                posts.append((offset, record))
                clocks.append(clock)
        settled = {post.offset: (post, clock) for post, clock in place(posts, state.clusters, clocks)}
        for offset, record in fresh:
            if offset in settled:
                self._settle(*settled[offset], batch.outputs)
            else:
                batch.outputs.append(dead_decision(state, offset, record))
            batch.note_offset(offset)

    def _settle(self, post: Placed, clock: int, outputs: list[Output]) -> None:
        """Judge a placed post and keep it; adds its flags and its decision to the outputs."""
        state, record, placement = self._state, post.record, post.placement
        member = MemberValue(record.post_id, record.source, record.time, clock, record.vector, record.features)
        judged = self._judge(post, member)
        state.add_member(placement.cluster, post.offset, member)
        if placement.rival is not None:
            state.add_rivals(placement.cluster, placement.rival, post.offset)
        state.events["opened" if placement.opened else "joined"] += 1
        outputs += map(flagged, judged.flags)
        outputs.append(decision(state, post, judged))

    def _judge(self, post: Placed, member: MemberValue) -> Judged:
        state = self._state
        judgements = judge_post(post.vector, post.placement.watched, state.book, member.features, state.trails())
        if not judgements:
            return UNSUSPECTED
        flags: list[Flag] = []
        other: dict[str, list[str]] = {"review": [], "capped": []}
        for policy, judgement in judgements.items():
            cluster, action = judgement.candidate.cluster, judgement.action
            permit = state.book.permit(cluster, policy, state.changes) if action == "flag" else action
            if permit == "flag":
                cause = Cause(LIVE, post.offset, post.record.time)
                flags.append(flag(state, post.offset, post.record, policy, judgement, cause))
                followed = judgement.trail is not None
                state.flagged.add(post.offset, member, policy, cluster, state.changes, followed=followed)
            else:
                other[permit].append(policy)
        return Judged(flags, other["review"], other["capped"])

    def _fold_other(self, offset: int, record: Record, batch: _Batch) -> None:
        state = self._state
        state.advance(record.time)
        if isinstance(record, VerdictRecord | EvidenceRecord):
            self._fold_verdict(offset, record, batch)
        elif isinstance(record, ContinueRecord):
            batch.outputs += continue_reach(state, record, offset)
        elif isinstance(record, MissingRecord):
            lost = state.missing.report(offset, record, state.settings.waiting_verdicts, state.changes)
            batch.outputs += [] if lost is None else [_unknown(state, lost)]
        elif isinstance(record, SettingsRecord):
            self._fold_settings(offset, record, batch)
        elif isinstance(record, EraseRecord):
            entries = forget_post(state, record.post_id)
            state.note_erased(record.erase_id, offset, entries)
            batch.notices.append(f"erase record at offset {offset}: {entries} entries held the post")
            batch.erased = True

    def _fold_verdict(
        self, offset: int, record: VerdictRecord | EvidenceRecord, batch: _Batch, *, before: int | None = None
    ) -> None:
        """Count a verdict, tell the cells across the border, and reach back to the posts kept before an offset."""
        state = self._state
        flagged_before = isinstance(record, VerdictRecord) and is_flagged(state, record)
        counted = count_verdict(state, offset, record)
        if counted.outcome == "unknown_target" and isinstance(record, VerdictRecord) and _may_wait(record):
            self._await(offset, record, batch)
            return
        batch.verdicts[record.decision, counted.outcome] += 1
        if counted.outcome == "counted":
            if flagged_before:
                batch.judged[record.policy, record.decision] += 1
            batch.outputs += self._to_neighbours(record, counted.evidence)
            batch.outputs += reach_back(state, record.verdict_id, counted.change, offset, record.time, before=before)
        elif counted.outcome == "full" and isinstance(record, VerdictRecord):
            detail = f"cell {state.cell} keeps as many clusters with evidence as assign.labelled_clusters allows"
            batch.outputs.append(dead_verdict(state, record, "cell-full", detail))
        elif counted.outcome == "unknown_target" and isinstance(record, VerdictRecord):
            batch.outputs.append(self._not_here(record))

    def _to_neighbours(self, record: VerdictRecord | EvidenceRecord, evidence: Evidence | None) -> list[Output]:
        """Copies of a verdict for the cells in which posts like its own may stand; copies are not copied on.

        Every cell may hold a copy of one that is superseded.
        """
        if self._quantizer is None or evidence is None or isinstance(record, EvidenceRecord):
            return []
        state, rule = self._state, self._state.book.rule(record.policy)
        if rule.alone is not None or record.supersedes is not None:
            cells = [cell for cell in range(self._quantizer.cells) if cell != state.cell]
        else:
            cells = self._quantizer.neighbours(
                evidence.vector, state.cell, least=least_exemplar(rule, state.layout, evidence)
            )
        copy = EvidenceRecord(
            verdict_id=record.verdict_id,
            decision=record.decision,
            policy=record.policy,
            actor=record.actor,
            time=record.time,
            post=evidence.post,
            post_id=evidence.post_id,
            vector=evidence.vector.astype("<f2").tobytes(),
            supersedes=record.supersedes,
            features=dict(evidence.features),
        )
        return [to_cell(cell, record.verdict_id, copy, record.time) for cell in cells]

    def _await(self, offset: int, record: VerdictRecord, batch: _Batch) -> None:
        """Let a verdict wait for its post."""
        state = self._state
        until = state.clock + int(1000 * state.settings.waiting_seconds)
        state.waiting.add(offset, until, record, state.changes)
        batch.verdicts[record.decision, "waiting"] += 1
        self._give_up(state.clock, batch)

    def _give_up(self, clock: int, batch: _Batch) -> None:
        """Give up the verdicts that have waited too long."""
        state = self._state
        for record in state.waiting.give_up(clock, state.settings.waiting_verdicts, state.changes):
            batch.verdicts[record.decision, "unknown_target"] += 1
            batch.outputs.append(self._not_here(record))

    def _not_here(self, record: VerdictRecord) -> Output:
        """A verdict whose target is not kept here: lost if no other cell was asked, or once all of them say so."""
        if record.asked == 1:
            return _unknown(self._state, record)
        missing = MissingRecord(cell=self._state.cell, verdict=record, time=record.time)
        return to_cell(counting_cell(record.verdict_id, record.asked), record.verdict_id, missing, record.time)

    def _count_waiting(self, offset: int, record: PostRecord, batch: _Batch) -> None:
        """Count the verdicts that have waited for this post: it is judged again by them, and so are others kept."""
        for verdict in self._state.waiting.take(record.post_id, self._state.changes):
            self._fold_verdict(offset, verdict, batch, before=offset + 1)

    def _fold_settings(self, offset: int, record: SettingsRecord, batch: _Batch) -> None:
        """Obey new settings; those that a first owner wrote down are what the cell began with."""
        state = self._state
        if record.first or record.settings == state.settings:
            return
        cause = f"settings-{offset}"
        changed = state.obey(record.settings, offset)
        batch.notices.append(
            f"settings {record.settings.digest} (policies version {record.settings.policies_version}) of "
            f"{record.actor or 'unknown'} in force from offset {offset} on"
        )
        clusters = {cluster for found in changed.values() for cluster in found}
        if clusters:
            batch.outputs += reach_back(state, cause, Change(clusters, set(changed), adds=False), offset, record.time)


def _check_order(offsets: Sequence[int]) -> None:
    if any(one >= two for one, two in itertools.pairwise(offsets)):
        raise ValueError(f"log offsets must ascend from the position {offsets[0] + 1}, and stay below {offsets[-1]}")


def _may_wait(record: VerdictRecord) -> bool:
    """Whether the target may still come: a post can, a flag or a cluster was there when it was named."""
    bare = record.post_id is not None and record.flag_id is None and record.cluster_id is None
    return bare and POLICY_NAME.fullmatch(record.policy) is not None


def _unknown(state: CellState, record: VerdictRecord) -> Output:
    detail = (
        f"no post, flag or cluster {target_of(record)!r} is kept in its cell; "
        "repeat the verdict with cell and cell_offset"
    )
    return dead_verdict(state, record, "unknown-target", detail)
