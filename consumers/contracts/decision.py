"""A decision: what became of one post. Every post gets exactly one."""

from __future__ import annotations

from typing import Literal

import msgspec

from consumers.contracts.source import Source

SCHEMA = "shoal.decision/1"

Outcome = Literal["clear", "flagged", "review", "dead_letter"]


class Decision(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Written by the owner of the cell the post fell into.

    Attributes:
        similarity: cosine to the centroid of the cluster it joined, before it joined; 1 when it opened it.
        shares: each modality's part of `similarity`; they sum to it.
        parts: modality -> `used`, `absent` or the reason it was dropped; `post` -> reason, for a dead letter.
        flags: ids of the flags written with it.
        review: policies under which a moderator should look: the evidence is mixed, or the post is one of the sample
            beyond a label's cap.
        capped: policies that it matches, beyond what the verdicts so far may flag.
        decided_at: effective time of the record in RFC 3339: a replay writes the same bytes.
    """

    schema: Literal["shoal.decision/1"] = "shoal.decision/1"
    decision_id: str
    post_id: str | None
    source: Source
    cell: int
    cell_offset: int
    outcome: Outcome
    cluster_id: str | None
    opened: bool
    similarity: float | None
    shares: dict[str, float]
    parts: dict[str, str]
    flags: tuple[str, ...]
    review: tuple[str, ...] = ()
    capped: tuple[str, ...] = ()
    bundle: str
    decided_at: str
