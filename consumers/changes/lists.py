"""Lists by which large cells search: learned from what Redis holds, and put in force through the cells' logs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from consumers.changes.kept_posts import read_clusters, sample_posts
from consumers.changes.settings import Change, settings_in_force, write_changes
from consumers.checks.findings import CheckError, Finding
from consumers.contracts.fold_settings import SearchLists
from consumers.state.reading import opened_state
from models.lists import found_by_probes, learn_directions, sure_share

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from consumers.contracts.fold_settings import FoldSettings
    from consumers.settings import Settings
    from consumers.state.store import StateStore
    from models.lists import Sample

LARGEST_BYTES = 600_000
"""Of the directions of a cell, which stand in one record of its log and are kept with its state."""


class Learned(NamedTuple):
    """Lists for a cell.

    Attributes:
        recall: share of the posts looked at whose nearest cluster they find.
        posts: how many those are.
    """

    lists: SearchLists
    recall: float
    posts: int


def put_in_lists(
    settings: Settings, *, recall: float, least: int, drop: bool, actor: str, dry_run: bool
) -> Iterator[Finding]:
    """Give each cell of `least` clusters or more lists that surely find this share of the nearest clusters.

    Args:
        drop: compare every post with all clusters again instead.

    Raises:
        CheckError: a cell keeps too few posts to be sure of that share.
        StateUnavailable, CodecError, KafkaException: Redis or Kafka do not answer as they should.
        Aborted: Kafka refused, and nothing was written.
    """
    in_force = settings_in_force(settings)
    found: list[Change] = []
    with opened_state(settings) as (manifest, store):
        for cell, before in enumerate(in_force):
            after, told = (None, "all clusters") if drop else _learned(store, cell, before, recall, least)
            yield Finding(f"cell {cell}", "hint", f"{told}, {before.lists or 'all clusters'} before")
            found.append(Change(cell, before, msgspec.structs.replace(before, lists=after)))
        bundle = manifest.bundle_id
    changed = [change for change in found if change.before != change.after]
    if not changed:
        yield Finding("lists", "good", "nothing to change")
    elif dry_run:
        yield Finding("lists", "good", "would change as told; nothing was written")
    else:
        write_changes(settings, bundle, changed, actor)
        yield Finding("lists", "good", f"in the log of {len(changed)} cell(s), in force from there on")


def learn_lists(
    centroids: NDArray[np.float32],
    sample: Sample,
    *,
    join: float,
    recall: float,
    count: int | None = None,
) -> Learned | None:
    """Lists for these clusters, with as few probes as surely find this share of posts' nearest clusters.

    None when so few posts cannot tell.

    Args:
        centroids: float32 (n, size), unit rows.
        sample: what the choice is made on.
        join: cosine from which a post joins.
        count: of lists; four times the root of the clusters when left out, as far as they fit a record.
    """
    size = centroids.shape[1]
    wanted = 4 * math.isqrt(len(centroids)) if count is None else count
    directions = learn_directions(centroids, max(1, min(wanted, LARGEST_BYTES // (2 * size))))
    found = found_by_probes(directions.astype(np.float32), centroids, sample, join)
    usable = int(found[-1])
    enough = np.flatnonzero(sure_share(found, usable) >= recall)
    if not enough.size:
        return None
    probes = int(enough[0]) + 1
    lists = SearchLists(size=size, probes=probes, directions=directions.astype("<f2").tobytes())
    return Learned(lists, float(found[probes - 1] / usable), usable)


def _learned(
    store: StateStore, cell: int, settings: FoldSettings, recall: float, least: int
) -> tuple[SearchLists | None, str]:
    """The lists of a cell and what to say of them; none for a cell with few clusters."""
    clusters = read_clusters(store, cell)
    if len(clusters) < max(1, least):
        return None, f"all of {len(clusters)} clusters"
    sample = sample_posts(store, cell, clusters, settings.half_life_seconds)
    found = learn_lists(clusters.centroids, sample, join=settings.join, recall=recall)
    if found is None:
        raise CheckError(
            f"cell {cell}: the posts it keeps ({len(sample.posts)} were looked at, those that nothing else is near "
            f"do not count) are too few to tell whether {recall} of the nearest clusters are found; try again later, "
            "or ask for less (--recall)"
        )
    told = f"lists {found.lists} of {len(clusters)} clusters, which find {found.recall:.4f} of {found.posts} posts'"
    return found.lists, told
