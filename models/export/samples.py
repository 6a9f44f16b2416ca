"""Real inputs of an export: captions, image files and recordings, from a folder or generated."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import soundfile
import soxr
from PIL import Image, ImageOps

from models.export.checkpoint import ExportError
from models.sound import silent, to_windows
from models.synthetic import captions, images, sounds
from models.synthetic.encoding import encode_wav

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from models.manifest import AudioInput, ImageInput

KIND_OF_SUFFIX = {
    **dict.fromkeys((".jpg", ".jpeg", ".png", ".webp"), "image"),
    **dict.fromkeys((".wav", ".flac", ".ogg"), "audio"),
    ".txt": "text",
}
MADE_RATE = 16_000
_SHAPES = ((640, 480), (333, 500), (256, 256), (900, 300))
"""Widths and heights of generated images: wide and tall, larger and smaller than encoders take them."""
_SECONDS = (4.0, 11.0, 6.5, 2.0)


class Read(Protocol):
    """How the running system reads media files."""

    def image(self, file: bytes, form: ImageInput) -> NDArray[np.uint8]:
        """An image file as the encoder takes it."""

    def audio(self, file: bytes, form: AudioInput) -> NDArray[np.float32]:
        """An audio file as windows (k, samples)."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Captions, and the bytes of image and audio files. Each at least two, or empty."""

    captions: tuple[str, ...] = ()
    images: tuple[bytes, ...] = ()
    sounds: tuple[bytes, ...] = ()

    def of(self, kind: str) -> tuple[Any, ...]:
        """Those of a kind."""
        return {"text": self.captions, "image": self.images, "audio": self.sounds}[kind]


def samples_in(folder: Path, most: int) -> Samples:
    """What is in a folder and below it: lines of .txt files, images and recordings, `most` of each, spread evenly.

    Raises:
        ExportError: no such folder, or exactly one of a kind.
    """
    if not folder.is_dir():
        raise ExportError(f"samples {folder}: no such folder")
    found: dict[str, list[Any]] = {"text": [], "image": [], "audio": []}
    for path in sorted(folder.rglob("*")):
        kind = KIND_OF_SUFFIX.get(path.suffix.lower())
        if kind == "text":
            found[kind] += [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        elif kind is not None:
            found[kind].append(path)
    for kind, items in found.items():
        if len(items) == 1:
            raise ExportError(f"samples {folder}: one {kind} only; give two or more, or none for generated ones")
        found[kind] = [items[place] for place in np.linspace(0, len(items) - 1, min(most, len(items))).astype(int)]
    files = {kind: tuple(path.read_bytes() for path in found[kind]) for kind in ("image", "audio")}
    return Samples(tuple(found["text"]), files["image"], files["audio"])


def made_samples(kinds: set[str], count: int, seed: int) -> Samples:
    """Generated samples: images as JPEG of several shapes, recordings as WAV of several lengths."""
    rng = np.random.default_rng([seed, 77])
    told = [captions.generate_caption(rng) for _ in range(count)] if "text" in kinds else []
    # the longest text that a platform takes, and the shortest
    told = [" ".join(told * 8), "ok", *told[2:]] if told else []
    shown = [_jpeg(rng, *_SHAPES[n % len(_SHAPES)]) for n in range(count)] if "image" in kinds else []
    heard = [
        encode_wav(sounds.generate_sound(rng, _SECONDS[n % len(_SECONDS)]).samples, MADE_RATE)
        for n in range(count if "audio" in kinds else 0)
    ]
    return Samples(tuple(told), tuple(shown), tuple(heard))


def _jpeg(rng: np.random.Generator, width: int, height: int) -> bytes:
    made = Image.fromarray(images.generate_image(rng, 160).pixels).resize((width, height), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    made.save(file, "JPEG", quality=92)
    return file.getvalue()


def with_generated(samples: Samples, kinds: set[str], count: int, seed: int) -> Samples:
    """The samples, with generated ones of the kinds that it has none of."""
    made = made_samples({kind for kind in kinds if not samples.of(kind)}, count, seed)
    return Samples(samples.captions or made.captions, samples.images or made.images, samples.sounds or made.sounds)


def pixels_of(file: bytes) -> NDArray[np.uint8]:
    """An image as transformers' own examples read it: by Pillow, upright, RGB: uint8 (height, width, 3)."""
    with Image.open(io.BytesIO(file)) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"), dtype=np.uint8)


def signal_of(file: bytes, rate: int) -> NDArray[np.float32]:
    """A recording by libsndfile, mono, at a rate: float32 (n,)."""
    samples, found = soundfile.read(io.BytesIO(file), dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    return np.asarray(mono if found == rate else soxr.resample(mono, found, rate), dtype=np.float32)


def windows_of(signal: NDArray[np.float32], form: AudioInput) -> list[NDArray[np.float32]]:
    """The windows of a recording that are heard; one that is shorter than a window stays as long as it is."""
    if len(signal) < form.window:
        return [np.clip(signal, -1, 1)]
    cut = to_windows(signal, form.rate, form.window / form.rate, form.max_windows)
    return [window for window in cut if not silent(window)]
