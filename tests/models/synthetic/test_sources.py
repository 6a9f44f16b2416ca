"""One original posted many times."""

import numpy as np

from models.synthetic.originals import draw_originals
from models.synthetic.sources import Source


def test_takes_are_bounded_and_captions_fresh() -> None:
    rng = np.random.default_rng(0)
    source = Source(draw_originals(rng, 1, ("text", "image", "audio"), "money", detail=96)[0], most=3)
    posts = [source.post(rng) for _ in range(30)]
    assert posts[0].variants == ()
    assert posts[0].caption == source.original.caption
    assert 1 < len({post.image.data for post in posts[1:] if post.image}) <= 3
    assert 1 < len({post.audio.data for post in posts[1:] if post.audio}) <= 3
    assert len({post.caption for post in posts}) > 12


def test_only_wanted_parts_are_posted() -> None:
    rng = np.random.default_rng(1)
    source = Source(draw_originals(rng, 1, ("text", "image"), detail=96)[0], most=2)
    post = source.post(rng, ("image", "audio"))
    assert post.caption is None
    assert post.image is not None
    assert post.audio is None


def test_what_has_been_posted_before_is_not_posted_unchanged_first() -> None:
    rng = np.random.default_rng(2)
    original = draw_originals(rng, 1, ("text", "image"), detail=96)[0]
    first = [Source(original, most=2, started=True).post(rng) for _ in range(12)]
    assert any(post.variants for post in first)
