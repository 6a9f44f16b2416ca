"""A flag: a decision that a moderator must see. A retraction is a later revision of the same flag."""

from __future__ import annotations

from typing import Literal

import msgspec

from consumers.contracts.source import Source

SCHEMA = "shoal.flag/1"


class NearestExemplar(msgspec.Struct, frozen=True):
    """The post a moderator confirmed that is nearest to the flagged one."""

    post_id: str
    similarity: float


class NearestFlagged(msgspec.Struct, frozen=True):
    """An earlier flagged post of the same campaign that the flagged one is near to, over the latter's parts."""

    post_id: str
    similarity: float


class Flag(msgspec.Struct, frozen=True, kw_only=True):
    """One revision of a flag; the highest revision wins.

    Attributes:
        revision: the cell-log offset of the record that caused it.
        cause: `live`: the post itself. `retroactive`: a verdict after it. Else the verdict that took the flag back,
            or the change of settings.
        bound: the lower bound of the cluster's violation rate under this policy.
        similarity: cosine to the cluster's centroid, or to the exemplar under a policy for one modality alone;
            `shares` sum to it.
        exemplar: none in a retraction.
        trail: the earlier flagged post by which this one is known, where the exemplar is not near enough by itself.
        thresholds: what the bound and the cosines had to reach.
    """

    schema: Literal["shoal.flag/1"] = "shoal.flag/1"
    flag_id: str
    revision: int
    action: Literal["flag", "retract"]
    mode: Literal["live", "shadow"]
    cause: str
    post_id: str
    source: Source
    policy: str
    severity: str
    cluster_id: str
    bound: float
    cell: int
    cell_offset: int
    similarity: float
    shares: dict[str, float]
    exemplar: NearestExemplar | None
    thresholds: dict[str, float]
    bundle: str
    policy_version: str
    decided_at: str
    trail: NearestFlagged | None = None
