"""The settings that the fold of a cell obeys, with every number resolved: they stand in the cell log."""

from __future__ import annotations

import hashlib

import msgspec

from models.policies import PolicyRule, centroid_beside

FOLD = 3
"""The fold of this version of Shoal. Raise it with any change after which the same log gives other bytes."""


class SearchLists(msgspec.Struct, frozen=True, kw_only=True):
    """Lists of clusters by direction (models.lists).

    Attributes:
        probes: lists that a post looks into.
        directions: little-endian float16, one row of the fused dimension for each list.
    """

    size: int
    probes: int
    directions: bytes

    @property
    def count(self) -> int:
        """How many lists there are."""
        return len(self.directions) // (2 * self.size)

    def __str__(self) -> str:
        digest = hashlib.sha256(self.directions).hexdigest()[:6]
        return f"{self.probes} of {self.count} ({digest})"


class FoldSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All that the state of a cell depends on beside its records.

    Attributes:
        fold: the version of the fold they were written for; 0 stands for those before there were numbers.
        join, cohesion, twin: the bundle's thresholds of micro-clusters, or what the settings put in their place.
        half_life_seconds, fade_weight, maximum_clusters: how unlabelled clusters fade, and how many are kept.
        labelled_clusters: clusters with evidence that are kept; a verdict that would need one more is refused.
        members, exemplars: kept for a cluster, and for a cluster and policy.
        maintenance_records: twins are merged and faded clusters evicted at multiples of it.
        chunk_posts: kept posts looked at by one record when a verdict reaches back.
        flagged_posts, retraction_seconds: how many flagged posts are kept for retractions, and how long.
        waiting_verdicts, waiting_seconds: verdicts on posts not known yet: how many wait, and how long.
        lists: by which a post is compared with some of the clusters; None compares it with all of them.
        policies_version: of the file that the policies were read from; 0 for those of a worker's own settings.
        policies: by name; a policy that is not among them has the thresholds of `other`.
    """

    fold: int = 0
    join: float
    cohesion: float
    twin: float
    half_life_seconds: float
    fade_weight: float
    maximum_clusters: int
    labelled_clusters: int
    members: int
    exemplars: int
    maintenance_records: int
    chunk_posts: int
    flagged_posts: int
    retraction_seconds: float
    waiting_verdicts: int
    waiting_seconds: float
    lists: SearchLists | None = None
    policies_version: int = 0
    policies: tuple[PolicyRule, ...]
    other: PolicyRule

    def rule(self, name: str) -> PolicyRule:
        """The policy called `name`."""
        found = next((rule for rule in self.policies if rule.name == name), None)
        return msgspec.structs.replace(self.other, name=name) if found is None else found

    @property
    def attention(self) -> float:
        """Clusters with evidence are looked at from this cosine on: the least that any policy may ask for."""
        asked = [self.other, *(rule for rule in self.policies if rule.alone is None)]
        least = [centroid_beside(rule, rule.exemplar - rule.most_relief) for rule in asked]
        return min(least + [rule.reach for rule in asked if rule.trail < 1.0])

    @property
    def digest(self) -> str:
        """Twelve hex digits that change with anything in them."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()[:12]
