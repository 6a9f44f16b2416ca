"""What the fold concludes: decisions, flags and retractions, dead verdicts, and records for the cells' logs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec
import numpy as np

from consumers.contracts.cell_log import DeadRecord
from consumers.contracts.decision import Decision, Outcome
from consumers.contracts.flag import Flag, NearestExemplar, NearestFlagged
from consumers.contracts.source import decision_id, flag_id
from consumers.contracts.verdict import FusedVector, Verdict
from consumers.names import cluster_id
from consumers.steps.place import read_vector
from models.policies import Label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from consumers.cells.cell import CellState
    from consumers.contracts.cell_log import PostRecord, Record, VerdictRecord
    from consumers.state.codec import FlaggedValue, MemberValue
    from consumers.steps.place import Placed
    from models.policies import Judgement, PolicyRule

STEP = "assign"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)
EARLIEST_MS, LATEST_MS = -62_135_596_800_000, 253_402_300_799_999
"""What RFC 3339 can say: the years 1 to 9999."""


@dataclass(frozen=True, slots=True)
class DeadVerdict:
    """A verdict that cannot count: the payload of an output of kind `dead_letter`.

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
class CellRecord:
    """A record for the log of a cell, this one or another: the payload of an output of kind `cell`."""

    cell: int
    record: Record


class Output(msgspec.Struct, frozen=True, gc=False):
    """One record to be written to Kafka.

    Attributes:
        kind: `decision` (Decision), `flag` (Flag), `dead_letter` (DeadVerdict) or `cell` (CellRecord).
        key: the record's key; the post_id, or the decision_id of a post without one; a verdict's target.
        timestamp: of the post in the posts topic, or of the verdict, in milliseconds.
    """

    kind: Literal["decision", "flag", "dead_letter", "cell"]
    key: str
    payload: Decision | Flag | DeadVerdict | CellRecord
    timestamp: int


class Cause(NamedTuple):
    """Why a flag is written or taken back: a word for its `cause`, the log offset and the time of the record."""

    name: str
    offset: int
    time: int


class Judged(NamedTuple):
    """What was concluded about one post: its flags, and the policies under which it goes to review or was capped."""

    flags: Sequence[Flag]
    review: Sequence[str]
    capped: Sequence[str]


def decision(state: CellState, post: Placed, judged: Judged) -> Output:
    """The decision on a placed post. A flag in shadow is listed, and leaves the outcome as it would be without it."""
    record, placement = post.record, post.placement
    return _decided(
        Decision(
            decision_id=decision_id(state.bundle, record.source),
            post_id=record.post_id,
            source=record.source,
            cell=state.cell,
            cell_offset=post.offset,
            outcome=_outcome(state, judged) if judged.flags or judged.review else "clear",
            cluster_id=cluster_id(state.cell, placement.cluster),
            opened=placement.opened,
            similarity=placement.similarity,
            shares=state.layout.named(placement.shares),
            parts=record.parts,
            flags=tuple([flag.flag_id for flag in judged.flags]),
            review=tuple(judged.review),
            capped=tuple(judged.capped),
            bundle=state.bundle,
            decided_at=rfc3339(record.time),
        )
    )


def dead_decision(state: CellState, offset: int, record: PostRecord | DeadRecord) -> Output:
    """The decision about a post that encode gave up, or whose record holds no vector of this bundle."""
    reason = record.reason if isinstance(record, DeadRecord) else "invalid-vector"
    return _decided(
        Decision(
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
            decided_at=rfc3339(record.time),
        )
    )


def flag(
    state: CellState,
    offset: int,
    post: PostRecord | MemberValue | FlaggedValue,
    policy: str,
    judgement: Judgement,
    cause: Cause,
) -> Flag:
    """The flag of the post at a log offset."""
    candidate = judgement.candidate
    return Flag(
        flag_id=flag_id(state.bundle, post.source, policy),
        revision=cause.offset,
        action="flag",
        cause=cause.name,
        cluster_id=cluster_id(state.cell, candidate.cluster),
        bound=candidate.label.bound,
        cell=state.cell,
        cell_offset=offset,
        similarity=candidate.similarity,
        shares=state.layout.named(candidate.shares),
        exemplar=NearestExemplar(judgement.exemplar, judgement.similarity),
        trail=None if judgement.trail is None else NearestFlagged(*judgement.trail),
        post_id=post.post_id,
        source=post.source,
        bundle=state.bundle,
        decided_at=rfc3339(cause.time),
        **_of_policy(state.book.rule(policy)),
    )


def retraction(state: CellState, offset: int, post: FlaggedValue, policy: str, cause: Cause) -> Flag:
    """A flag taken back: the same flag_id, a higher revision. Similarity and bound are those of now."""
    given = post.policies[policy]
    cluster = state.resolve(given)
    standing = None if cluster is None else state.book.of(cluster).get(policy)
    label = Label("none", 0.0, 0, 0) if standing is None else standing.label
    vector = read_vector(post.vector, state.size)
    shares = np.zeros(len(state.layout.names))
    if cluster is not None and vector is not None:
        shares = state.layout.shares(vector, state.clusters.centroid(cluster)[None])[0]
    return Flag(
        flag_id=flag_id(state.bundle, post.source, policy),
        revision=cause.offset,
        action="retract",
        cause=cause.name,
        cluster_id=cluster_id(state.cell, given if cluster is None else cluster),
        bound=label.bound,
        cell=state.cell,
        cell_offset=offset,
        similarity=float(sum(shares.tolist())),
        shares=state.layout.named(shares),
        exemplar=None,
        post_id=post.post_id,
        source=post.source,
        bundle=state.bundle,
        decided_at=rfc3339(cause.time),
        **_of_policy(state.book.rule(policy)),
    )


def flagged(flag: Flag) -> Output:
    """The output of a flag or a retraction."""
    return Output("flag", flag.post_id, flag, flag.source.timestamp)


def to_cell(cell: int, key: str, record: Record, time: int) -> Output:
    """A record for a cell's log."""
    return Output("cell", key, CellRecord(cell, record), time)


def dead_verdict(state: CellState, record: VerdictRecord, reason: str, detail: str) -> Output:
    """A verdict that cannot count, as a dead letter; put back, it says the same, also of a post that it brought."""
    target = target_of(record)
    named = record.flag_id is not None or record.cluster_id is not None
    fused = None
    if record.vector is not None and record.cell_offset is None:
        fused = FusedVector(bundle=state.bundle, vector=record.vector, features=record.features)
    verdict = Verdict(
        verdict_id=record.verdict_id,
        decision=record.decision,
        policy=record.policy,
        post_id=None if named else record.post_id,
        flag_id=record.flag_id,
        cluster_id=record.cluster_id,
        fused=fused,
        cell=None if record.cell_offset is None else state.cell,
        cell_offset=record.cell_offset,
        actor=record.actor,
        decided_at=rfc3339(record.time),
        supersedes=record.supersedes,
    )
    return Output("dead_letter", target, DeadVerdict(verdict, reason, STEP, detail), record.time)


def target_of(record: VerdictRecord) -> str:
    """The id of what a verdict is about."""
    return record.flag_id or record.cluster_id or record.post_id or ""


def rfc3339(time: int) -> str:
    """Milliseconds since 1970 in RFC 3339, to the millisecond."""
    seconds, milliseconds = divmod(min(max(time, EARLIEST_MS), LATEST_MS), 1000)
    return f"{_second(seconds)}.{milliseconds:03}Z"


@lru_cache
def _second(seconds: int) -> str:
    """Kept for the last ones: posts come in the order of their times, nearly."""
    return (EPOCH + timedelta(seconds=seconds)).isoformat()


def _outcome(state: CellState, judged: Judged) -> Outcome:
    if any(flag.mode == "live" for flag in judged.flags):
        return "flagged"
    return "review" if any(state.book.rule(policy).mode == "live" for policy in judged.review) else "clear"


def _decided(decision: Decision) -> Output:
    key = decision.decision_id if decision.post_id is None else decision.post_id
    return Output("decision", key, decision, decision.source.timestamp)


def _of_policy(rule: PolicyRule) -> dict[str, Any]:
    return {
        "policy": rule.name,
        "severity": rule.severity,
        "mode": rule.mode,
        "thresholds": rule.thresholds,
        "policy_version": rule.version,
    }
