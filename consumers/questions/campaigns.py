"""The campaigns of now: micro-clusters of all cells that belong together, what they hold, and whether they grow."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec
import numpy as np

from consumers.names import place_of_cluster
from consumers.state import codec
from consumers.state.codec import MemberValue
from consumers.state.reading import list_centroids, opened_state
from models.campaigns import join_clusters, split_clusters, usual_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from consumers.settings import Settings
    from consumers.state.reading import ClusterSummary
    from consumers.state.store import StateStore

Method = Literal["dbscan", "kmeans"]
SAMPLES = 5
MOST_MEMBERS = 2_000
"""Kept posts of a campaign that are looked at, the latest of each cell."""


class Campaign(msgspec.Struct, frozen=True, kw_only=True):
    """Micro-clusters that belong together.

    Attributes:
        campaign: the id of its largest micro-cluster.
        recent, before: posts in the last `window_seconds` by the cells' clock, and in as long a time before that.
        complete: whether every post of these times is still kept; else `recent` and `before` are lower bounds.
        labels: `POLICY STATE` -> how many of its micro-clusters.
        opened, seen: milliseconds since 1970.
        samples: post ids, the latest of different micro-clusters first.
        cluster_ids: the largest first.
    """

    campaign: str
    posts: int
    clusters: int
    cells: int
    weight: float
    recent: int
    before: int
    complete: bool
    window_seconds: float
    labels: dict[str, int]
    opened: int
    seen: int
    samples: tuple[str, ...]
    cluster_ids: tuple[str, ...]


class Found(NamedTuple):
    """What is there: the campaigns shown, how many there are, and all micro-clusters with their campaign's name."""

    campaigns: list[Campaign]
    total: int
    clusters: list[ClusterSummary]
    centroids: NDArray[np.float32]
    of: list[str]


def find_campaigns(
    settings: Settings, *, method: Method, count: int | None, limit: int, window_seconds: float
) -> Found:
    """The campaigns with the most posts.

    Args:
        count: of campaigns that k-means makes; as many as DBSCAN finds when left out.
        limit: how many are looked at closely.

    Raises:
        StateUnavailable, CodecError: Redis does not answer as it should.
    """
    with opened_state(settings) as (manifest, store):
        half_life = settings.assign.half_life_seconds or manifest.half_life_seconds
        listed = [one for cell in range(store.cells) for one in list_centroids(store, cell, half_life)]
        if not listed:
            return Found([], 0, [], np.empty((0, manifest.fused_dimension), dtype=np.float32), [])
        clusters, centroids = [one for one, _ in listed], np.stack([row for _, row in listed])
        posts = np.array([one.count for one in clusters])
        marks = join_clusters(centroids, posts, least=manifest.thresholds.exemplar)
        if method == "kmeans":
            marks = split_clusters(centroids, posts, count or usual_count(marks, posts))
        groups: dict[int, list[ClusterSummary]] = {}
        for mark, one in zip(marks.tolist(), clusters, strict=True):
            groups.setdefault(mark, []).append(one)
        for group in groups.values():
            group.sort(key=lambda one: (-one.count, one.cluster_id))
        names = {mark: group[0].cluster_id for mark, group in groups.items()}
        ranked = sorted(groups.values(), key=lambda group: (-sum(one.count for one in group), group[0].cluster_id))
        clock = max(one.seen for one in clusters)
        shown = [_campaign(store, group, clock, window_seconds) for group in ranked[:limit]]
    return Found(shown, len(groups), clusters, centroids, [names[mark] for mark in marks.tolist()])


def _campaign(store: StateStore, group: Sequence[ClusterSummary], clock: int, window_seconds: float) -> Campaign:
    window = int(1000 * window_seconds)
    members = _members(store, group)
    times = [member.time for _, member in members]
    kept_since = _kept_since(group, dict(members))
    return Campaign(
        campaign=group[0].cluster_id,
        posts=sum(one.count for one in group),
        clusters=len(group),
        cells=len({one.cluster_id.partition("-")[0] for one in group}),
        weight=sum(one.weight for one in group),
        recent=sum(clock - window < time for time in times),
        before=sum(clock - 2 * window < time <= clock - window for time in times),
        complete=kept_since <= clock - 2 * window,
        window_seconds=window_seconds,
        labels=dict(Counter(f"{policy} {label.state}" for one in group for policy, label in one.labels.items())),
        opened=min(one.opened for one in group),
        seen=max(one.seen for one in group),
        samples=tuple(_samples(group, dict(members))),
        cluster_ids=tuple(one.cluster_id for one in group),
    )


def _members(store: StateStore, group: Sequence[ClusterSummary]) -> list[tuple[tuple[int, int], MemberValue]]:
    """The latest kept posts of a campaign, by cell and offset."""
    offsets: dict[int, list[int]] = {}
    for one in group:
        offsets.setdefault(_cell(one), []).extend(one.members)
    return [
        ((cell, int(entry.field)), codec.decode(MemberValue, entry))
        for cell, found in offsets.items()
        for entry in store.some_entries(cell, "members", [str(offset) for offset in sorted(found)[-MOST_MEMBERS:]])
    ]


def _kept_since(group: Sequence[ClusterSummary], members: dict[tuple[int, int], MemberValue]) -> int:
    """Since when no post of the campaign is missing among those that were read."""
    since = 0
    for one in group:
        known = [members[_cell(one), offset].time for offset in one.members if (_cell(one), offset) in members]
        if len(known) < one.count:
            since = max(since, min(known, default=one.seen))
    return since


def _samples(group: Sequence[ClusterSummary], members: dict[tuple[int, int], MemberValue]) -> list[str]:
    """Ids of posts, the latest of every micro-cluster first."""
    kept = [[(_cell(one), offset) for offset in reversed(one.members)] for one in group]
    turns = [found[turn] for turn in range(SAMPLES) for found in kept if turn < len(found)]
    return list(dict.fromkeys(members[place].post_id for place in turns if place in members))[:SAMPLES]


def _cell(one: ClusterSummary) -> int:
    place = place_of_cluster(one.cluster_id)
    return 0 if place is None else place[0]
