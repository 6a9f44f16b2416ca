"""Which micro-clusters belong together, by the cells' state."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from consumers.alerting.relatives import Relatives
from consumers.settings import Redis
from consumers.state.store import StateStore
from tests.cells.small_cells import directions, near, post
from tests.state.test_reading import StoredCell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.state.conftest import StateRedis

pytestmark = pytest.mark.redis

BUNDLE = "small-1"
A, B = directions(2)


@pytest.fixture
def store(state_redis: StateRedis) -> Iterator[StateStore]:
    made = StateStore(state_redis.settings, BUNDLE, 1)
    yield made
    made.close()


def test_clusters_whose_centroids_are_near_belong_together(store: StateStore) -> None:
    StoredCell(store, join=0.95).add(post(0, A), post(1, near(A, 0.9)), post(2, B))
    relatives = Relatives(store, BUNDLE, 0.85)
    assert relatives.of(BUNDLE, "0-0", ["0-1", "0-2"]) == ["0-1"]
    assert relatives.of(BUNDLE, "0-2", ["0-0", "0-1"]) == []
    assert relatives.of("another-1", "0-0", ["0-1"]) == []


def test_a_cluster_that_was_merged_into_another_belongs_with_it(store: StateStore) -> None:
    other = near(A, 0.88, seed=5)
    middle = (A + other) / 2
    middle /= (middle @ middle) ** 0.5
    cell = StoredCell(store, join=0.9, maintenance_records=5)
    cell.add(post(0, A), post(1, other))
    cell.add(*(post(number, near(middle, 0.995, seed=number)) for number in range(2, 12)), post(12, B))
    assert store.some_entries(0, "clusters", ["1"]) == []
    assert Relatives(store, BUNDLE, 0.999).of(BUNDLE, "0-1", ["0-0", "0-12"]) == ["0-0"]


@pytest.mark.parametrize("stranger", ["0-77", "7-0", "nonsense"])
def test_what_is_not_there_is_related_to_nothing(store: StateStore, stranger: str) -> None:
    StoredCell(store).add(post(0, A))
    relatives = Relatives(store, BUNDLE, 0.5)
    assert relatives.of(BUNDLE, stranger, ["0-0"]) == []
    assert relatives.of(BUNDLE, "0-0", [stranger]) == []


def test_a_redis_that_is_away_relates_nothing() -> None:
    away = StateStore(Redis(url="redis://127.0.0.1:1/0", timeout_seconds=0.5), BUNDLE, 1)
    assert Relatives(away, BUNDLE, 0.5).of(BUNDLE, "0-0", ["0-1"]) == []
