"""The examples of docs/examples do what their page says, on the embedded broker."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sklearn.metrics import adjusted_rand_score

from consumers.bundles import find_bundle
from consumers.embedded import embedded_broker, embedded_redis
from consumers.kafka.topics import needed_topics
from consumers.options import settings_from
from consumers.posts.produce import posts_of_file, produce_posts
from consumers.questions.campaigns import find_campaigns
from consumers.questions.query import query_post
from consumers.shown.search import find
from consumers.state.reading import opened_state, show_cluster
from models.manifest import read_manifest
from tests.integration.platform import Platform, eventually, working
from tests.servers import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from consumers.questions.search import What

EXAMPLES = ROOT / "docs" / "examples"
ROOM = 40
"""Posts with media that the embedded broker keeps at once."""


@contextmanager
def example(name: str, made: Path, *assignments: str) -> Iterator[Platform]:
    """What its make.py makes, in `made`, and a worker under its settings."""
    subprocess.run([sys.executable, str(EXAMPLES / name / "make.py"), str(made)], check=True, timeout=300, cwd=ROOT)
    with embedded_broker() as broker, embedded_redis() as url:
        given = [
            f"kafka.bootstrap_servers={broker.address}",
            "kafka.delivery=at-least-once",
            f"kafka.topic_identity={broker.identity}",
            f"redis.url={url}",
            "http.port=0",
            "encode.provider=cpu",
        ]
        settings = settings_from(EXAMPLES / name / "settings.toml", [*given, *assignments])
        bundle = read_manifest(find_bundle(settings.bundle)).bundle_id
        broker.create(*(topic.name for topic in needed_topics(settings, bundle)))
        platform = Platform(settings.model_copy(update={"bundle": str(find_bundle(settings.bundle))}))
        with working(platform.settings, made):
            yield platform


def produce(platform: Platform, file: Path) -> int:
    """The posts of a file; gives how many."""
    refused: list[str] = []
    posts = posts_of_file(file, platform.settings.limits.post_bytes, refused.append)
    written = produce_posts(platform.settings, posts, rate=None).written
    assert refused == []
    return written


def test_a_sensor_vector_beside_a_text_flags_what_has_both(tmp_path: Path) -> None:
    with example("sensor", tmp_path, f"bundle={tmp_path / 'bundle'}") as platform:
        count = produce(platform, tmp_path / "history.jsonl")
        history = platform.decided(count, 120)
        platform.give_verdict("uphold", "bearing-damage", history["damaged-history-0"])
        eventually(platform.flags, bool)
        count += produce(platform, tmp_path / "later.jsonl")
        decided = platform.decided(count, 120)
        post = query_post(
            platform.settings, text=None, image=None, audio=None, vectors={"vibration": tmp_path / "reading.json"}
        )
        kinds: tuple[What, ...] = ("post",)
        hits = find(platform.settings, post, kinds, within=None, limit=3, progress=lambda _done, _all: None)
    later = {post_id: one.outcome for post_id, one in decided.items() if "-later-" in post_id}
    flagged = {post_id for post_id, outcome in later.items() if outcome == "flagged"}
    assert flagged == {post_id for post_id in later if post_id.startswith("damaged-")}
    assert len(flagged) == 6
    assert set(decided["damaged-later-0"].shares) == {"text", "vibration"}
    assert {hit.name.partition("-")[0] for hit in hits} <= {"damaged", "spectrum"}


def test_complaints_that_go_round_become_campaigns_and_no_flags(tmp_path: Path) -> None:
    with example("feedback", tmp_path) as platform:
        lines = (tmp_path / "feedback.jsonl").read_bytes().splitlines(keepends=True)
        for start in range(0, len(lines), ROOM):
            (tmp_path / "some.jsonl").write_bytes(b"".join(lines[start : start + ROOM]))
            produce(platform, tmp_path / "some.jsonl")
            decided = platform.decided(min(start + ROOM, len(lines)), 120)
        found = find_campaigns(platform.settings, method="dbscan", count=None, limit=6, window_seconds=3600.0)
        campaigns = dict(zip((one.cluster_id for one in found.clusters), found.of, strict=True))
        members: dict[str, str] = {}
        with opened_state(platform.settings) as (_, store):
            for post_id, decision in decided.items():
                detail = show_cluster(store, decision.cluster_id or "", 1.0)
                assert detail is not None
                members[post_id] = campaigns[detail.summary.cluster_id]
        flags = platform.flags()
    notes = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text().splitlines()]
    truth = {note["post_id"]: note["complaint"] for note in notes if note["complaint"] is not None}
    assert flags == []
    assert adjusted_rand_score(list(truth.values()), [members[post_id] for post_id in truth]) > 0.8
    largest = [{truth.get(post_id) for post_id in campaign.samples} for campaign in found.campaigns]
    assert all(len(complaints) == 1 for complaints in largest)
    assert set().union(*largest) == set(truth.values())
