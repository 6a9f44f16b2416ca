"""Lists by which large cells search: learned, measured, and put in force through the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from consumers.bundles import find_bundle
from consumers.cells.fold import Fold
from consumers.cells.fold_settings import changes, fold_settings, with_own
from consumers.changes import lists as module
from consumers.changes.lists import learn_lists, put_in_lists
from consumers.changes.settings import settings_in_force
from consumers.checks.findings import CheckError
from consumers.contracts import cell_log
from consumers.contracts.cell_log import SettingsRecord
from consumers.kafka.delivery import Outgoing, open_delivery
from consumers.names import cell_log_topic
from consumers.shown.settings import apply_settings, setting_rows
from consumers.state.reading import opened_state
from models.lists import Sample, found_by_probes, learn_directions
from models.manifest import read_manifest
from tests.cells.small_cells import post
from tests.two_cells import two_cells

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from consumers.contracts.fold_settings import FoldSettings
    from consumers.embedded import Broker
    from consumers.settings import Settings

JOIN = 0.75
POSTS = 40


def units(count: int, size: int, seed: int) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).standard_normal((count, size))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def near(rows: NDArray[np.float32], seed: int, share: float) -> NDArray[np.float32]:
    """A unit vector beside each of these unit vectors."""
    rows = rows + share * units(len(rows), rows.shape[1], seed)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def pairs(count: int, size: int, seed: int) -> NDArray[np.float32]:
    """Twice so many unit vectors, always two beside each other."""
    return near(np.repeat(units(count, size, seed), 2, axis=0), seed + 1, 0.2)


@pytest.fixture
def settings(broker: Broker, redis_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    """Two cells, of which the first holds clusters and keeps their posts."""
    found = two_cells(broker, redis_url, tmp_path, request.node.name)
    with opened_state(found) as (manifest, store):
        for cell, count in enumerate((POSTS, 0)):
            fold = Fold(fold_settings(found, manifest), manifest, cell, position=0)
            store.claim(cell, "owner")
            store.write(cell, "owner", None, 0, fold.first_changes(), b"")
            rows = pairs(count // 2, manifest.fused_dimension, 1)
            folded = fold.fold([(n, post(n, row)) for n, row in enumerate(rows)], position=POSTS)
            store.write(cell, "owner", 0, POSTS, folded.changes, b"")
            _fill(found, cell, fold_settings(found, manifest))
    return found


def _fill(settings: Settings, cell: int, begun: FoldSettings) -> None:
    """As many records in the cell's log as have been folded, of the kind that changes nothing."""
    topic = cell_log_topic(settings, read_manifest(find_bundle(settings.bundle)).bundle_id)
    value = cell_log.encode(SettingsRecord(time=0, settings=begun, first=True))
    delivery = open_delivery(settings, "test")
    delivery.deliver([Outgoing(topic, None, value, partition=cell)] * POSTS)
    delivery.close()


def told(
    settings: Settings, *, recall: float = 0.9, least: int = 10, drop: bool = False, dry_run: bool = False
) -> list[str]:
    found = put_in_lists(settings, recall=recall, least=least, drop=drop, actor="ada", dry_run=dry_run)
    return [str(finding) for finding in found]


def test_as_few_lists_are_looked_into_as_surely_find_what_is_asked_for() -> None:
    centroids = units(500, 32, 2)
    posts = near(centroids[:200], 3, 0.5)
    probes = []
    for recall in (0.5, 0.9, 0.98):
        found = learn_lists(centroids, Sample.to_come(posts), join=JOIN, recall=recall, count=40)
        assert found is not None
        assert (found.lists.count, found.lists.size, found.posts) == (40, 32, 200)
        assert found.recall > recall
        probes.append(found.lists.probes)
    assert probes == sorted(set(probes))
    assert probes[-1] <= 40


def test_the_share_asked_for_holds_for_posts_that_the_lists_were_not_chosen_on() -> None:
    """Many times, each time by other posts; a choice of 0.9 of those themselves misses it half of the time."""
    centroids = units(400, 32, 2)
    fresh = near(centroids[np.arange(20_000) % 400], 99, 0.5)
    held = 0
    for seed in range(20):
        posts = near(centroids[np.random.default_rng(seed).integers(0, 400, 200)], seed, 0.5)
        found = learn_lists(centroids, Sample.to_come(posts), join=JOIN, recall=0.9, count=40)
        assert found is not None
        directions = np.frombuffer(found.lists.directions, "<f2").astype(np.float32).reshape(-1, 32)
        shares = found_by_probes(directions, centroids, Sample.to_come(fresh), JOIN)
        held += shares[found.lists.probes - 1] >= 0.9 * shares[-1]
    assert held >= 18


@pytest.mark.parametrize(("count", "seed", "told"), [(28, 2, False), (29, 2, True), (200, 3, False)])
def test_so_few_posts_cannot_tell(count: int, seed: int, told: bool) -> None:
    """Those of another seed are near no cluster."""
    posts = Sample.to_come(near(units(500, 32, seed)[:count], 3, 0.5))
    assert (learn_lists(units(500, 32, 2), posts, join=JOIN, recall=0.9, count=40) is not None) == told


def test_the_share_of_posts_in_clusters_is_no_better_than_that_of_posts_to_come() -> None:
    """In clusters of two each post is half of the sum: were it left in, far more would seem to be found."""
    posts = near(np.repeat(units(2_000, 32, 2), 2, axis=0), 3, 0.5)
    sums = posts[::2] + posts[1::2]
    centroids = np.asarray(sums / np.linalg.norm(sums, axis=1, keepdims=True), dtype=np.float32)
    others = posts.reshape(-1, 2, 32)[:, ::-1].reshape(-1, 32)
    directions = learn_directions(centroids, 40).astype(np.float32)

    def share(sample: Sample) -> float:
        found = found_by_probes(directions, centroids, sample, JOIN)
        return float(found[3] / found[-1])

    to_come = share(Sample.to_come(near(np.repeat(units(2_000, 32, 2), 2, axis=0), 99, 0.5)))
    assert share(Sample(posts, np.arange(4_000) // 2, others)) < to_come < share(Sample.to_come(posts)) - 0.05


def test_lists_fit_a_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_BYTES", 2 * 32 * 5)
    centroids = units(500, 32, 2)
    found = learn_lists(centroids, Sample.to_come(near(centroids[:50], 3, 0.5)), join=JOIN, recall=0.9)
    assert found is not None
    assert found.lists.count == 5


def test_large_cells_get_lists_and_small_ones_do_not(settings: Settings) -> None:
    lines = told(settings)
    assert lines[0].startswith("cell 0: lists ")
    assert lines[1:] == [
        "cell 1: all of 0 clusters, all clusters before",
        "lists: in the log of 1 cell(s), in force from there on",
    ]
    first, second = settings_in_force(settings)
    assert first.lists is not None
    assert second.lists is None
    [row] = [row for row in setting_rows(settings) if row["setting"] == "lists"]
    assert row["in force"] == [str(first.lists), None]
    manifest = read_manifest(find_bundle(settings.bundle))
    own = fold_settings(settings, manifest)
    assert list(changes(first, with_own(first, own))) == [], "a worker is not warned of them"
    assert "in force in every cell" in str(list(apply_settings(settings, actor="ada", dry_run=False))[-1])


def test_lists_are_dropped_again(settings: Settings) -> None:
    told(settings)
    assert told(settings, drop=True)[-1] == "lists: in the log of 1 cell(s), in force from there on"
    assert [found.lists for found in settings_in_force(settings)] == [None, None]
    assert told(settings, drop=True)[-1] == "lists: nothing to change"


def test_a_dry_run_writes_nothing(settings: Settings) -> None:
    assert told(settings, dry_run=True)[-1] == "lists: would change as told; nothing was written"
    assert [found.lists for found in settings_in_force(settings)] == [None, None]


def test_a_cell_that_keeps_too_few_posts_to_measure_on_is_told_of(settings: Settings) -> None:
    with pytest.raises(CheckError, match=f"cell 0: the posts it keeps .{POSTS} were looked at.* are too few to tell"):
        told(settings, recall=0.999)
