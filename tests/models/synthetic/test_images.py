from __future__ import annotations

import numpy as np
import pytest

from models.synthetic.images import SCENES, generate_image, generate_siblings


@pytest.mark.parametrize("scene", SCENES)
def test_every_scene_fills_its_canvas_and_says_what_it_shows(scene: str) -> None:
    image = generate_image(np.random.default_rng(5), 96, scene)
    assert image.pixels.shape == (96, 96, 3)
    assert image.pixels.dtype == np.uint8
    assert image.pixels.std() > 5
    assert image.scene == scene
    assert 1 <= len(image.colours) <= 3
    assert image.objects


def test_the_same_seed_gives_the_same_image_and_another_seed_another() -> None:
    one, again, other = (generate_image(np.random.default_rng(seed), 64).pixels for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_siblings_share_their_scene_and_differ_in_what_they_show() -> None:
    siblings = generate_siblings(np.random.default_rng(3), 4, 64)
    assert len({sibling.scene for sibling in siblings}) == 1
    assert len({sibling.pixels.tobytes() for sibling in siblings}) == 4


def test_siblings_look_more_alike_than_strangers() -> None:
    rng = np.random.default_rng(9)

    def distance(a: np.ndarray, b: np.ndarray) -> float:
        means = [pixels.astype(float).mean(axis=(0, 1)) for pixels in (a, b)]
        return float(np.abs(means[0] - means[1]).sum())

    within, between = [], []
    for _ in range(12):
        one, two = generate_siblings(rng, 2, 48)
        within.append(distance(one.pixels, two.pixels))
        between.append(distance(one.pixels, generate_image(rng, 48).pixels))
    assert np.mean(within) < 0.6 * np.mean(between)
