"""A verdict: a moderator upholds or overturns that a post, a flag or a cluster violates a policy."""

from __future__ import annotations

from typing import Literal

import msgspec

SCHEMA = "shoal.verdict/1"


class Verdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Names its target by exactly one of `post_id`, `flag_id` and `cluster_id`.

    Attributes:
        verdict_id: unique; a second verdict with the same id does nothing.
        decision: `uphold` (it violates the policy) or `overturn` (it does not).
        cell: the cell of the flag or decision it answers; repeat it so that the verdict finds its post at once.
        cell_offset: the offset in that cell's log, likewise.
        actor: who decided; one piece of evidence per actor, policy and near-duplicate.
        decided_at: RFC 3339.
    """

    schema: Literal["shoal.verdict/1"] = "shoal.verdict/1"
    verdict_id: str
    decision: Literal["uphold", "overturn"]
    policy: str
    post_id: str | None = None
    flag_id: str | None = None
    cluster_id: str | None = None
    cell: int | None = None
    cell_offset: int | None = None
    actor: str = "unknown"
    decided_at: str | None = None
    note: str | None = None
    supersedes: str | None = None
