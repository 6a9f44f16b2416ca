"""Harmless posts."""

from collections import Counter

import numpy as np

from models.synthetic.background import Background


def test_some_memes_come_far_more_often_than_others() -> None:
    rng, background = np.random.default_rng(0), Background()
    captions = Counter(
        post.image.data for post in (background.repeat(rng)[0] for _ in range(250)) if post.image is not None
    )
    ranked = [count for _, count in captions.most_common()]
    assert ranked[0] >= 4 * ranked[len(ranked) // 2]


def test_single_posts_have_one_to_three_parts_and_all_compositions_occur() -> None:
    rng, background = np.random.default_rng(1), Background()
    seen: Counter[tuple[bool, bool, bool]] = Counter()
    for _ in range(300):
        post = background.single(rng)
        seen[post.caption is not None, post.image is not None, post.audio is not None] += 1
    assert (False, False, False) not in seen
    assert len(seen) == 7


def test_known_media_come_again_once_there_are_enough() -> None:
    rng, background = np.random.default_rng(2), Background()
    files = [background.audio(rng)[0].data for _ in range(120)]
    assert len(set(files[:40])) == 40
    assert len(set(files)) < 90
