"""Originals, a caption, an image and a sound that belong together, and what reposting does to them.

The arrays may come from our generators or from real files; `vary_post` and the encoders below it do not mind.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import cv2
import numpy as np

from models.synthetic import caption_variants, captions, image_variants, images, sound_variants, sounds
from models.synthetic.encoding import encode_jpeg, encode_mp3, encode_png, encode_wav
from models.synthetic.oscillators import RATE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

_Item = TypeVar("_Item")
_UNCHANGED = 0.2
_HELD_OUT = 0.4
_TWICE = 0.15


@dataclass(frozen=True, slots=True)
class Original:
    """What somebody made: any of a caption, pixels (height, width, 3) RGB uint8, samples (n,) float32 at 16 kHz."""

    caption: str | None = None
    pixels: NDArray[np.uint8] | None = None
    samples: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class MediaFile:
    """An encoded image or recording and its media type."""

    data: bytes
    content_type: str


Take: TypeAlias = tuple[MediaFile, tuple[str, ...]]
"""A file and words about it: the transforms that made it, or what is seen or heard in it."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a post carries, and the names of the transforms that made it, as "image:crop" or "text:typos"."""

    caption: str | None = None
    image: MediaFile | None = None
    audio: MediaFile | None = None
    variants: tuple[str, ...] = ()


def _varied(
    item: _Item,
    rng: Generator,
    trained: Mapping[str, Callable[[_Item, Generator], _Item]],
    held_out: Mapping[str, Callable[[_Item, Generator], _Item]],
    most: int,
) -> tuple[_Item, tuple[str, ...]]:
    """No, one or (where `most` allows it, rarely) two of the transforms; four in ten are held out."""
    if rng.random() < _UNCHANGED:
        return item, ()
    names: list[str] = []
    for _ in range(2 if most > 1 and rng.random() < _TWICE else 1):
        table = held_out if rng.random() < _HELD_OUT else trained
        name = list(table)[int(rng.integers(len(table)))]
        item = table[name](item, rng)
        names.append(name)
    return item, tuple(names)


def vary_caption(caption: str, rng: Generator) -> tuple[str, tuple[str, ...]]:
    """A variant of a caption and the names of its transforms, none when it is repeated as it is."""
    return _varied(caption, rng, caption_variants.TRAINED, caption_variants.HELD_OUT, 2)


def vary_image(pixels: NDArray[np.uint8], rng: Generator) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """A variant of an image (height, width, 3) RGB uint8 and the names of its transforms."""
    return _varied(pixels, rng, image_variants.TRAINED, image_variants.HELD_OUT, 1)


def vary_sound(samples: NDArray[np.float32], rng: Generator) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """A variant of a sound (n,) float32 at 16 kHz and the names of its transforms."""
    return _varied(samples, rng, sound_variants.TRAINED, sound_variants.HELD_OUT, 1)


def image_file(pixels: NDArray[np.uint8], rng: Generator) -> MediaFile:
    """A JPEG of quality 70 to 92, now and then a PNG."""
    if rng.random() < 0.08:
        return MediaFile(encode_png(pixels), "image/png")
    return MediaFile(encode_jpeg(pixels, int(rng.integers(70, 93))), "image/jpeg")


def audio_file(samples: NDArray[np.float32], rng: Generator) -> MediaFile:
    """A 16-bit WAV of 16 kHz, in three of ten cases an MP3 of 48 to 96 kbit/s."""
    if rng.random() < 0.3:
        return MediaFile(encode_mp3(samples, RATE, int(rng.choice([48_000, 64_000, 96_000]))), "audio/mpeg")
    return MediaFile(encode_wav(samples, RATE), "audio/wav")


def exact_post(original: Original, rng: Generator) -> Parts:
    """The original as its maker posts it: encoded, not changed."""
    return Parts(
        original.caption,
        None if original.pixels is None else image_file(original.pixels, rng),
        None if original.samples is None else audio_file(original.samples, rng),
    )


def vary_post(original: Original, rng: Generator) -> Parts:
    """A variant of every part the original has, encoded, with the names of the transforms."""
    parts = Parts()
    if original.caption is not None:
        caption, names = vary_caption(original.caption, rng)
        parts = replace(parts, caption=caption, variants=tuple(f"text:{name}" for name in names))
    if original.pixels is not None:
        image, names = image_take(original.pixels, rng)
        parts = replace(parts, image=image, variants=parts.variants + names)
    if original.samples is not None:
        audio, names = audio_take(original.samples, rng)
        parts = replace(parts, audio=audio, variants=parts.variants + names)
    return parts


def vary_original(original: Original, rng: Generator) -> Original:
    """A variant of every part the original has, as somebody's new original."""
    return Original(
        None if original.caption is None else vary_caption(original.caption, rng)[0],
        None if original.pixels is None else vary_image(original.pixels, rng)[0],
        None if original.samples is None else vary_sound(original.samples, rng)[0],
    )


def drift_original(original: Original, rng: Generator) -> Original:
    """The original one mild step on: hardly to be told apart, and after many steps something else.

    A step changes one letter of the caption or about one in eight of its words that have a synonym. It takes 1% off
    the image's height and width and shifts its colours by a tenth of what a repost does. It plays the sound up to 1%
    faster or slower, through a curve within 1 dB, with noise 35 dB below it.
    """
    caption, pixels, samples = original.caption, original.pixels, original.samples
    return Original(
        None if caption is None else caption_variants.edited(caption, rng),
        None if pixels is None else image_variants.nudged(pixels, rng),
        None if samples is None else sound_variants.nudged(samples, rng),
    )


def image_take(pixels: NDArray[np.uint8], rng: Generator) -> Take:
    """A varied and encoded image with its transforms, as ("image:crop",)."""
    varied, names = vary_image(pixels, rng)
    return image_file(varied, rng), tuple(f"image:{name}" for name in names)


def audio_take(samples: NDArray[np.float32], rng: Generator) -> Take:
    """A varied and encoded sound with its transforms, as ("audio:low-pass",)."""
    varied, names = vary_sound(samples, rng)
    return audio_file(varied, rng), tuple(f"audio:{name}" for name in names)


def _framed(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """The middle of a square image, cut to the aspect and scaled to (height, width)."""
    side = pixels.shape[0]
    across, down = (side, round(side * height / width)) if width >= height else (round(side * width / height), side)
    top, left = (side - down) // 2, (side - across) // 2
    cut = pixels[top : top + down, left : left + across]
    return np.asarray(cv2.resize(cut, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def _frame(rng: Generator) -> tuple[int, int]:
    sizes = ((480, 320), (320, 400), (400, 400), (480, 360), (360, 480), (448, 336))
    return sizes[int(rng.integers(len(sizes)))]


def draw_originals(
    rng: Generator, count: int, parts: Sequence[str], topic: str | None = None, detail: int = 256
) -> list[Original]:
    """`count` originals that are siblings of each other part by part: alike at a glance, and never the same.

    Args:
        rng: source of every choice.
        count: how many.
        parts: any of "text", "image", "audio".
        topic: of the captions, see `captions.generate_siblings`.
        detail: side in pixels at which an image is made before it is scaled to 320 to 480.
    """
    frame, duration = _frame(rng), float(rng.uniform(3, 6))
    shown = images.generate_siblings(rng, count, detail) if "image" in parts else None
    heard = sounds.generate_siblings(rng, count, duration) if "audio" in parts else None
    told = captions.generate_siblings(rng, count, topic=topic) if "text" in parts else None
    return [
        Original(
            told[index] if told else None,
            _framed(shown[index].pixels, *frame) if shown else None,
            heard[index].samples if heard else None,
        )
        for index in range(count)
    ]


def draw_image(rng: Generator, detail: int = 160) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """One image of 320 to 480 pixels a side, and words that are true of it."""
    made = images.generate_image(rng, detail)
    return _framed(made.pixels, *_frame(rng)), (*made.colours[:2], *made.objects[:2])


def draw_sound(rng: Generator) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """One sound of 3 to 6 seconds, and words that are true of it."""
    made = sounds.generate_sound(rng, float(rng.uniform(3, 6)))
    return made.samples, made.qualities
