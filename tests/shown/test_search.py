"""Searching the state in Redis, as the command shows it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from consumers.bundles import open_encoders
from consumers.contracts.post import Post
from consumers.options import settings_from
from consumers.questions.query import embed_query
from consumers.settings import SettingsError
from consumers.shown.search import find, objects_of, table_of
from consumers.state.store import StateStore
from tests.bundles import write_tiny_bundle
from tests.cells.small_cells import post, settings, verdict
from tests.cells.vector_cells import BundleCell

if TYPE_CHECKING:
    from pathlib import Path

    from consumers.questions.search import Hit, What
    from consumers.settings import Settings

pytestmark = pytest.mark.redis

NEAR = ("double your coins before midday", "double your coin before midnight")
TEXTS = ("double your coins before midnight", "a walk in the park with the dog", "fresh bread every morning")
ALL: tuple[What, ...] = ("post", "exemplar", "cluster")


@pytest.fixture
def stored(tmp_path: Path, real_redis: str) -> Settings:
    """Two cells: three texts and near-copies of the first in one, a copy of its evidence in the other."""
    write_tiny_bundle(tmp_path)
    found = settings_from(
        None, [f"redis.url={real_redis}", f"redis.prefix={tmp_path.name}", "assign.cells=2"], str(tmp_path)
    )
    bundle = open_encoders(found)
    given = [embed_query(found, bundle, Post(post_id="query", caption=text)) for text in (*TEXTS, *NEAR)]
    rows = given[:3]
    store = StateStore(found.redis, bundle.bundle_id, 2)
    for number in range(2):
        cell = BundleCell(settings(), bundle.manifest, number)
        store.claim(number, "me")
        store.write(number, "me", None, 0, cell.fold.first_changes(), b"")
        posts = [post(n, row) for n, row in enumerate(rows)] if number == 0 else []
        posts += [post(9 + number, given[3 + number])]
        upheld = verdict(1, post_id=posts[0].post_id, vector=posts[0].vector, source=posts[0].source)
        folded = cell.add(*posts, upheld)
        store.write(number, "me", 0, folded.position, folded.changes, b"")
    store.close()
    return found


def search(settings: Settings, text: str, *kinds: What, within: str | None = None, limit: int = 5) -> list[Hit]:
    return find(
        settings,
        Post(post_id="query", caption=text),
        kinds or ALL,
        within=within,
        limit=limit,
        progress=lambda _done, _all: None,
    )


def test_a_text_finds_its_posts_exemplars_and_clusters_in_all_cells(stored: Settings) -> None:
    hits = search(stored, TEXTS[0])
    posts = [hit for hit in hits if hit.what == "post"]
    assert [hit.name for hit in posts[:3]] == ["post-0", "post-10", "post-9"]
    assert posts[0].similarity == pytest.approx(1.0, abs=1e-3)
    assert posts[0].place == "0:0"
    assert posts[0].labels == {"scam": "violating"}
    assert [hit.name for hit in hits if hit.what == "exemplar"] == ["post-0", "post-10"]
    assert [hit.name for hit in hits if hit.what == "cluster"][:2] == ["0-0", "1-0"]


def test_only_what_is_asked_for_is_found(stored: Settings) -> None:
    assert {hit.what for hit in search(stored, TEXTS[1], "cluster")} == {"cluster"}
    [found] = search(stored, TEXTS[1], "post", limit=1)
    assert (found.name, found.cluster_id) == ("post-1", "0-1")


def test_posts_that_lack_the_part_are_not_found(stored: Settings) -> None:
    assert search(stored, TEXTS[0], within="image") == []
    with pytest.raises(SettingsError, match="smell"):
        search(stored, TEXTS[0], within="smell")


def test_a_table_names_the_part_and_json_says_everything(stored: Settings) -> None:
    hits = search(stored, TEXTS[2], "post", limit=1)
    assert list(table_of(hits, "post", None)[0]) == ["post", "text", "cluster", "labels", "place"]
    assert list(table_of(hits, "post", "audio")[0])[1] == "text → audio"
    [row] = objects_of(hits, None)
    assert json.loads(json.dumps(row))["similarities"] == {"text": pytest.approx(1.0, abs=1e-3)}
