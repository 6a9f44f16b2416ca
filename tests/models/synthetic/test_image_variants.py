from __future__ import annotations

import numpy as np
import pytest

from models.imagery import resize_square
from models.synthetic import image_variants
from models.synthetic.image_variants import HELD_OUT, TRAINED, view
from models.synthetic.images import generate_image

original = generate_image(np.random.default_rng(4), 120, "still life").pixels


@pytest.mark.parametrize("name", [*TRAINED, *HELD_OUT])
@pytest.mark.parametrize("shape", [(120, 120), (90, 160), (33, 47)])
def test_a_transform_changes_the_picture_and_keeps_it_a_picture(name: str, shape: tuple[int, int]) -> None:
    pixels = np.ascontiguousarray(np.resize(original, (*shape, 3)))
    before = pixels.copy()
    changed = (TRAINED | HELD_OUT)[name](pixels, np.random.default_rng(1))
    assert changed.dtype == np.uint8
    assert changed.ndim == 3
    assert changed.shape[2] == 3
    assert np.array_equal(pixels, before), "the original must stay as it is"
    assert changed.shape != pixels.shape or not np.array_equal(changed, pixels)


def test_no_transform_is_both_trained_and_held_out() -> None:
    assert not TRAINED.keys() & HELD_OUT.keys()
    assert len(HELD_OUT) >= 4


@pytest.mark.parametrize("strength", ["light", "heavy"])
def test_views_have_the_size_that_is_asked_for(strength: image_variants.Strength) -> None:
    rng = np.random.default_rng(2)
    for _ in range(40):
        assert view(original, rng, 64, strength, [original]).shape == (64, 64, 3)


def test_training_views_never_use_a_held_out_transform(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("held out")

    for function in {transform.__name__ for transform in HELD_OUT.values()}:
        monkeypatch.setattr(image_variants, function, refuse)
    rng = np.random.default_rng(3)
    for _ in range(200):
        view(original, rng, 48, "heavy", [original])


def test_a_light_view_stays_nearer_to_the_original_than_a_heavy_one() -> None:
    rng = np.random.default_rng(7)
    small = resize_square(original, 32).astype(float)
    distances = {
        strength: np.mean([np.abs(view(original, rng, 32, strength) - small).mean() for _ in range(60)])
        for strength in ("light", "heavy")
    }
    assert distances["light"] < distances["heavy"]
