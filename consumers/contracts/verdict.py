"""A verdict: a moderator upholds or overturns that a post, a flag or a cluster violates a policy."""

from __future__ import annotations

from typing import Literal

import msgspec

from consumers.contracts.post import Post

SCHEMA = "shoal.verdict/1"


class FusedVector(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A post as a bundle sees it.

    Attributes:
        bundle: the bundle's id; only this bundle can read it.
        vector: the fused vector, little-endian float16; in base64.
        features: for verification, by modality; in base64.
    """

    bundle: str
    vector: bytes
    features: dict[str, bytes] = {}


class Verdict(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Names its target by exactly one of `post_id`, `flag_id`, `cluster_id` and `post`.

    Attributes:
        verdict_id: unique; a second verdict with the same id does nothing.
        decision: `uphold` (it violates the policy) or `overturn` (it does not).
        cell: the cell of the flag or decision it answers; repeat it so that the verdict finds its post at once.
        cell_offset: the offset in that cell's log, likewise.
        actor: who decided; one piece of evidence per actor, policy and near-duplicate.
        post: the whole post, which need never have been published.
        fused: the vector of the post that `post_id` names, which need never have been published here.
        decided_at: RFC 3339.
        supersedes: the verdict_id of an earlier verdict that counts no more.
    """

    schema: Literal["shoal.verdict/1"] = "shoal.verdict/1"
    verdict_id: str
    decision: Literal["uphold", "overturn"]
    policy: str
    post_id: str | None = None
    flag_id: str | None = None
    cluster_id: str | None = None
    post: Post | None = None
    fused: FusedVector | None = None
    cell: int | None = None
    cell_offset: int | None = None
    actor: str = "unknown"
    decided_at: str | None = None
    note: str | None = None
    supersedes: str | None = None
