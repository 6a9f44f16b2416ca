"""Forgetting a post: where a cell holds it, and what is left without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from consumers.steps.place import read_vector
from models.exact import dot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from consumers.cells.cell import CellState
    from models.policies import Evidence

SAME = 0.999
"""Cosine from which a centroid that a verdict kept is that of one post alone, up to rounding."""


def forget_post(state: CellState, post_id: str) -> int:
    """Take a post out of members, sums, evidence, flagged posts and waiting verdicts; gives how many entries held it.

    Labels follow from the evidence that is left, for the posts after this record; flags given before stay: that a
    post is erased is no verdict on others.
    """
    members = [offset for offset, member in state.members.items() if member.post_id == post_id]
    flagged = state.flagged.every(post_id)
    pieces = _pieces(state, post_id, [*members, *flagged])
    faded = _faded(state, members, pieces)
    state.book.forget(pieces, state.changes)
    for cluster in sorted({cluster for cluster, _ in pieces}):
        state.evidence_changed(cluster)
    emptied = {cluster for cluster in faded if not _subtract(state, cluster, members, pieces, faded[cluster])}
    for cluster in sorted(faded):
        _settle(state, cluster, empty=cluster in emptied)
    for offset in flagged:
        state.flagged.drop(offset, state.changes)
    waiting = state.waiting.take(post_id, state.changes)
    missing = state.missing.forget(post_id, state.changes)
    return len(members) + len(flagged) + len(pieces) + len(waiting) + missing


def _pieces(state: CellState, post_id: str, offsets: Sequence[int]) -> list[tuple[int, Evidence]]:
    """The evidence about a post, and about clusters when they were this post and nothing else."""
    found = list(state.book.pieces())
    about = [piece.vector for _, piece in found if piece.post_id == post_id]
    for offset in offsets:
        kept = state.members.get(offset) or state.flagged.get(offset)
        vector = None if kept is None else read_vector(kept.vector, state.size)
        if vector is not None:
            about.append(vector)
    pieces = [
        (cluster, piece)
        for cluster, piece in found
        if piece.post_id == post_id or (piece.post == piece.post_id and _is_one_of(piece.vector, about))
    ]
    return sorted(pieces, key=lambda found: (found[1].offset, found[1].verdict_id))


def _is_one_of(centroid: NDArray[np.float32], vectors: Sequence[NDArray[np.float32]]) -> bool:
    return any(float(dot(centroid, vector)) >= SAME for vector in vectors)


def _faded(state: CellState, members: Sequence[int], pieces: Sequence[tuple[int, Evidence]]) -> dict[int, int | None]:
    """The clusters that hold the post, with the clock until which they have faded.

    A cluster with evidence has not faded since its first verdict, as far as that one still counts.
    """
    clusters = {state.cluster_of_member(offset) for offset in members} | {cluster for cluster, _ in pieces}
    return {
        cluster: min((piece.time for _, piece in state.book.pieces(cluster)), default=None)
        for cluster in sorted(clusters)
    }


def _subtract(
    state: CellState,
    cluster: int,
    members: Sequence[int],
    pieces: Sequence[tuple[int, Evidence]],
    faded: int | None,
) -> bool:
    """Take the post's vectors out of a cluster's sum, as faded as they are; whether anything is left of it."""
    left = True
    for offset in members:
        if offset in state.members and state.cluster_of_member(offset) == cluster:
            _, member = state.take_member(offset)
            vector = read_vector(member.vector, state.size)
            left = left and (vector is None or state.clusters.subtract(cluster, vector, member.clock, faded))
    for _, piece in pieces:
        if state.resolve(piece.offset) == cluster:  # the verdict itself opened it, with its post
            left = left and state.clusters.subtract(cluster, piece.vector, piece.time, faded)
    return left


def _settle(state: CellState, cluster: int, *, empty: bool) -> None:
    """A cluster that holds nobody any more goes; one whose sum is empty goes on with what else it holds."""
    members = [read_vector(state.members[offset].vector, state.size) for offset in state.members_of(cluster)]
    pieces = sorted((piece.offset, piece.verdict_id, piece) for _, piece in state.book.pieces(cluster))
    left = [vector for vector in members if vector is not None] or [piece.vector for *_, piece in pieces]
    if not left:
        state.evict(cluster)
    elif empty:
        state.clusters.replace(cluster, np.stack(left), state.clock)
        state.touch(cluster)
