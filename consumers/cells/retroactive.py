"""Verdicts that reach back: flags for kept posts that match now, retractions of flags that nothing upholds any more.

A verdict that only adds an upheld post takes nothing back: what upheld a flag before still does, even where it is
not among the exemplars that a post is compared with any more, because so many came after it, or lie nearer.

A record looks at a bounded number of posts. What is left is noted in the state, and a `continue` record in the cell's
own log is the next turn: so a label that falls on thousands of posts never holds a batch up, and a crash in between
repeats nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from consumers.cells.conclusions import Cause, flag, flagged, retraction, to_cell
from consumers.contracts.cell_log import ContinueRecord
from consumers.state.codec import UnfinishedValue
from consumers.steps.judge import judge_post, still_stands
from consumers.steps.place import read_vector

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from consumers.cells.cell import CellState
    from consumers.cells.conclusions import Output
    from consumers.cells.evidence import Change
    from consumers.contracts.flag import Flag
    from consumers.state.codec import FlaggedValue, MemberValue
    from models.cluster_table import Nearby

NEIGHBOURS = 64
"""Clusters near a labelled one whose members are looked at too: variants of one campaign fall into several."""

RETROACTIVE = "retroactive"


def reach_back(
    state: CellState,
    cause: str,
    change: Change,
    offset: int,
    time: int,
    *,
    before: int | None = None,
) -> list[Output]:
    """Begin with what changed labels or exemplars mean for the posts kept before log offset `offset`.

    Args:
        cause: the verdict_id, or the name of a settings record.
        change: to the evidence, or what came of it.
        before: `offset` unless it is given: a verdict that has waited also means the very post that it waited for.
    """
    near = {
        other
        for cluster in change.clusters
        if cluster in state.clusters
        for other in state.clusters.nearest(state.clusters.centroid(cluster), NEIGHBOURS, state.settings.attention)
    }
    reached, policies = tuple(sorted(change.clusters | near)), tuple(sorted(change.policies))
    state.finish(cause, UnfinishedValue(policies, reached, before or offset, -1, change.adds))
    return continue_reach(state, ContinueRecord(cause=cause, cursor=-1, time=time), offset)


def continue_reach(state: CellState, record: ContinueRecord, offset: int) -> list[Output]:
    """Look at the next posts; a record whose cursor is not the one noted was followed before, and does nothing."""
    value = state.unfinished.get(record.cause)
    if value is None or value.cursor != record.cursor:
        return []
    posts = _posts(state, value)
    # the post of this very record has its flag under this offset: another revision of it needs a later one
    turn = [post for post in posts[: state.settings.chunk_posts] if post < offset]
    outputs = _look_at(state, turn, value, Cause(record.cause, offset, record.time))
    if len(turn) == len(posts):
        state.finish(record.cause, None)
        return outputs
    cursor = turn[-1] if turn else value.cursor
    state.finish(record.cause, msgspec.structs.replace(value, cursor=cursor))
    following = ContinueRecord(cause=record.cause, cursor=cursor, time=record.time)
    return [*outputs, to_cell(state.cell, record.cause, following, record.time)]


def _posts(state: CellState, value: UnfinishedValue) -> list[int]:
    """Log offsets of the posts still to be looked at, ascending."""
    found = {state.resolve(cluster) for cluster in value.clusters}
    clusters = {cluster for cluster in found if cluster is not None}
    posts = {offset for cluster in clusters for offset in state.members_of(cluster)}
    if value.adds:  # under one policy
        posts = {offset for offset in posts if not _has_flags(state, offset, value.policies)}
    else:
        posts.update(state.flagged.flagged_by(clusters | set(value.clusters), value.policies))
    return sorted(offset for offset in posts if value.cursor < offset < value.before)


def _has_flags(state: CellState, offset: int, policies: Iterable[str]) -> bool:
    post = state.flagged.get(offset)
    return post is not None and post.policies.keys() >= set(policies)


def _look_at(state: CellState, offsets: list[int], value: UnfinishedValue, cause: Cause) -> list[Output]:
    """The flags and retractions of some kept posts."""
    kept: list[tuple[int, FlaggedValue | MemberValue]] = []
    vectors: list[NDArray[np.float32]] = []
    for offset in offsets:
        post: FlaggedValue | MemberValue = state.flagged.get(offset) or state.members[offset]
        vector = read_vector(post.vector, state.size)
        if vector is not None:
            kept.append((offset, post))
            vectors.append(vector)
    outputs: list[Output] = []
    near = state.clusters.near_many(np.stack(vectors)) if vectors else []
    for (offset, post), vector, nearby in zip(kept, vectors, near, strict=True):
        outputs += map(flagged, _conclude(state, offset, post, vector, nearby, value, cause))
    return outputs


def _conclude(
    state: CellState,
    offset: int,
    post: FlaggedValue | MemberValue,
    vector: NDArray[np.float32],
    nearby: Sequence[Nearby],
    value: UnfinishedValue,
    cause: Cause,
) -> Iterator[Flag]:
    """The flags and retractions of one kept post."""
    before = state.flagged.get(offset)
    given = {} if before is None else before.policies
    asked = set(value.policies).difference(given)
    judgements = judge_post(vector, nearby, state.book, post.features, state.trails(before=offset), asked)
    for policy in value.policies:
        judgement = judgements.get(policy)
        known = state.flagged.get(offset)
        if known is not None and policy in given:
            followed = policy in known.followed
            if not still_stands(vector, policy, nearby, state.book, post.features, followed=followed):
                yield retraction(state, offset, known, policy, cause)
                state.flagged.retract(offset, policy, state.changes)
        elif judgement is not None and judgement.action == "flag":
            cluster = judgement.candidate.cluster
            if state.book.permit(cluster, policy, state.changes) == "flag":
                yield flag(state, offset, post, policy, judgement, cause._replace(name=RETROACTIVE))
                followed = judgement.trail is not None
                state.flagged.add(offset, post, policy, cluster, state.changes, followed=followed)
