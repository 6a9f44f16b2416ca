"""Lists by which large cells search: learned from what Redis holds, and put in force through the cells' logs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from consumers.changes.settings import Change, settings_in_force, write_changes
from consumers.checks.findings import CheckError, Finding
from consumers.contracts.fold_settings import SearchLists
from consumers.state import codec
from consumers.state.codec import MemberValue
from consumers.state.reading import list_centroids, opened_state
from consumers.steps.place import read_vectors
from models.lists import learn_directions, recall_by_probes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from consumers.contracts.fold_settings import FoldSettings
    from consumers.settings import Settings
    from consumers.state.store import StateStore

LARGEST_BYTES = 600_000
"""Of the directions of a cell, which stand in one record of its log and are kept with its state."""

LEAST_POSTS = 1_000
"""Kept posts that the recall is measured on, at least: of fewer, one in a thousand says nothing."""

MOST_POSTS = 4_000


class Learned(NamedTuple):
    """Lists for a cell, and the share of kept posts whose nearest cluster they find."""

    lists: SearchLists
    recall: float


def put_in_lists(
    settings: Settings, *, recall: float, least: int, drop: bool, actor: str, dry_run: bool
) -> Iterator[Finding]:
    """Give each cell of `least` clusters or more lists that find this share of the nearest clusters.

    Args:
        drop: compare every post with all clusters again instead.

    Raises:
        CheckError: a cell keeps too few posts to measure that share.
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
    posts: NDArray[np.float32],
    *,
    join: float,
    recall: float,
    count: int | None = None,
) -> Learned:
    """Lists for these clusters, with as few probes as find this share of the posts' nearest clusters.

    Args:
        centroids, posts: float32 (n, size) and (m, size), unit rows.
        join: cosine from which a post joins.
        count: of lists; four times the root of the clusters when left out, as far as they fit a record.
    """
    size = centroids.shape[1]
    wanted = 4 * math.isqrt(len(centroids)) if count is None else count
    directions = learn_directions(centroids, max(1, min(wanted, LARGEST_BYTES // (2 * size))))
    shares = recall_by_probes(directions.astype(np.float32), centroids, posts, join)
    probes = int(np.argmax(shares >= recall)) + 1
    lists = SearchLists(size=size, probes=probes, directions=directions.astype("<f2").tobytes())
    return Learned(lists, float(shares[probes - 1]))


def _learned(
    store: StateStore, cell: int, settings: FoldSettings, recall: float, least: int
) -> tuple[SearchLists | None, str]:
    """The lists of a cell and what to say of them; none for a cell with few clusters."""
    centroids = [row for _, row in list_centroids(store, cell, settings.half_life_seconds)]
    if len(centroids) < max(1, least):
        return None, f"all of {len(centroids)} clusters"
    posts = _kept_posts(store, cell, len(centroids[0]))
    if len(posts) < LEAST_POSTS:
        raise CheckError(
            f"cell {cell}: it keeps {len(posts)} posts, and the recall is measured on {LEAST_POSTS}; try again later"
        )
    found = learn_lists(np.stack(centroids).astype(np.float32), posts, join=settings.join, recall=recall)
    told = f"lists {found.lists} of {len(centroids)} clusters, which find {found.recall:.4f} of {len(posts)} posts'"
    return found.lists, told


def _kept_posts(store: StateStore, cell: int, size: int) -> NDArray[np.float32]:
    """Some of the posts that a cell keeps, evenly: float32 (n, size), unit rows."""
    entries = list(store.entries(cell, "members"))
    picked = entries[:: max(1, len(entries) // MOST_POSTS)][:MOST_POSTS]
    vectors = read_vectors([codec.decode(MemberValue, entry).vector for entry in picked], size)
    rows = [vector / np.linalg.norm(vector) for vector in vectors if vector is not None]
    return np.stack(rows) if rows else np.empty((0, size), dtype=np.float32)
