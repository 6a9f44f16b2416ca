"""Pools of originals on disk: generated once by several processes, read by all of them through the page cache."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import get_context
from typing import TYPE_CHECKING

import cv2
import numpy as np
import soundfile
import soxr

from models.imagery import resize_square
from models.synthetic import images, sounds
from models.training.kinds import AUDIO_RATE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

IMAGE_SIDE = 144
SOUND_SAMPLES = 6 * AUDIO_RATE
SIBLINGS = 4
CHUNK = 80
IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp")
SOUND_ENDINGS = (".wav", ".flac", ".ogg", ".mp3")
_SCALE = 32767.0


@dataclass(frozen=True)
class Pool:
    """Originals of one kind in a folder.

    Attributes:
        folder: holds items.npy and about.json.
        grouped: originals [0, grouped) stand in groups of SIBLINGS look-alikes.
        generated: originals [grouped, generated) are unrelated; the rest came from a folder of real ones.
    """

    folder: Path
    grouped: int
    generated: int

    @cached_property
    def items(self) -> NDArray[np.generic]:
        """Images uint8 (n, side, side, 3) or sounds int16 (n, samples), memory-mapped."""
        array: NDArray[np.generic] = np.load(self.folder / "items.npy", mmap_mode="r")
        return array

    @cached_property
    def about(self) -> list[list[str]]:
        """Words that are true of each original; none for real ones."""
        words: list[list[str]] = json.loads((self.folder / "about.json").read_text(encoding="utf-8"))
        return words

    def image(self, index: int) -> NDArray[np.uint8]:
        """Original `index`, uint8 (side, side, 3)."""
        return np.asarray(self.items[index], dtype=np.uint8)

    def sound(self, index: int) -> NDArray[np.float32]:
        """Original `index`, float32 (samples,) in [-1, 1], silence at its end cut off."""
        samples = np.asarray(self.items[index], dtype=np.float32) / np.float32(_SCALE)
        loud = np.flatnonzero(samples)
        return samples[: max(int(loud[-1]) + 1, AUDIO_RATE // 2)] if len(loud) else samples

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
        """`count` different originals for one batch: half in whole groups of look-alikes, a quarter real ones."""
        real = min(count // 4, len(self.about) - self.generated)
        groups = min(count // 2, self.grouped) // SIBLINGS
        singles = count - real - groups * SIBLINGS
        first = rng.choice(self.grouped // SIBLINGS, groups, replace=False) * SIBLINGS if groups else np.zeros(0, int)
        picked = [
            (first[:, None] + np.arange(SIBLINGS)).ravel(),
            self.grouped + rng.choice(self.generated - self.grouped, singles, replace=False),
            self.generated + rng.choice(max(len(self.about) - self.generated, 1), real, replace=False),
        ]
        return np.concatenate(picked).astype(np.int64)


def build_image_pool(
    folder: Path, count: int, seed: int, *, workers: int, real: Path | None, advance: Callable[[int, str], None]
) -> Pool:
    """Generate `count` images and add those of the folder `real`; see `Pool`."""
    files = files_of(real, IMAGE_ENDINGS)
    return _build(folder, "image", count, seed, workers=workers, files=files, advance=advance)


def build_sound_pool(
    folder: Path, count: int, seed: int, *, workers: int, real: Path | None, advance: Callable[[int, str], None]
) -> Pool:
    """Generate `count` sounds and add those of the folder `real`; see `Pool`."""
    files = files_of(real, SOUND_ENDINGS)
    return _build(folder, "sound", count, seed, workers=workers, files=files, advance=advance)


def files_of(folder: Path | None, endings: Sequence[str]) -> list[Path]:
    """The files directly in `folder` with one of `endings`, by name; none without a folder.

    Raises:
        ValueError: the folder has no such file.
    """
    if folder is None:
        return []
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in endings)
    if not found:
        raise ValueError(f"{folder}: no file ends in one of {', '.join(endings)}")
    return found


def read_image(path: Path) -> NDArray[np.uint8]:
    """A picture from a file, uint8 (height, width, 3) RGB.

    Raises:
        ValueError: it cannot be read.
    """
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if pixels is None:
        raise ValueError(f"{path}: cannot be read as a picture")
    return np.asarray(pixels, dtype=np.uint8)


def read_sound(path: Path) -> NDArray[np.float32]:
    """A recording from a file, mono float32 (samples,) at 16 kHz."""
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return np.asarray(soxr.resample(samples.mean(axis=1), rate, AUDIO_RATE), dtype=np.float32)


def _build(
    folder: Path,
    kind: str,
    count: int,
    seed: int,
    *,
    workers: int,
    files: list[Path],
    advance: Callable[[int, str], None],
) -> Pool:
    grouped = count // 2 // CHUNK * CHUNK
    generated = grouped + max((count - grouped) // CHUNK, 1) * CHUNK
    shape, dtype = ((IMAGE_SIDE, IMAGE_SIDE, 3), np.uint8) if kind == "image" else ((SOUND_SAMPLES,), np.int16)
    folder.mkdir(parents=True, exist_ok=True)
    total = generated + len(files)
    made_of = json.dumps([kind, count, seed, [path.name for path in files]])
    mark = folder / "complete.json"
    if mark.exists() and mark.read_text(encoding="utf-8") == made_of:
        return Pool(folder, grouped, generated)
    mark.unlink(missing_ok=True)
    items = np.lib.format.open_memmap(folder / "items.npy", mode="w+", dtype=dtype, shape=(total, *shape))
    about: list[list[str]] = [[] for _ in range(total)]
    starts = list(range(0, generated, CHUNK))
    tasks = [(kind, seed, start, start < grouped) for start in starts]
    with ProcessPoolExecutor(max(workers, 1), mp_context=get_context("spawn")) as executor:
        made = executor.map(_generate, tasks) if workers else map(_generate, tasks)
        for start, (chunk, words) in zip(starts, made, strict=True):
            items[start : start + CHUNK] = chunk
            about[start : start + CHUNK] = words
            advance(CHUNK, "")
    for index, path in enumerate(files):
        items[generated + index] = _real_image(path) if kind == "image" else _stored(read_sound(path))
    items.flush()
    (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")
    mark.write_text(made_of, encoding="utf-8")
    return Pool(folder, grouped, generated)


def _generate(task: tuple[str, int, int, bool]) -> tuple[NDArray[np.generic], list[list[str]]]:
    kind, seed, start, siblings = task
    rng = np.random.default_rng([seed, start, int(kind == "sound")])
    rounds = CHUNK // SIBLINGS if siblings else CHUNK
    if kind == "image":
        pictures = [
            picture
            for _ in range(rounds)
            for picture in (
                images.generate_siblings(rng, SIBLINGS, IMAGE_SIDE)
                if siblings
                else [images.generate_image(rng, IMAGE_SIDE)]
            )
        ]
        return np.stack([picture.pixels for picture in pictures]), [words_of_image(picture) for picture in pictures]
    seconds = SOUND_SAMPLES / AUDIO_RATE
    recordings = [
        recording
        for _ in range(rounds)
        for recording in (
            sounds.generate_siblings(rng, SIBLINGS, seconds) if siblings else [sounds.generate_sound(rng, seconds)]
        )
    ]
    return np.stack([_stored(one.samples) for one in recordings]), [list(one.qualities) for one in recordings]


def words_of_image(picture: images.SyntheticImage) -> list[str]:
    """The words a caption of this picture may use."""
    return list(dict.fromkeys((*picture.colours, picture.scene, *picture.objects)))


def _real_image(path: Path) -> NDArray[np.uint8]:
    return resize_square(read_image(path), IMAGE_SIDE)


def _stored(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    fitted = np.zeros(SOUND_SAMPLES, dtype=np.float32)
    fitted[: min(len(samples), SOUND_SAMPLES)] = samples[:SOUND_SAMPLES]
    peak = max(float(np.abs(fitted).max()), 1e-6)
    return np.round(fitted * (0.98 * _SCALE / peak)).astype(np.int16)
