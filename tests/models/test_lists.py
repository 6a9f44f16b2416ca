"""Clusters in lists: what a post is compared with depends on the state alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import cluster_table
from models.candidates import CHUNK
from models.cluster_table import ClusterTable, Placement
from models.exact import dot
from models.fusion import FusionLayout
from models.lists import LEARNED_FROM, Lists, learn_directions, sure_share
from tests.vectors import SIZE, posts_around

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

HALF_LIFE = 1000.0
LAYOUT = FusionLayout(
    ("text", "image", "audio"), SIZE // 3, np.ones(3, np.float32), np.zeros((3, SIZE // 3), np.float32)
)
COUNT = 300

seeds = st.integers(min_value=0, max_value=2**32 - 1)


@pytest.fixture(scope="module", autouse=True, params=[cluster_table.STRAYS, -100.0], ids=["as-they-come", "by-list"])
def order(request: pytest.FixtureRequest) -> Iterator[None]:
    """Clusters stand in memory as they came, for so few of them; or are put in order before every chunk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster_table, "STRAYS", request.param)
        yield


def lists_of(seed: int, count: int = 12, probes: int = 2) -> Lists:
    return Lists(posts_around(np.random.default_rng([seed, 7]), count, count), probes)


def table(lists: Lists | None) -> ClusterTable:
    return ClusterTable(LAYOUT, half_life=HALF_LIFE, join=0.6, cohesion=0.4, attention=0.5, lists=lists)


def stream(seed: int) -> tuple[NDArray[np.float32], list[int]]:
    """Posts around few centres, so that clusters drift from list to list, and their clocks."""
    rng = np.random.default_rng(seed)
    return posts_around(rng, COUNT, 9), np.sort(rng.integers(0, 3000, COUNT)).tolist()


def essence(placement: Placement) -> tuple[object, ...]:
    watched = [(n.cluster, n.similarity, n.cohesion) for n in placement.watched]
    return (*placement[:3], placement.shares.tobytes(), watched, placement.rival)


def learned(clusters: ClusterTable, seed: int, cuts: list[int]) -> list[tuple[object, ...]]:
    """Where the posts go in these batches; after the first one some clusters are watched."""
    rows, clocks = stream(seed)
    found: list[Placement] = []
    for start, end in zip([0, *cuts], [*cuts, COUNT], strict=True):
        found += clusters.learn_many(rows[start:end], range(start, end), clocks[start:end])
        if start == 0:
            for key in sorted(clusters)[::3]:
                clusters.watch(key, clocks[end - 1])
    return list(map(essence, found))


@settings(max_examples=25, deadline=None)
@given(seeds, st.sets(st.integers(min_value=31, max_value=COUNT - 1), max_size=5))
def test_the_cut_into_batches_changes_no_bit(seed: int, cuts: set[int]) -> None:
    whole, parts = table(lists_of(seed)), table(lists_of(seed))
    assert learned(whole, seed, [30]) == learned(parts, seed, [30, *sorted(cuts)])
    assert [whole.feature(key).sums.tobytes() for key in whole] == [
        parts.feature(key).sums.tobytes() for key in parts
    ]


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_a_post_joins_the_nearest_cluster_of_the_lists_it_looks_into(seed: int) -> None:
    rows, clocks = stream(seed)
    lists, clusters = lists_of(seed), table(lists_of(seed))
    directions = lists.directions.astype(np.float64)
    for number, (row, clock) in enumerate(zip(rows, clocks, strict=True)):
        unit = row / np.linalg.norm(row)
        looked = np.argsort(-(directions @ unit))[: lists.probes]
        seen = {key: clusters.feature(key).sums for key in clusters}
        seen = {key: sums for key, sums in seen.items() if (directions @ sums).argmax() in looked}
        cosines = {key: float(unit @ (sums / np.linalg.norm(sums))) for key, sums in seen.items()}
        best = max(cosines, key=lambda key: cosines[key], default=None)
        [placed] = clusters.learn_many(row[None], [number], [clock])
        if not placed.opened:
            assert placed.cluster == best
        elif best is not None:
            assert cosines[best] < 0.6 or clusters.cohesion_with(best, cosines[best], clock) < 0.4


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_looking_into_all_lists_is_comparing_with_all_clusters(seed: int) -> None:
    lists = lists_of(seed, 12, 12)
    assert learned(table(lists), seed, [30]) == learned(table(None), seed, [30])


def test_few_probes_do_miss_clusters() -> None:
    assert learned(table(lists_of(1, 40, 1)), 1, [30]) != learned(table(None), 1, [30])


@pytest.mark.parametrize("probes", [2, 12])
def test_a_watched_cluster_is_told_of_whatever_its_list(probes: int) -> None:
    few, all_ = table(lists_of(3, 12, probes)), table(None)
    rows, clocks = stream(3)
    for clusters in (few, all_):
        clusters.open(-1, rows[0], 0)
        clusters.watch(-1, 0)
    found, wanted = (clusters.learn_many(rows[1:2], [1], clocks[1:2])[0].watched for clusters in (few, all_))
    assert [near.cluster for near in found] == [near.cluster for near in wanted]


def test_a_restored_table_goes_on_as_the_one_it_was() -> None:
    rows, clocks = stream(5)
    one, two = table(lists_of(5)), table(None)
    one.learn_many(rows[:200], range(200), clocks[:200])
    two.retune(half_life=HALF_LIFE, join=0.6, cohesion=0.4, attention=0.5, clock=0, lists=lists_of(5))
    for key in sorted(one, reverse=True):
        count, opened, seen = one.history(key)
        two.insert(key, one.feature(key), count=count, opened=opened, seen=seen, watched=False)
    found, again = (
        [essence(one) for one in each.learn_many(rows[200:], range(200, COUNT), clocks[200:])] for each in (one, two)
    )
    assert found == again


def test_lists_are_chosen_by_exact_products_where_a_float32_product_cannot_tell() -> None:
    """The same direction twice, and one that is longer by less than any product in float32 shows."""
    size = 512
    rng = np.random.default_rng(0)
    row = rng.standard_normal(size).astype(np.float32)
    row /= np.linalg.norm(row)
    longer = row.copy()
    place = int(np.abs(row).argmin())
    longer[place] = np.nextafter(longer[place], np.float32(np.copysign(1.0, row[place])))
    assert dot(row, longer) > dot(row, row)
    lists = Lists(np.stack([row, row, longer, -row]), 1)
    assert lists.homes(np.stack([row, 5 * row, -row])).tolist() == [2, 2, 3]
    assert lists.reached(row[None]).tolist() == [[False, False, True, False]]
    two = Lists(lists.directions, 2)
    assert two.reached(row[None]).tolist() == [[True, False, True, False]]


def test_clusters_that_come_and_go_and_move_from_list_to_list_are_all_found() -> None:
    """Beside a table that compares with all: every list is looked into, so that nothing may be missing."""
    one, two = table(lists_of(6, 12, 12)), table(None)
    rows, clocks = stream(6)
    for start in range(0, COUNT, 30):
        part = slice(start, start + 30)
        found, wanted = (each.learn_many(rows[part], range(start, start + 30), clocks[part]) for each in (one, two))
        assert list(map(essence, found)) == list(map(essence, wanted))
        gone = sorted(one)[:: 5 + start]
        for clusters in (one, two):
            for key in gone:
                clusters.remove(key)
            clusters.watch(max(clusters), clocks[start + 29])
            clusters.reserve(2 * len(clusters))
        assert list(one) == list(two)
    assert [one.feature(key).sums.tobytes() for key in one] == [two.feature(key).sums.tobytes() for key in two]
    assert [one.history(key) for key in one] == [two.history(key) for key in two]


def test_more_posts_than_a_chunk_holds_are_placed() -> None:
    rows = posts_around(np.random.default_rng(2), 2 * CHUNK + 3, 5)
    clusters = table(lists_of(2))
    assert len(clusters.learn_many(rows, range(len(rows)), [0] * len(rows))) == len(rows)


@pytest.mark.parametrize("probes", [0, 13])
def test_probes_are_some_of_the_lists(probes: int) -> None:
    with pytest.raises(ValueError, match=f"{probes} probes of 12 lists"):
        lists_of(0, 12, probes)


def test_directions_are_learned_from_some_of_many_clusters_and_part_them_all() -> None:
    """Around eight centres, most of which the first clusters do not show."""
    rng = np.random.default_rng(4)
    rows = posts_around(rng, LEARNED_FROM * 8 * 3, 8)
    directions = learn_directions(rows, 8).astype(np.float32)
    assert directions.tobytes() == learn_directions(rows, 8).astype(np.float32).tobytes()
    assert np.allclose(np.linalg.norm(directions, axis=1), 1.0, atol=1e-2)
    assert np.bincount((rows @ directions.T).argmax(axis=1), minlength=8).min() > 0


def test_a_share_is_sure_when_so_few_would_be_missing_by_chance() -> None:
    found = np.array([0, 19_980, 19_987, 19_988, 20_000])
    sure = sure_share(found, 20_000)
    assert sure[0] == 0.0
    assert (sure >= 0.999).tolist() == [False, False, False, True, True]
    assert (sure < found / 20_000)[1:].all()
    misses = np.random.default_rng(0).binomial(20_000, 0.001, 2_000)
    wrongly = (sure_share(20_000 - misses, 20_000) > 0.999).mean()
    assert wrongly < 0.06, "so often is a share of .999 itself said to be surpassed"
