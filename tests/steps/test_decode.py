from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from consumers.contracts.post import Post
from consumers.contracts.source import Source
from consumers.encoding.work import ABSENT, USED, PostInWork, SourceRecord
from consumers.settings import Limits
from consumers.steps import reasons
from consumers.steps.decode import decode
from models.bundle import Bundle
from models.manifest import (
    AudioInput,
    ImageInput,
    Manifest,
    Modality,
    Provenance,
    TextInput,
    Thresholds,
    VectorInput,
)
from tests.steps.media_files import image_file, picture, sound_file, tone

MEAN = (0.0,) * 4


def bundle(*modalities: Modality) -> Bundle:
    manifest = Manifest(
        name="tiny",
        version="1",
        dimension=4,
        modalities=modalities,
        thresholds=Thresholds(join=0.7, cohesion=0.4, centroid=0.7, exemplar=0.7, modality=0.5, twin=0.9),
        half_life_seconds=60.0,
        files={},
        provenance=Provenance(command="-", seed=0, created_at="-", shoal="0", data=()),
        licence="Apache-2.0",
    )
    return Bundle(Path(), manifest, {}, {})


TEXT = Modality(name="text", kind="text", mean=MEAN, text=TextInput(tokenizer="t.json", max_tokens=8))
IMAGE = Modality(name="image", kind="image", mean=MEAN, image=ImageInput(size=16))
AUDIO = Modality(name="audio", kind="audio", mean=MEAN, audio=AudioInput(rate=8_000, window=8_000, max_windows=2))
SENSOR = Modality(name="sensor", kind="vector", mean=MEAN, vector=VectorInput(size=4))


def decoded(
    using: Bundle,
    files: dict[str, list[bytes]],
    caption: str | None = "hello",
    vectors: dict[str, tuple[float, ...]] | None = None,
    parts: dict[str, str] | None = None,
) -> PostInWork:
    record = SourceRecord(Source("posts", "id", 0, 0, 0), None, b"")
    post = Post(post_id="p", caption=caption, vectors=vectors or {})
    work = PostInWork(record, post=post, files=files, parts=parts or {})
    decode(work, using, Limits())
    return work


def test_a_whole_post_has_all_its_parts() -> None:
    files = {"image": [image_file(picture(), "PNG")], "audio": [sound_file(tone(), "WAV")]}
    work = decoded(bundle(TEXT, IMAGE, AUDIO), files)
    assert work.failure is None
    assert work.parts == {"text": USED, "image": USED, "audio": USED}
    assert work.inputs["text"] == ["hello"]
    assert np.shape(work.inputs["image"]) == (1, 16, 16, 3)
    assert np.shape(work.inputs["audio"]) == (2, 8_000)
    assert work.files == {}


def test_a_bad_part_is_dropped_with_its_reason_and_the_rest_is_used() -> None:
    files = {"image": [b"no image"], "audio": [sound_file(np.zeros(8_000, dtype=np.float32), "WAV")]}
    work = decoded(bundle(TEXT, IMAGE, AUDIO), files)
    assert work.failure is None
    assert work.parts == {"text": USED, "image": reasons.UNDECODABLE, "audio": reasons.SILENT}


def test_a_reason_of_an_earlier_step_stays() -> None:
    work = decoded(bundle(TEXT, IMAGE), {}, parts={"image": reasons.URI_NOT_FOUND})
    assert work.parts == {"text": USED, "image": reasons.URI_NOT_FOUND}


def test_parts_that_the_post_does_not_have_are_absent() -> None:
    assert decoded(bundle(TEXT, IMAGE, AUDIO), {}).parts == {"text": USED, "image": ABSENT, "audio": ABSENT}


def test_several_images_of_a_post_are_kept_together() -> None:
    files = {"image": [image_file(picture(), "PNG"), image_file(picture()[::-1], "PNG")]}
    assert np.shape(decoded(bundle(IMAGE), files).inputs["image"]) == (2, 16, 16, 3)


def test_one_bad_image_of_several_does_not_take_the_others_along() -> None:
    good = image_file(picture(), "PNG")
    for files in ([good, b"no image"], [b"no image", good]):
        work = decoded(bundle(IMAGE), {"image": files}, caption=None)
        assert np.shape(work.inputs["image"]) == (1, 16, 16, 3)
        assert work.parts == {"image": USED}


@pytest.mark.parametrize("colour", [0, 255])
def test_a_blank_image_alone_is_no_post(colour: int) -> None:
    blank = image_file(np.full((20, 20, 3), colour, dtype=np.uint8), "PNG")
    work = decoded(bundle(IMAGE), {"image": [blank]}, caption=None)
    assert work.failure is not None
    assert work.failure.reason == reasons.NO_USABLE_PART
    assert work.parts == {"image": reasons.BLANK}


def test_what_the_bundle_has_no_encoder_for_is_told_by_its_kind() -> None:
    """A sender chooses the names of vectors: they are no metric labels."""
    work = decoded(bundle(IMAGE), {"image": [image_file(picture(), "PNG")], "audio": [b"x"]}, vectors={"gas": (1.0,)})
    assert work.parts == {
        "image": USED,
        "text": reasons.NO_ENCODER,
        "audio": reasons.NO_ENCODER,
        "vector": reasons.NO_ENCODER,
    }


def test_a_post_of_which_the_bundle_has_no_encoder_for_any_part_is_a_failure() -> None:
    work = decoded(bundle(IMAGE), {})
    assert work.failure is not None
    assert (work.failure.reason, work.failure.step) == (reasons.NO_USABLE_PART, "decode")
    assert reasons.NO_ENCODER in work.failure.detail


def test_two_modalities_of_one_kind_both_know_why_it_is_missing() -> None:
    scene = Modality(name="scene", kind="image", mean=MEAN, image=ImageInput(size=8))
    work = decoded(bundle(TEXT, IMAGE, scene), {}, parts={"image": reasons.URI_NOT_FOUND})
    assert work.parts == {"text": USED, "image": reasons.URI_NOT_FOUND, "scene": reasons.URI_NOT_FOUND}


def test_two_modalities_of_one_kind_both_see_the_file() -> None:
    scene = Modality(name="scene", kind="image", mean=MEAN, image=ImageInput(size=8))
    work = decoded(bundle(IMAGE, scene), {"image": [image_file(picture(), "PNG")]}, caption=None)
    assert work.parts == {"image": USED, "scene": USED}
    assert np.shape(work.inputs["scene"]) == (1, 8, 8, 3)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "AVIF"])
def test_the_bytes_decide_what_a_file_is(form: str) -> None:
    assert decoded(bundle(IMAGE), {"image": [image_file(picture(), form)]}, caption=None).parts == {"image": USED}


def test_what_a_post_held_is_freed() -> None:
    work = decoded(bundle(SENSOR), {}, caption=None, vectors={"sensor": (1.0, 2.0, 3.0, 4.0)})
    assert work.post is not None
    assert work.post.vectors == {}


def test_a_named_vector_is_used() -> None:
    work = decoded(bundle(SENSOR), {}, caption=None, vectors={"sensor": (1.0, 2.0, 3.0, 4.0)})
    assert work.parts == {"sensor": USED}
    assert np.shape(work.inputs["sensor"]) == (1, 4)


@pytest.mark.parametrize(
    ("vector", "reason"),
    [
        ((1.0,), reasons.WRONG_SIZE),
        ((float("nan"), 1.0, 1.0, 1.0), reasons.NOT_FINITE),
        ((0.0,) * 4, reasons.NOT_FINITE),
        ((1e300, 1.0, 1.0, 1.0), reasons.NOT_FINITE),
    ],
)
def test_a_vector_that_cannot_be_used_is_dropped(vector: tuple[float, ...], reason: str) -> None:
    assert decoded(bundle(TEXT, SENSOR), {}, vectors={"sensor": vector}).parts["sensor"] == reason
