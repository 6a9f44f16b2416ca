"""The simulated stream on its way into Kafka."""

from __future__ import annotations

import base64
import time
from typing import TYPE_CHECKING

import msgspec
import pytest

from consumers.contracts.post import Post
from consumers.demo import encoder_rate
from consumers.demo.encoder_rate import measure_encoders
from consumers.demo.feed import MOST_UNDECIDED, Feed, post_of
from consumers.demo.tally import Tally
from consumers.embedded import embedded_broker
from consumers.kafka.lookup import read_topic
from consumers.options import settings_from
from consumers.posts.produce import encode_post
from models.synthetic.posts import StreamPlan, generate_stream
from tests.bundles import write_tiny_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from consumers.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    write_tiny_bundle(tmp_path)
    with embedded_broker() as broker:
        broker.create("posts")
        yield settings_from(None, [f"kafka.bootstrap_servers={broker.address}"], str(tmp_path))


def wait_for(feed: Feed, undecided: int) -> None:
    deadline = time.monotonic() + 60
    while feed.undecided < undecided and time.monotonic() < deadline:
        time.sleep(0.02)


def test_a_post_of_the_stream_carries_its_media_inline() -> None:
    made = next(post for post in generate_stream(StreamPlan(posts=50)) if post.images and post.audio)
    post = msgspec.json.decode(encode_post(post_of(made))[1], type=Post)
    assert (post.post_id, post.caption) == (made.post_id, made.caption)
    assert [media.kind for media in post.media] == ["image", "audio"]
    assert base64.b64decode(post.media[0].data or "") == made.images[0].data
    assert post.media[1].content_type == made.audio[0].content_type


def test_nothing_is_written_before_the_feed_is_opened(settings: Settings) -> None:
    feed = Feed(settings, StreamPlan(posts=5, rate=1000), Tally())
    feed.start()
    time.sleep(0.3)
    assert feed.undecided == 0
    feed.open()
    wait_for(feed, 5)
    assert feed.undecided == 5
    feed.close()
    assert feed.failure is None


def test_the_stream_waits_for_decisions_and_goes_on_with_them(settings: Settings) -> None:
    tally = Tally()
    posts = MOST_UNDECIDED + 10
    feed = Feed(settings, StreamPlan(posts=posts, rate=10_000), tally)
    feed.start()
    feed.open()
    wait_for(feed, MOST_UNDECIDED)
    time.sleep(0.3)
    assert len(tally.sent) == MOST_UNDECIDED
    for post_id in list(tally.sent):
        feed.decided(post_id)
    wait_for(feed, 10)
    assert len(tally.sent) == posts
    feed.close()
    assert sorted(message.key() or b"" for message in read_topic(settings, "posts")) == sorted(
        post_id.encode() for post_id in tally.sent
    )


def test_a_feed_that_is_stopped_writes_no_further_post(settings: Settings) -> None:
    tally = Tally()
    feed = Feed(settings, StreamPlan(posts=1000, rate=20), tally)
    feed.start()
    feed.open()
    wait_for(feed, 3)
    feed.close()
    sent = len(tally.sent)
    assert feed.done
    assert 3 <= sent < 1000


def test_a_topic_that_refuses_is_a_failure_of_the_feed(settings: Settings) -> None:
    small = settings.model_copy(update={"limits": settings.limits.model_copy(update={"post_bytes": 1})})
    big = small.model_copy(
        update={"kafka": small.kafka.model_copy(update={"properties": {"message.max.bytes": 1000}})}
    )
    feed = Feed(big, StreamPlan(posts=20, rate=1000), Tally())
    feed.start()
    feed.open()
    deadline = time.monotonic() + 60
    while not feed.done and time.monotonic() < deadline:
        time.sleep(0.02)
    assert "refused" in str(feed.failure)
    feed.close()


def test_the_encoders_alone_are_measured_on_decoded_posts(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder_rate, "SECONDS", 0.05)
    posts = [encode_post(post_of(made))[1] for made in generate_stream(StreamPlan(posts=6))]
    rate = measure_encoders(settings, posts)
    assert rate is not None
    assert rate > 0
    assert measure_encoders(settings, []) is None
    assert measure_encoders(settings, [b"not a post"]) is None
