"""The river estimator: river's own checks, and the same clusters as the consumers' on the same stream."""

from __future__ import annotations

import doctest
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river.checks import check_estimator

from models import clusters as module
from models.clusters import NONE, MicroClusters
from tests.cells.small_cells import SIZE, START, Cell, manifest, post
from tests.cells.small_cells import settings as limits
from tests.vectors import posts_around

THRESHOLDS = manifest().thresholds


@dataclass
class Frame:
    """As much of a pandas data frame as `learn_many` asks for."""

    columns: list[Any]
    values: np.ndarray[Any, np.dtype[Any]]

    def __len__(self) -> int:
        return len(self.values)

    def to_numpy(self, dtype: Any) -> np.ndarray[Any, np.dtype[Any]]:
        return self.values.astype(dtype)


def test_river_checks_pass() -> None:
    check_estimator(MicroClusters())


def test_the_example_of_the_documentation_is_right() -> None:
    assert doctest.testmod(module).failed == 0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("sample", [{}, {"a": 0.0}, {"a": float("nan")}, {"a": float("inf")}])
def test_a_sample_without_a_direction_is_passed_over(sample: dict[str, float]) -> None:
    model = MicroClusters()
    model.learn_one(sample)
    assert model.n_clusters == 0
    assert model.predict_one(sample) == NONE


def test_features_may_come_and_go() -> None:
    model = MicroClusters(join=0.8)
    for number in range(40):
        model.learn_one({f"feature-{number}": 1.0})
    assert model.n_clusters == 40
    assert [model.predict_one({f"feature-{number}": 3.0}) for number in range(40)] == list(range(40))
    assert model.predict_one({"feature-3": 1.0, "never-seen": 5.0}) == NONE
    assert model.centers[7]["feature-7"] == pytest.approx(1.0)
    assert model.centers[7]["feature-8"] == 0.0


def test_memory_is_bounded_and_the_faintest_go_first() -> None:
    model = MicroClusters(half_life=50.0, maximum=20, maintenance=100)
    rows = np.random.default_rng(0).standard_normal((1000, 64))
    for row in rows:
        model.learn_one(dict(enumerate(row)))
        assert model.n_clusters <= 20 + 100
    assert model.predict_one(dict(enumerate(rows[0]))) == NONE
    assert model.predict_one(dict(enumerate(rows[-1]))) == 999


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 120), min_size=1, max_size=5))
def test_many_at_once_are_the_same_as_one_after_another(seed: int, cuts: list[int]) -> None:
    rows = np.random.default_rng(seed).standard_normal((sum(cuts), 8))
    one, many = (MicroClusters(join=0.75, cohesion=0.3, maintenance=50) for _ in range(2))
    for row in rows:
        one.learn_one(dict(enumerate(row)))
    start = 0
    for count in cuts:
        many.learn_many(Frame(list(range(8)), rows[start : start + count]))
        start += count
    assert pickle.dumps(one.centers) == pickle.dumps(many.centers)


def test_a_model_that_was_pickled_goes_on_the_same_way() -> None:
    rows = posts_around(np.random.default_rng(4), 300, 12)
    model = MicroClusters()
    for row in rows[:150]:
        model.learn_one(dict(enumerate(row)))
    again = pickle.loads(pickle.dumps(model))  # noqa: S301
    for row in rows[150:]:
        model.learn_one(dict(enumerate(row)))
        again.learn_one(dict(enumerate(row)))
    assert pickle.dumps(model.centers) == pickle.dumps(again.centers)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_clusters_are_those_of_the_consumers_fold(seed: int) -> None:
    rng = np.random.default_rng(seed)
    middle = rng.standard_normal((15, SIZE))
    rows = middle[rng.integers(0, 15, 500)] + rng.standard_normal((500, SIZE)) * rng.uniform(0.2, 0.9)
    vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)
    cell = Cell(limits(maintenance_records=100, half_life_seconds=0.2, maximum_clusters=60))
    cell.add(*(post(n, vector, time=START + n) for n, vector in enumerate(vectors)))
    model = MicroClusters(
        join=THRESHOLDS.join, cohesion=THRESHOLDS.cohesion, twin=THRESHOLDS.twin, half_life=200.0, maximum=60,
        maintenance=100,
    )  # fmt: skip
    for vector in vectors:
        model.learn_one(dict(enumerate(vector)))
    table = cell.fold._state.clusters
    assert set(model.centers) == set(table)
    for key, center in model.centers.items():
        assert np.allclose(list(center.values()), table.centroid(key), atol=1e-6)
