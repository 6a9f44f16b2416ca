from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.candidates import CHUNK
from models.cluster_features import ClusterFeature
from models.cluster_table import ClusterTable, Placement
from models.fusion import FusionLayout
from tests.vectors import SIZE, posts_around, same_feature, single

if TYPE_CHECKING:
    from numpy.typing import NDArray

HALF_LIFE = 1000.0
LAYOUT = FusionLayout(
    ("text", "image", "audio"), SIZE // 3, np.ones(3, np.float32), np.zeros((3, SIZE // 3), np.float32)
)

seeds = st.integers(min_value=0, max_value=2**32 - 1)
times = st.integers(min_value=0, max_value=20_000)


def _clusters(**given: float) -> ClusterTable:
    limits = {"half_life": HALF_LIFE, "join": 0.7, "cohesion": 0.5, "attention": 0.6} | given
    return ClusterTable(LAYOUT, lists=None, **limits)


def test_the_second_post_of_a_batch_joins_the_cluster_the_first_opened() -> None:
    row = posts_around(np.random.default_rng(0), 1, 1)
    first, second = _clusters().learn_many(np.repeat(row, 2, axis=0), [10, 11], [0, 0])
    assert (first.cluster, first.opened) == (10, True)
    assert first.similarity == pytest.approx(1.0)
    assert (second.cluster, second.opened) == (10, False)
    assert second.similarity == pytest.approx(1.0, abs=1e-6)


def _reference(rows: NDArray[np.float32], clocks: list[int]) -> list[int]:
    """The rule of assignment written down once more, slowly and in float64."""
    features: dict[int, ClusterFeature] = {}
    placed: list[int] = []
    for n, (row, clock) in enumerate(zip(rows, clocks, strict=True)):
        alone = single(row / np.linalg.norm(row), clock)
        cosines = {k: float(f.sums @ alone.sums) / f.norm for k, f in features.items()}
        best = max(cosines, key=lambda k: cosines[k], default=None)
        joined = None if best is None else features[best].merged(alone, HALF_LIFE)
        if best is not None and joined is not None and cosines[best] >= 0.7 and joined.cohesion >= 0.5:
            features[best] = joined
            placed.append(best)
        else:
            features[n] = alone
            placed.append(n)
    return placed


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(min_value=1, max_value=3 * CHUNK), st.integers(min_value=1, max_value=40))
def test_posts_go_where_the_rule_says(seed: int, count: int, centres: int) -> None:
    rng = np.random.default_rng(seed)
    rows, clocks = posts_around(rng, count, centres), np.sort(rng.integers(0, 5000, count)).tolist()
    placements = _clusters().learn_many(rows, range(count), clocks)
    assert [placement.cluster for placement in placements] == _reference(rows, clocks)
    for placement in placements:
        assert placement.similarity == sum(placement.shares.tolist())


def _essence(placement: Placement) -> tuple[object, ...]:
    watched = [(n.cluster, n.similarity, n.shares.tobytes(), n.cohesion) for n in placement.watched]
    return (*placement[:3], placement.shares.tobytes(), watched, placement.rival)


@settings(max_examples=30, deadline=None)
@given(seeds, st.lists(st.integers(min_value=1, max_value=CHUNK + 20), min_size=1, max_size=6))
def test_the_cut_into_batches_changes_no_bit(seed: int, cuts: list[int]) -> None:
    rng = np.random.default_rng(seed)
    start, count = 30, sum(cuts)
    rows = posts_around(rng, start + count, 12, spread=0.9)
    clocks = np.sort(rng.integers(0, 5000, start + count)).tolist()
    found = []
    for parts in ([count], cuts):
        clusters = _clusters()
        clusters.learn_many(rows[:start], range(start), clocks[:start])
        for key in sorted(clusters)[:3]:
            clusters.watch(key, clocks[start])
        placements, at = [], start
        for part in parts:
            placements += clusters.learn_many(rows[at : at + part], range(at, at + part), clocks[at : at + part])
            at += part
        features = {key: clusters.feature(key) for key in clusters}
        found.append(
            (
                [_essence(placement) for placement in placements],
                {k: (f.weight, f.squares, f.sums.tobytes(), f.time) for k, f in features.items()},
            )
        )
    assert found[0] == found[1]


@settings(max_examples=20, deadline=None)
@given(seeds, st.booleans())
def test_clusters_put_back_in_another_order_go_on_the_same_way(seed: int, many: bool) -> None:
    rng = np.random.default_rng(seed)
    rows, clocks = posts_around(rng, 120, 15, spread=0.9), np.sort(rng.integers(0, 5000, 120)).tolist()
    one = _clusters()
    one.learn_many(rows[:80], range(80), clocks[:80])
    for key in list(one)[:2]:
        one.watch(key, clocks[79])
    watched = list(one)[:2]
    two = _clusters()
    order = rng.permutation(list(one)).tolist()
    if many:
        for part in (order[:3], order[3:]):
            two.insert_many(one.many(part))
        two.watched_before(watched)
    for key in order if not many else ():
        count, opened, seen = one.history(key)
        feature = one.feature(key)
        copy = ClusterFeature(feature.weight, feature.squares, feature.sums.copy(), feature.time)
        two.insert(key, copy, count=count, opened=opened, seen=seen, watched=key in watched)
    assert [_essence(p) for p in one.learn_many(rows[80:], range(80, 120), clocks[80:])] == [
        _essence(p) for p in two.learn_many(rows[80:], range(80, 120), clocks[80:])
    ]
    assert one.faded(20_000, 0.1) == two.faded(20_000, 0.1)
    assert one.faintest(7) == two.faintest(7)


def test_a_post_that_would_make_a_cluster_incoherent_opens_its_own() -> None:
    axes = np.eye(SIZE, dtype=np.float32)
    strict = _clusters(join=0.6, cohesion=0.9)
    leaning = 0.8 * axes[0] + 0.6 * axes[1]
    first, second = strict.learn_many(np.stack([axes[0], leaning]), [0, 1], [0, 0])
    assert second.opened
    assert second.rival == first.cluster


def test_a_post_between_two_clusters_names_the_other_as_rival() -> None:
    axes = np.eye(SIZE, dtype=np.float32)
    clusters = _clusters(join=0.7)
    clusters.learn_many(axes[:2], [0, 1], [0, 0])
    middle = ((axes[0] + axes[1]) / np.sqrt(2))[None]
    (placed,) = clusters.learn_many(middle, [2], [0])
    assert (placed.cluster, placed.rival) == (0, 1)


def test_unwatched_clusters_fade_and_watched_ones_do_not() -> None:
    axes = np.eye(SIZE, dtype=np.float32)
    clusters = _clusters()
    clusters.learn_many(axes[:3], [0, 1, 2], [0, 0, 500])
    clusters.watch(1, 0)
    assert clusters.faded(1_200, 0.5) == [0]
    assert clusters.faded(100_000, 0.5) == [0, 2]
    assert clusters.faintest(5) == [0, 2]
    assert clusters.faded(100_000, 0.0) == []
    clusters.unwatch(1, 100_000)
    assert clusters.faded(100_900, 0.5) == [0, 2]
    assert clusters.faded(101_100, 0.5) == [0, 1, 2]


def test_a_watched_cluster_keeps_its_full_weight_while_posts_join() -> None:
    axes = np.eye(SIZE, dtype=np.float32)
    clusters = _clusters()
    clusters.open(0, axes[0], 0)
    clusters.watch(0, 0)
    clusters.learn_many(axes[:1], [1], [50_000])
    assert clusters.feature(0).weight == 2.0


@settings(deadline=None)
@given(seeds, st.lists(st.integers(0, 5_000), min_size=3, max_size=6), st.none() | st.integers(0, 5_000))
def test_a_vector_taken_out_leaves_what_would_be_without_it(seed: int, gaps: list[int], watched: int | None) -> None:
    """Whether the cluster fades on, or has stopped doing so at some time."""
    rows = posts_around(np.random.default_rng(seed), len(gaps), 1)
    clocks = np.cumsum(gaps).tolist()

    def made(indices: list[int]) -> ClusterTable:
        clusters = _clusters(join=-1.0, cohesion=-1.0)
        for index in indices:
            if watched is not None and clocks[index] >= watched and 0 in clusters:
                clusters.watch(0, watched)
            clusters.learn_many(rows[index : index + 1], [index if index != indices[0] else 0], [clocks[index]])
        return clusters

    out = len(gaps) // 2
    whole, without = made(list(range(len(gaps)))), made([n for n in range(len(gaps)) if n != out])
    faded = watched if watched is not None and watched <= clocks[-1] else None
    if whole.feature(0).weight - 1.0 < 0.01:
        return
    assert whole.subtract(0, rows[out], clocks[out], faded)
    assert whole.feature(0).weight == pytest.approx(without.feature(0).weight, abs=1e-9)
    assert whole.feature(0).sums == pytest.approx(without.feature(0).sums, abs=1e-5)


def test_the_last_vector_is_not_taken_out() -> None:
    axes = np.eye(SIZE, dtype=np.float32)
    clusters = _clusters()
    clusters.open(0, axes[0], 0)
    assert not clusters.subtract(0, axes[0], 0)
    assert clusters.feature(0).weight == 1.0


def test_a_cluster_may_go_on_as_something_else() -> None:
    axes = np.eye(SIZE, dtype=np.float32)
    clusters = _clusters()
    clusters.open(0, axes[0], 0)
    clusters.replace(0, axes[1:3], 700)
    feature = clusters.feature(0)
    assert (feature.weight, feature.squares, feature.time) == (2.0, 2.0, 700)
    assert clusters.centroid(0) == pytest.approx((axes[1] + axes[2]) / np.sqrt(2))
    assert clusters.history(0) == (1, 0, 0)


def test_a_late_post_counts_at_the_clock() -> None:
    axes = np.eye(SIZE, dtype=np.float32)
    clusters = _clusters()
    clusters.open(0, axes[0], 5_000)
    clusters.learn_many(axes[:1], [1], [5_000])
    assert clusters.feature(0).weight == 2.0
    assert clusters.feature(0).time == 5_000


def test_a_removed_cluster_is_joined_no_more_and_its_place_is_used_again() -> None:
    axes = np.eye(SIZE, dtype=np.float32)
    clusters = _clusters()
    clusters.learn_many(axes[:2], [0, 1], [0, 0])
    clusters.watch(0, 0)
    clusters.remove(0)
    assert 0 not in clusters
    again, other = clusters.learn_many(axes[:2], [2, 3], [0, 0])
    assert (again.cluster, again.opened, again.watched) == (2, True, ())
    assert other.cluster == 1
    assert sorted(clusters) == [1, 2]


def test_watched_clusters_near_a_post_are_reported_as_they_were_before_it() -> None:
    axes = np.eye(SIZE, dtype=np.float32)
    clusters = _clusters()
    clusters.learn_many(axes[:2], [0, 1], [0, 0])
    clusters.watch(0, 0)
    clusters.watch(1, 0)
    leaning = (0.8 * axes[0] + 0.6 * axes[1])[None]
    (placed,) = clusters.learn_many(leaning, [2], [0])
    assert [(near.cluster, near.cohesion) for near in placed.watched] == [(0, 1.0), (1, 1.0)]
    assert placed.watched[0].similarity == pytest.approx(0.8, abs=1e-6)
    assert placed.watched[1].similarity == pytest.approx(0.6, abs=1e-6)


def test_twins_merge_only_when_they_stay_cohesive() -> None:
    axes = np.eye(SIZE, dtype=np.float32)
    clusters = _clusters(cohesion=0.5)
    rows = np.stack([axes[0], 0.95 * axes[0] + np.sqrt(1 - 0.95**2) * axes[1]]).astype(np.float32)
    clusters.open(0, rows[0], 0)
    clusters.open(1, rows[1], 1_000)
    assert clusters.are_twins(0, 1, 0.9, 1_000)
    assert not clusters.are_twins(0, 1, 0.96, 1_000)
    clusters.cohesion = 0.99
    assert not clusters.are_twins(0, 1, 0.9, 1_000)
    clusters.merge(0, 1, 1_000)
    expected = single(rows[0], 0).merged(single(rows[1], 1_000), HALF_LIFE)
    assert same_feature(clusters.feature(0), ClusterFeature(1.5, 1.25, expected.sums, 1_000))
    assert clusters.history(0) == (2, 0, 1_000)
    assert list(clusters) == [0]


def test_the_arrays_grow_without_a_change() -> None:
    rng = np.random.default_rng(1)
    rows = rng.standard_normal((1_000, SIZE)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    clusters = _clusters(join=0.99)
    clusters.learn_many(rows, range(1_000), [0] * 1_000)
    assert len(clusters) == 1_000
    again = clusters.learn_many(rows, range(1_000, 2_000), [0] * 1_000)
    assert [placement.cluster for placement in again] == list(range(1_000))


def test_a_key_in_use_is_refused_among_many() -> None:
    table = _clusters()
    table.open(7, posts_around(np.random.default_rng(0), 1, 1, spread=0.1)[0], 0)
    for keys in ([7], [8, 8]):
        with pytest.raises(ValueError, match="exists"):
            table.insert_many(table.many([7] * len(keys))._replace(keys=keys))


def test_a_key_in_use_is_refused() -> None:
    clusters = _clusters()
    row = np.eye(SIZE, dtype=np.float32)[0]
    clusters.open(7, row, 0)
    with pytest.raises(ValueError, match="cluster 7 exists"):
        clusters.open(7, row, 0)


def test_an_empty_model_predicts_nothing() -> None:
    row = np.eye(SIZE, dtype=np.float32)[0]
    clusters = _clusters()
    assert clusters.predict_one(row) is None
    clusters.open(3, row, 0)
    found = clusters.predict_one(row)
    assert found is not None
    assert found[0] == 3
    assert found[1] == pytest.approx(1.0)
    assert clusters.near(row) == ()


@given(seed=st.integers(0, 999), watched=st.integers(0, 40))
@settings(max_examples=20, deadline=None)
def test_what_is_near_a_vector_does_not_depend_on_those_asked_about_with_it(seed: int, watched: int) -> None:
    rows = posts_around(np.random.default_rng(seed), 60, 20)
    clusters = _clusters()
    clusters.learn_many(rows, range(len(rows)), [0] * len(rows))
    for key in list(clusters)[:watched]:
        clusters.watch(key, 0)
    alone = [clusters.near(row) for row in rows]
    together = clusters.near_many(rows)
    assert [[near[:2] for near in found] for found in together] == [[near[:2] for near in found] for found in alone]
    assert all(bool(found) for found in alone) or watched < len(clusters)
