from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from consumers.contracts.post import Post
from consumers.contracts.source import Source
from consumers.settings import Limits
from consumers.steps import reasons
from consumers.steps.decode import decode
from consumers.work import ABSENT, USED, PostInWork, SourceRecord
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
        work = decoded(bundle(IMAGE), {"image": files})
        assert np.shape(work.inputs["image"]) == (1, 16, 16, 3)
        assert work.parts == {"image": USED}


@pytest.mark.parametrize("colour", [0, 255])
def test_a_blank_image_alone_is_no_post(colour: int) -> None:
    blank = image_file(np.full((20, 20, 3), colour, dtype=np.uint8), "PNG")
    work = decoded(bundle(IMAGE), {"image": [blank]}, caption=None)
    assert work.failure is not None
    assert work.failure.reason == reasons.NO_USABLE_PART
    assert work.parts == {"image": reasons.BLANK}


def test_media_without_an_encoder_in_the_bundle_are_named() -> None:
    work = decoded(bundle(TEXT), {"audio": [b"x"]}, vectors={"gas": (1.0,)})
    assert work.parts == {"text": USED, "audio": reasons.NO_ENCODER, "gas": reasons.NO_ENCODER}


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
