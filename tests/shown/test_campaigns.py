"""Campaigns of the state in Redis, as the command shows them."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING

import msgspec
import pytest

from consumers.options import settings_from
from consumers.questions.campaigns import Campaign, Found, find_campaigns
from consumers.shown.campaigns import page, rows_of
from consumers.state.store import StateStore
from tests.bundles import write_tiny_bundle
from tests.cells.small_cells import Cell, directions, near, post, settings, verdict

if TYPE_CHECKING:
    from pathlib import Path

    from consumers.questions.campaigns import Method
    from consumers.settings import Settings

pytestmark = pytest.mark.redis

A, B = directions(2)
EVIL = "<script>alert('p')</script>"


@pytest.fixture
def empty(tmp_path: Path, real_redis: str) -> Settings:
    write_tiny_bundle(tmp_path)
    return settings_from(
        None, [f"redis.url={real_redis}", f"redis.prefix={tmp_path.name}", "assign.cells=2"], str(tmp_path)
    )


@pytest.fixture
def stored(empty: Settings, tmp_path: Path) -> Settings:
    """Two cells with three and four posts around A, a second apart, and one post far from them each."""
    store = StateStore(empty.redis, write_tiny_bundle(tmp_path).bundle_id, 2)
    for number in range(2):
        cell = Cell(settings())
        store.claim(number, "me")
        store.write(number, "me", None, 0, cell.fold.first_changes(), b"")
        around = [post(other, near(A, 0.95, other), post_id=f"{number}{EVIL}{other}") for other in range(3 + number)]
        folded = cell.add(*around, post(9, B), verdict(1, post_id=around[0].post_id))
        store.write(number, "me", 0, folded.position, folded.changes, b"")
    store.close()
    return empty


def find(settings: Settings, method: Method = "dbscan", count: int | None = None, window: float = 3600.0) -> Found:
    return find_campaigns(settings, method=method, count=count, limit=10, window_seconds=window)


def test_clusters_that_belong_together_are_one_campaign_across_cells(stored: Settings) -> None:
    found = find(stored)
    first, *others = found.campaigns
    assert (first.campaign, first.clusters, first.cells, first.posts) == ("1-0", 2, 2, 7)
    assert first.labels == {"scam violating": 2}
    assert first.cluster_ids == ("1-0", "0-0")
    assert [(one.clusters, one.posts) for one in others] == [(1, 1), (1, 1)]
    assert (found.total, sorted(found.of)) == (3, ["0-3", "1-0", "1-0", "1-4"])


def test_growth_counts_posts_by_the_cells_clock(stored: Settings) -> None:
    """Posts come at seconds 0 to 3, and the clock stands at second 9."""
    for window, expected in ((100, (7, 0)), (7.5, (3, 4))):
        first = find(stored, window=window).campaigns[0]
        assert (first.recent, first.before) == expected
    assert find(stored).campaigns[0].complete


def test_growth_that_is_a_lower_bound_says_so(empty: Settings, tmp_path: Path) -> None:
    store = StateStore(empty.redis, write_tiny_bundle(tmp_path).bundle_id, 2)
    cell = Cell(settings(members=3))
    store.claim(0, "me")
    folded = cell.add(*(post(number, near(A, 0.95, number)) for number in range(8)))
    store.write(0, "me", None, folded.position, folded.changes, b"")
    store.close()
    long, short = (find(empty, window=window).campaigns[0] for window in (100.0, 1.0))
    assert (long.posts, long.recent, long.complete) == (8, 3, False)
    assert (short.recent, short.before, short.complete) == (1, 1, True)
    assert rows_of([long])[0]["new"] == "3+"


def test_samples_come_from_different_clusters_first(stored: Settings) -> None:
    assert [sample[0] for sample in find(stored).campaigns[0].samples[:3]] == ["1", "0", "1"]


def test_kmeans_makes_as_many_as_asked_for(stored: Settings) -> None:
    assert find(stored, "kmeans", 1).total == 1
    assert [one.posts for one in find(stored, "kmeans", 2).campaigns] == [7, 2]
    assert find(stored, "kmeans").total == 1


def test_no_clusters_are_no_campaigns_and_an_empty_page(empty: Settings) -> None:
    assert find(empty).campaigns == []
    assert "0 of 0 campaigns" in page(find(empty), "dbscan")


def test_the_table_tells_cells_only_where_there_are_several(stored: Settings) -> None:
    campaigns = find(stored).campaigns
    assert "cells" in rows_of(campaigns)[0]
    assert "cells" not in rows_of(campaigns[1:])[0]
    assert msgspec.json.decode(msgspec.json.encode(campaigns[0]), type=Campaign) == campaigns[0]


def test_the_page_has_every_cluster_and_is_safe_from_what_posts_are_called(stored: Settings) -> None:
    text = page(find(stored), "dbscan")
    seen: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            del attrs
            seen.append(tag)

    Reader().feed(text)
    assert seen.count("circle") == 4
    assert seen.count("tr") == 1 + 3
    assert "script" not in seen
    assert [line for line in text.splitlines() if "http" in line and "xmlns" not in line] == []
