"""Originals, their variants and the files made of them."""

import io
from itertools import pairwise

import cv2
import numpy as np
import pytest
import soundfile

from models.synthetic import caption_variants, image_variants, sound_variants
from models.synthetic.encoding import decode_mp3
from models.synthetic.originals import (
    MediaFile,
    Original,
    audio_file,
    draw_image,
    draw_originals,
    draw_sound,
    drift_original,
    exact_post,
    image_file,
    vary_post,
)

ALL = ("text", "image", "audio")


def pixels_of(file: MediaFile) -> np.ndarray:
    return np.asarray(cv2.imdecode(np.frombuffer(file.data, np.uint8), cv2.IMREAD_COLOR))[..., ::-1]


def samples_of(file: MediaFile) -> np.ndarray:
    if file.content_type == "audio/mpeg":
        return decode_mp3(file.data)
    return np.asarray(soundfile.read(io.BytesIO(file.data), dtype="float32")[0])


@pytest.fixture(scope="module")
def original() -> Original:
    return draw_originals(np.random.default_rng(0), 1, ALL, "money", detail=96)[0]


def test_originals_are_of_realistic_size(original: Original) -> None:
    assert original.caption is not None
    assert original.pixels is not None
    assert original.samples is not None
    assert all(320 <= side <= 480 for side in original.pixels.shape[:2])
    assert 3 * 16_000 <= len(original.samples) <= 6 * 16_000
    assert len(original.caption.split()) >= 6


def test_siblings_differ_in_every_part() -> None:
    first, second = draw_originals(np.random.default_rng(1), 2, ALL, "health", detail=96)
    assert first.caption != second.caption
    assert first.pixels is not None
    assert second.pixels is not None
    assert first.pixels.shape == second.pixels.shape
    assert np.abs(first.pixels.astype(int) - second.pixels).mean() > 1
    assert first.samples is not None
    assert second.samples is not None
    assert not np.array_equal(first.samples, second.samples)


@pytest.mark.parametrize("parts", [("text",), ("image",), ("text", "audio")])
def test_an_original_has_the_asked_parts_only(parts: tuple[str, ...]) -> None:
    made = draw_originals(np.random.default_rng(2), 1, parts, detail=96)[0]
    present = {"text": made.caption, "image": made.pixels, "audio": made.samples}
    assert {name for name, part in present.items() if part is not None} == set(parts)


def test_an_exact_post_is_the_original(original: Original) -> None:
    posted = exact_post(original, np.random.default_rng(0))
    assert posted.caption == original.caption
    assert posted.variants == ()
    assert posted.image is not None
    assert original.pixels is not None
    assert np.abs(pixels_of(posted.image).astype(int) - original.pixels).mean() < 8


def test_variants_name_what_was_done_to_each_part(original: Original) -> None:
    tables = {"text": caption_variants, "image": image_variants, "audio": sound_variants}
    seen: set[str] = set()
    for seed in range(40):
        posted = vary_post(original, np.random.default_rng(seed))
        for name in posted.variants:
            modality, _, transform = name.partition(":")
            assert transform in tables[modality].TRAINED or transform in tables[modality].HELD_OUT
        if not any(name.startswith("text:") for name in posted.variants):
            assert posted.caption == original.caption
        seen.update(posted.variants)
    for modality, table in tables.items():
        assert any(f"{modality}:{name}" in seen for name in table.TRAINED)
        assert any(f"{modality}:{name}" in seen for name in table.HELD_OUT)


def test_files_are_what_their_types_say() -> None:
    rng = np.random.default_rng(3)
    pixels, _ = draw_image(rng, 96)
    images = [image_file(pixels, rng) for _ in range(60)]
    assert {file.content_type for file in images} == {"image/jpeg", "image/png"}
    for file in images:
        assert file.data.startswith(b"\xff\xd8" if file.content_type == "image/jpeg" else b"\x89PNG")
        assert pixels_of(file).shape == pixels.shape
    samples, _ = draw_sound(rng)
    recordings = [audio_file(samples, rng) for _ in range(12)]
    assert {file.content_type for file in recordings} == {"audio/wav", "audio/mpeg"}
    for file in recordings:
        assert abs(len(samples_of(file)) - len(samples)) < 2400


def test_drawn_media_come_with_words() -> None:
    rng = np.random.default_rng(4)
    assert draw_image(rng, 96)[1]
    assert draw_sound(rng)[1]


def test_a_step_of_the_drift_is_mild_and_many_are_not(original: Original) -> None:
    rng = np.random.default_rng(6)
    steps = [original]
    for _ in range(12):
        steps.append(drift_original(steps[-1], rng))
    near, far = (_apart(original, one) for one in (steps[1], steps[-1]))
    assert 0 < near < 0.2
    assert far > 2 * near
    sizes = [one.pixels.shape for one in steps if one.pixels is not None]
    assert len(set(sizes)) == 1
    texts = [one.caption for one in steps if one.caption is not None]
    assert len(set(texts)) > 3
    lengths = [len(one.samples) for one in steps if one.samples is not None]
    assert all(abs(one / before - 1) <= 0.011 for before, one in pairwise(lengths))


def test_parts_that_are_not_there_do_not_drift() -> None:
    assert drift_original(Original(), np.random.default_rng(0)) == Original()


def _apart(one: Original, other: Original) -> float:
    """1 - the correlation of two images of one size."""
    assert one.pixels is not None
    assert other.pixels is not None
    return 1.0 - float(np.corrcoef(one.pixels.ravel(), other.pixels.ravel())[0, 1])
