"""Posts made of a folder of media."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import cv2
import msgspec
import numpy as np
import pytest
import soundfile
from PIL import Image

from consumers.contracts.post import Post
from consumers.posts.media_folder import SIDE, MediaFolder, posts_of_folder, read_pixels, read_samples
from consumers.settings import Limits, SettingsError
from models.synthetic.oscillators import RATE

if TYPE_CHECKING:
    from pathlib import Path

LIMITS = Limits()


@pytest.fixture
def folder(tmp_path: Path) -> MediaFolder:
    rng = np.random.default_rng(3)
    (tmp_path / "images").mkdir()
    (tmp_path / "audio").mkdir()
    for name in ("a.jpg", "b.png", "c.webp"):
        cv2.imwrite(str(tmp_path / "images" / name), cv2.blur(rng.integers(0, 255, (120, 160, 3), np.uint8), (9, 9)))
    soundfile.write(tmp_path / "audio" / "x.flac", rng.normal(0, 0.1, (44_100, 2)), 44_100)
    (tmp_path / "captions.txt").write_text("the first caption here\n\nthe second caption here\n")
    return MediaFolder(tmp_path / "images", tmp_path / "audio", tmp_path / "captions.txt")


Posts = dict[str, Post]


def made(folder: MediaFolder, truth: Path, variants: int = 2, seed: int = 1, *, originals: bool = True) -> Posts:
    posts = posts_of_folder(folder, LIMITS, variants, seed, truth, pytest.fail, originals=originals)
    return {key: msgspec.json.decode(value, type=Post) for key, value in posts}


def test_originals_carry_the_files_byte_for_byte_and_each_file_once(folder: MediaFolder, tmp_path: Path) -> None:
    posts = made(folder, tmp_path / "truth.jsonl", variants=0)
    assert list(posts) == ["00000-a", "00001-b", "00002-c"]
    first = posts["00000-a"]
    assert first.caption == "the first caption here"
    assert [media.kind for media in first.media] == ["image", "audio"]
    assert [media.content_type for media in first.media] == ["image/jpeg", "audio/flac"]
    assert folder.images is not None
    assert base64.b64decode(first.media[0].data or "") == (folder.images / "a.jpg").read_bytes()
    assert [media.kind for media in posts["00002-c"].media] == ["image"]
    assert posts["00002-c"].caption is None


def test_copies_are_altered_noted_and_the_same_for_the_same_seed(folder: MediaFolder, tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    posts = made(folder, truth)
    assert len(posts) == 9
    notes = {note["post_id"]: note for note in map(json.loads, truth.read_text().splitlines())}
    assert list(notes) == list(posts)
    assert notes["00001-b"] == {"post_id": "00001-b", "original": "00001-b", "variants": []}
    copies = [note for note in notes.values() if note["post_id"] != note["original"]]
    assert {note["original"] for note in copies} == {"00000-a", "00001-b", "00002-c"}
    assert any(note["variants"] for note in copies)
    assert made(folder, truth) == posts
    assert made(folder, truth, seed=2) != posts


def test_originals_can_be_left_out_without_changing_the_copies(folder: MediaFolder, tmp_path: Path) -> None:
    everything = made(folder, tmp_path / "truth.jsonl")
    copies = made(folder, tmp_path / "truth.jsonl", originals=False)
    assert copies == {key: post for key, post in everything.items() if "-copy-" in key}


def test_a_broken_file_is_refused_and_its_neighbours_are_posted(folder: MediaFolder, tmp_path: Path) -> None:
    assert folder.images is not None
    (folder.images / "b.png").write_bytes(b"\x89PNG nothing")
    refused: list[str] = []
    posts = posts_of_folder(MediaFolder(images=folder.images), LIMITS, 1, 0, tmp_path / "t", refused.append)
    assert sorted(key for key, _ in posts) == ["00000-a", "00000-a-copy-1", "00002-c", "00002-c-copy-1"]
    assert len(refused) == 1
    assert refused[0].startswith("00001-b: ")


def test_a_file_beyond_the_limit_is_refused(folder: MediaFolder, tmp_path: Path) -> None:
    refused: list[str] = []
    limits = Limits(media_bytes=100)
    assert not list(posts_of_folder(MediaFolder(images=folder.images), limits, 1, 0, tmp_path / "t", refused.append))
    assert all("limits.media_bytes" in line for line in refused)


def test_an_empty_folder_says_what_it_looked_for(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"\.jpg"):
        list(posts_of_folder(MediaFolder(images=tmp_path), LIMITS, 1, 0, tmp_path / "t", pytest.fail))


def test_pixels_are_upright_and_bounded(tmp_path: Path) -> None:
    image = Image.new("RGB", (2000, 1000), "red")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert read_pixels(tmp_path / "turned.jpg").shape == (SIDE, SIDE // 2, 3)


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg"])
def test_samples_are_mono_at_the_simulators_rate(tmp_path: Path, ending: str) -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100) * 0.5
    path = tmp_path / f"tone.{ending}"
    soundfile.write(path, np.stack([tone, tone], axis=1), 44_100)
    samples = read_samples(path)
    assert samples.dtype == np.float32
    assert abs(len(samples) - RATE) < RATE // 20
    assert 0.2 < float(np.abs(samples).max()) < 1.1
