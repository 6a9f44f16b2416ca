"""Features for a bundle that had none: what the graph gives then, and the threshold that is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import onnxruntime
import pytest

from models.bundle import open_bundle, verify_bundle
from models.export.verification import BANDS, FRAMES_A_SECOND, LETTERS, TEXTS, add_features, add_verification
from models.manifest import AudioInput, BundleError, ManifestError, read_manifest, write_manifest
from models.training.calibrate import verification_threshold
from models.verification import pack
from tests.bundles import IMAGE_SIZE, RATE, WINDOW, write_tiny_bundle
from tests.pictures import picture, small

if TYPE_CHECKING:
    from pathlib import Path

    from models.bundle import Bundle


def opened(folder: Path) -> Bundle:
    return open_bundle(folder, provider="cpu", intra_op_threads=1)


def test_a_bundle_with_verification_opens_and_embeds_as_before(tmp_path: Path) -> None:
    before = write_tiny_bundle(tmp_path)
    shown = np.random.default_rng(1).integers(0, 256, (3, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
    embedded = opened(tmp_path).encoders["image"].embed(list(shown))
    written = add_verification(tmp_path, 1, generated=12)
    assert read_manifest(tmp_path) == written
    assert written.bundle_id != before.bundle_id, "features are part of what a graph gives"
    assert all(report.state == "ok" for report in verify_bundle(tmp_path))
    found = written.verification["image"]
    assert (found.originals, found.height, found.width) == (12, IMAGE_SIZE, IMAGE_SIZE)
    assert found.interval[0] <= found.found / found.originals <= found.interval[1]
    looked = opened(tmp_path).encoders["image"].look(list(shown))
    assert np.array_equal(looked.embeddings, embedded)
    assert looked.features is not None
    assert np.abs(looked.features.astype(float) - shown.mean(axis=3)).max() <= 0.51, "at its own size it is the image"
    assert opened(tmp_path).encoders["text"].look(["a"]).layout == "text"


def test_features_are_means_over_areas(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path)
    add_features(tmp_path / "image.onnx", 5)
    add_features(tmp_path / "image.onnx", 5)  # once more changes nothing
    session = onnxruntime.InferenceSession(str(tmp_path / "image.onnx"), providers=["CPUExecutionProvider"])
    flat = np.full((1, IMAGE_SIZE, IMAGE_SIZE, 3), 77, dtype=np.uint8)
    flat[:, :, IMAGE_SIZE // 2 :] = 255
    [given] = session.run(["features"], {"pixels": flat})
    assert given.shape == (1, 5, 5)
    assert given[0].tolist() == [[77, 77, 166, 255, 255]] * 5


def test_recalibrating_keeps_the_id(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path)
    first = add_verification(tmp_path, 1, generated=8)
    assert add_verification(tmp_path, 2, generated=6).bundle_id == first.bundle_id


def test_maps_of_sound_need_no_graph_of_their_own_and_keep_the_id(tmp_path: Path) -> None:
    before = write_tiny_bundle(tmp_path)
    written = add_verification(tmp_path, 1, only=["audio"], generated=8)
    assert written.bundle_id == before.bundle_id
    assert written.files == before.files
    assert list(written.verification) == ["audio"]
    given = written.verification["audio"]
    assert (given.layout, given.height, given.width) == ("sound", BANDS, round(FRAMES_A_SECOND * WINDOW / RATE))
    assert given.originals == 8
    encoder = opened(tmp_path).encoders["audio"]
    looked = encoder.look([encoder.example()] * 2)
    assert looked.features is not None
    assert looked.features.shape == (2, given.height, given.width)
    assert looked.layout == "sound"


def test_letters_of_texts_need_no_graph_of_their_own_and_keep_the_id(tmp_path: Path) -> None:
    before = write_tiny_bundle(tmp_path)
    assert opened(tmp_path).encoders["text"].look(["a"]).features is None
    written = add_verification(tmp_path, 1, only=["text"], generated=8)
    assert written.bundle_id == before.bundle_id
    assert written.files == before.files
    given = written.verification["text"]
    assert (given.layout, (given.height, given.width), given.originals) == ("text", LETTERS, 8 * TEXTS)
    looked = opened(tmp_path).encoders["text"].look(["Free money", "fr33 m0ney!"])
    assert looked.features is not None
    assert looked.features.shape == (2, *LETTERS)
    assert np.array_equal(*looked.features)


def test_only_texts_are_verified_by_their_letters(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path)
    written = add_verification(tmp_path, 1, only=["text"], generated=4)
    write_manifest(tmp_path, msgspec.structs.replace(written, verification={"image": written.verification["text"]}))
    with pytest.raises(ManifestError, match="by text needs a modality of texts"):
        read_manifest(tmp_path)


def test_modalities_that_are_not_asked_for_stay_as_they_are(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path)
    first = add_verification(tmp_path, 1, generated=8)
    second = add_verification(tmp_path, 2, only=["audio"], generated=6)
    assert second.verification["image"] == first.verification["image"]
    assert second.verification["audio"].originals == 6


def test_only_audio_that_is_long_and_fine_enough_is_verified_by_sound(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path)
    written = add_verification(tmp_path, 1, generated=4)
    sound = written.verification["audio"]
    for wrong in ({"image": sound}, {"text": sound}, {"audio": msgspec.structs.replace(sound, width=255)}):
        short = tuple(
            one
            if one.audio is None
            else msgspec.structs.replace(one, audio=AudioInput(rate=8, window=254, max_windows=1))
            for one in written.modalities
        )
        write_manifest(tmp_path, msgspec.structs.replace(written, modalities=short, verification=wrong))
        with pytest.raises(ManifestError, match="by sound needs audio"):
            read_manifest(tmp_path)


def test_a_lower_cosine_stands_in_the_manifest_and_nearer_pairs_are_compared_down_to_it(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path)
    plain = add_verification(tmp_path, 1, generated=8).verification
    lower = add_verification(
        tmp_path, 1, generated=8, cosines={"text": -0.9, "image": -0.9, "audio": -0.9}
    ).verification
    assert {one.cosine for one in plain.values()} == {None}
    assert {one.cosine for one in lower.values()} == {-0.9}
    assert all(lower[name].threshold >= plain[name].threshold for name in plain)


def test_a_manifest_that_promises_features_its_graph_has_not_is_refused(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "with")
    plain = write_tiny_bundle(tmp_path / "without")
    promised = add_verification(tmp_path / "with", 1, generated=4).verification
    write_manifest(tmp_path / "without", msgspec.structs.replace(plain, verification=promised))
    with pytest.raises(BundleError, match="features"):
        opened(tmp_path / "without")
    write_manifest(
        tmp_path / "without", msgspec.structs.replace(plain, verification={"smell": next(iter(promised.values()))})
    )
    with pytest.raises(ManifestError, match="smell"):
        read_manifest(tmp_path / "without")


def test_the_threshold_lies_just_above_what_look_alikes_reach() -> None:
    shown = [picture(1), picture(2), picture(1)[5:150, 5:150], picture(3)]
    features = [pack(small(one)[None], "image") for one in shown]
    same = np.ones((4, 1), dtype=np.float32)
    strict = verification_threshold(same, features, 0.7, 0.0)
    assert strict.found == 0
    assert strict.threshold > 0.85, "the first and the third are nearly the same"
    loose = verification_threshold(same, features, 0.7, 0.5)
    assert loose.found == 2
    assert loose.threshold < 0.7
    apart = verification_threshold(np.eye(4, dtype=np.float32), features, 0.7, 0.0)
    assert apart.threshold == pytest.approx(0.501), "strangers are not compared"
