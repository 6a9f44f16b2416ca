from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from consumers.state.reading import list_centroids, list_clusters, show_cluster
from consumers.state.store import StateStore
from tests.cells import small_cells as cells
from tests.cells.small_cells import START, Cell, directions, near, post, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.contracts.cell_log import Record
    from tests.state.conftest import StateRedis

pytestmark = pytest.mark.redis

A, B = directions(2)
HALF_LIFE = 1000.0


class StoredCell:
    """A cell whose every batch is written to Redis."""

    def __init__(self, store: StateStore, **assign: float) -> None:
        self.cell = Cell(cells.settings(**assign))
        self.store = store
        store.claim(0, "one")
        store.write(0, "one", None, 0, self.cell.fold.first_changes(), b"")

    def add(self, *records: Record) -> None:
        start = self.cell.fold.position
        folded = self.cell.add(*records)
        self.store.write(0, "one", start, folded.position, folded.changes, b"")


@pytest.fixture
def store(state_redis: StateRedis) -> Iterator[StateStore]:
    made = StateStore(state_redis.settings, "small-1", 1)
    yield made
    made.close()


def test_clusters_are_listed_with_their_labels(store: StateStore) -> None:
    cell = StoredCell(store)
    cell.add(post(0, A), post(1, near(A, 0.9)), post(2, B), verdict(1, post_id="post-0"))
    cell.add(post(3, B, time=START + 2_000 + 1_000_000))
    first, second = sorted(list_clusters(store, 0, HALF_LIFE), key=lambda found: found.cluster_id)
    assert (first.cluster_id, first.count, first.members) == ("0-0", 2, (0, 1))
    assert first.weight == pytest.approx(2.0, abs=0.01)
    assert first.cohesion == pytest.approx(0.9, abs=0.001)
    assert (first.labels["scam"].state, first.labels["scam"].upheld) == ("violating", 1)
    assert (first.opened, first.seen) == (START, START + 1_000)
    assert second.labels == {}
    assert second.weight == pytest.approx(1.5, abs=0.001)


def test_centroids_are_read_as_they_are_kept(store: StateStore) -> None:
    """The sum of a lone post is kept in half precision, others are not."""
    cell = StoredCell(store)
    cell.add(post(0, A), post(1, A), post(2, B))
    found = {summary.cluster_id: centroid for summary, centroid in list_centroids(store, 0, HALF_LIFE)}
    assert found["0-0"] == pytest.approx(A, abs=1e-3)
    assert found["0-2"] == pytest.approx(B, abs=1e-3)


def test_an_unlabelled_cluster_is_shown_at_its_present_weight(store: StateStore) -> None:
    cell = StoredCell(store)
    cell.add(post(0, A), post(1, B, time=START + 2_000_000))
    found = {cluster.cluster_id: cluster.weight for cluster in list_clusters(store, 0, HALF_LIFE)}
    assert found["0-0"] == pytest.approx(0.25)
    assert found["0-1"] == pytest.approx(1.0)


def test_one_cluster_is_shown_with_members_and_evidence(store: StateStore) -> None:
    cell = StoredCell(store)
    cell.add(post(0, A), verdict(1, post_id="post-0"), post(1, near(A, 0.9)), post(2, B))
    found = show_cluster(store, "0-0", HALF_LIFE)
    assert found is not None
    assert [(offset, member.post_id) for offset, member in found.members] == [(0, "post-0"), (2, "post-1")]
    assert [(piece.actor, piece.upheld, piece.post_id) for piece in found.evidence] == [("ada", True, "post-0")]


def test_a_merged_cluster_is_found_under_its_old_id(store: StateStore) -> None:
    other = near(A, 0.88, seed=5)
    middle = (A + other) / 2
    middle /= (middle @ middle) ** 0.5
    cell = StoredCell(store, join=0.9, maintenance_records=5)
    cell.add(post(0, A), post(1, other))
    cell.add(*(post(number, near(middle, 0.995, seed=number)) for number in range(2, 12)))
    found = show_cluster(store, "0-1", HALF_LIFE)
    assert found is not None
    assert found.summary.cluster_id == "0-0"


@pytest.mark.parametrize("cluster", ["0-9", "1-0", "nonsense", "", "0-", "-1-2", "²-1"])
def test_an_unknown_cluster_is_none(store: StateStore, cluster: str) -> None:
    StoredCell(store).add(post(0, A))
    assert show_cluster(store, cluster, HALF_LIFE) is None


def test_an_empty_redis_lists_nothing(store: StateStore) -> None:
    assert list(list_clusters(store, 0, HALF_LIFE)) == []
    assert show_cluster(store, "0-0", HALF_LIFE) is None
