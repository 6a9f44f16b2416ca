"""Kept posts are what posts to come are like: their own cluster is taken as it were without them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from consumers.changes.kept_posts import read_clusters, sample_posts
from consumers.contracts.cell_log import EraseRecord
from consumers.state.codec import Entry
from tests.cells import small_cells as cells
from tests.cells.small_cells import SIZE, START, Cell, directions, near, post, verdict

if TYPE_CHECKING:
    from consumers.contracts.cell_log import Record
    from consumers.state.codec import Kind
    from consumers.state.store import StateStore

HALF_LIFE = 3.0
CENTRES = directions(3)
COUNT = 12
LONELY = directions(5)[4]


class Reader:
    """What a store reads of a cell in memory."""

    def __init__(self, cell: Cell) -> None:
        self._hashes = cell.store.hashes

    def entries(self, _: int, kind: Kind) -> list[Entry]:
        return [Entry(kind, name, value) for name, value in self._hashes.get(kind, {}).items()]


def folded(*further: Record) -> StateStore:
    """Posts around three centres, a second after each other; from the ninth on one of the clusters does not fade."""
    cell = Cell(cells.settings(half_life_seconds=HALF_LIFE))
    posts = [post(number, near(CENTRES[number % 3], 0.9, number)) for number in range(COUNT)]
    upheld = verdict(1, post_id="post-0", time=START + 8_000)
    cell.add(*posts[:9], upheld, *posts[9:], post(COUNT, LONELY), *further)
    return cast("StateStore", Reader(cell))


def test_a_cluster_without_a_post_is_what_an_erasure_leaves_of_it() -> None:
    store = folded()
    clusters = read_clusters(store, 0)
    sample = sample_posts(store, 0, clusters, HALF_LIFE)
    assert len(sample.posts) == COUNT + 1
    assert len(clusters) == 4
    names = [entry.field for entry in store.entries(0, "members")]
    offsets = [*range(9), *range(10, 14)]
    for name, home, other in zip(names, sample.homes, sample.others, strict=True):
        number = offsets.index(int(name))
        after = read_clusters(folded(EraseRecord(erase_id="e", post_id=f"post-{number}", time=START)), 0)
        left = dict(zip(after.keys, after.centroids, strict=True)).get(clusters.keys[home], np.zeros(SIZE))
        assert np.allclose(other, left, atol=1e-5)
        assert (number == COUNT) == (not other.any()), "one is all that its cluster holds"


def test_a_post_that_came_after_the_clusters_were_read_is_one_to_come() -> None:
    store = folded(post(COUNT + 1, CENTRES[0]))
    sample = sample_posts(store, 0, read_clusters(folded(), 0), HALF_LIFE)
    assert np.count_nonzero(sample.homes == -1) == 1
    assert not sample.others[sample.homes == -1].any()


def test_a_cell_without_clusters_has_no_centroids() -> None:
    clusters = read_clusters(cast("StateStore", Reader(Cell())), 0)
    assert (len(clusters), clusters.centroids.shape) == (0, (0, 0))
