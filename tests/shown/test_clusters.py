"""Micro-clusters as the command shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from consumers.checks.findings import CheckError
from consumers.options import settings_from
from consumers.settings import Assign
from consumers.shown.clusters import cluster_details, cluster_rows
from consumers.state.store import StateStore, StateUnavailable
from models.manifest import read_manifest
from tests.bundles import write_tiny_bundle
from tests.cells.small_cells import Cell, directions, near, post, settings, verdict

if TYPE_CHECKING:
    from pathlib import Path

    from consumers.settings import Settings

pytestmark = pytest.mark.redis

A, B = directions(2)


@pytest.fixture
def stored(tmp_path: Path, real_redis: str) -> Settings:
    """A cell with two clusters, the larger one labelled, in Redis."""
    bundle = write_tiny_bundle(tmp_path).bundle_id
    found = settings_from(None, [f"redis.url={real_redis}", f"redis.prefix={tmp_path.name}"], str(tmp_path))
    store = StateStore(found.redis, bundle, 1)
    cell = Cell(settings())
    store.claim(0, "me")
    store.write(0, "me", None, 0, cell.fold.first_changes(), b"")
    folded = cell.add(post(0, A), post(1, near(A, 0.9)), post(2, B), verdict(1, post_id="post-0"))
    store.write(0, "me", 0, folded.position, folded.changes, b"")
    store.close()
    return found


def test_clusters_are_listed_largest_first_with_their_labels(stored: Settings) -> None:
    first, second = cluster_rows(stored, limit=10, labelled=False)
    assert (first["cluster_id"], first["posts"]) == ("0-0", 2)
    assert first["labels"] == {"scam": "violating 0.66 (1 upheld, 0 overturned)"}
    assert (second["posts"], second["labels"]) == (1, {})
    assert [row["group"] for row in (first, second)] == ["0-0", second["cluster_id"]]
    assert cluster_rows(stored, limit=1, labelled=False) == [first]
    assert cluster_rows(stored, limit=10, labelled=True) == [first]


def test_clusters_linked_over_a_border_are_one_group(stored: Settings, tmp_path: Path) -> None:
    two = stored.model_copy(update={"assign": Assign(cells=2)})
    store = StateStore(two.redis, read_manifest(tmp_path).bundle_id, 2)
    for number, vectors in enumerate(([A], [near(A, 0.95), near(A, 0.95, 3), B])):
        cell = Cell(settings())
        store.claim(number, "me")
        folded = cell.add(*(post(offset, vector) for offset, vector in enumerate(vectors)))
        store.write(number, "me", None, folded.position, folded.changes, b"")
    store.close()
    rows = cluster_rows(two, limit=10, labelled=False)
    assert {row["cluster_id"]: row["group"] for row in rows} == {"0-0": "1-0", "1-0": "1-0", "1-2": "1-2"}


def test_one_cluster_is_shown_with_evidence_and_members(stored: Settings) -> None:
    found = cluster_details(stored, "0-0")
    assert found["recent_posts"] == ["post-0", "post-1"]
    assert found["evidence"] == ["scam upheld by ada"]


@pytest.mark.parametrize("name", ["0-999", "7-0", "nonsense"])
def test_a_cluster_that_is_not_there_is_one_clear_line(stored: Settings, name: str) -> None:
    with pytest.raises(CheckError, match=f"cluster {name}"):
        cluster_details(stored, name)


def test_a_redis_that_does_not_answer_is_told(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path)
    nowhere = settings_from(None, ["redis.url=redis://127.0.0.1:1/0"], str(tmp_path))
    with pytest.raises(StateUnavailable):
        cluster_rows(nowhere, limit=1, labelled=False)
