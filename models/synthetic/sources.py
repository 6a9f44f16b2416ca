"""One original posted again and again: encoded takes are made once and kept, as real reposts share files."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from models.synthetic.originals import Original, Parts, Take, audio_take, exact_post, image_take, vary_caption

if TYPE_CHECKING:
    from numpy.random import Generator

ALL = ("text", "image", "audio")


class Source:
    """Posts of one original: fresh captions, and at most `most` different takes of its image and of its sound.

    The first post of all parts is the unchanged original, unless it has been posted before (`started`).
    """

    __slots__ = ("_images", "_most", "_sounds", "_started", "original")

    def __init__(self, original: Original, most: int, *, started: bool = False) -> None:
        self.original = original
        self._most = most
        self._images: list[Take] = []
        self._sounds: list[Take] = []
        self._started = started

    def post(self, rng: Generator, wanted: tuple[str, ...] = ALL) -> Parts:
        """The wanted parts that the original has, each varied."""
        if not self._started and wanted == ALL:
            self._started = True
            return exact_post(self.original, rng)
        parts, made = Parts(), self.original
        if "text" in wanted and made.caption is not None:
            caption, names = vary_caption(made.caption, rng)
            parts = replace(parts, caption=caption, variants=tuple(f"text:{name}" for name in names))
        if "image" in wanted and made.pixels is not None:
            if len(self._images) < self._most:
                self._images.append(image_take(made.pixels, rng))
            image, names = self._drawn(self._images, rng)
            parts = replace(parts, image=image, variants=parts.variants + names)
        if "audio" in wanted and made.samples is not None:
            if len(self._sounds) < self._most:
                self._sounds.append(audio_take(made.samples, rng))
            audio, names = self._drawn(self._sounds, rng)
            parts = replace(parts, audio=audio, variants=parts.variants + names)
        return parts

    def _drawn(self, takes: list[Take], rng: Generator) -> Take:
        """The newest take while they are being made, then any."""
        return takes[-1] if len(takes) < self._most else takes[int(rng.integers(len(takes)))]
