"""The harmless posts of a simulated stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.synthetic import captions
from models.synthetic.originals import Original, Parts, Take, audio_file, draw_image, draw_sound, image_file
from models.synthetic.sources import Source
from models.synthetic.vocabulary import TOPICS

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator

_TOPICS = tuple(TOPICS)
# What benign posts carry, and how often.
_COMPOSITIONS: tuple[tuple[tuple[str, ...], float], ...] = (
    (("text",), 0.22),
    (("image",), 0.1),
    (("audio",), 0.06),
    (("text", "image"), 0.34),
    (("text", "audio"), 0.1),
    (("image", "audio"), 0.04),
    (("text", "image", "audio"), 0.14),
)


class Background:
    """Harmless posts: memes that come again and again with variants, and posts of their own.

    New images and sounds are made at first for every post, then for every fourth; the others show
    an earlier file again.
    """

    _KEPT = 400
    _MEMES = 150

    def __init__(self) -> None:
        self._images: list[Take] = []
        self._sounds: list[Take] = []
        self._memes: list[Source] = []
        ranks = np.arange(1, self._MEMES + 1, dtype=np.float64) ** -1.1
        self._edges = np.cumsum(ranks / ranks.sum())
        self._kinds = np.cumsum([share for _, share in _COMPOSITIONS])

    def _composition(self, rng: Generator) -> tuple[str, ...]:
        at = int(np.searchsorted(self._kinds, rng.random() * self._kinds[-1]))
        return _COMPOSITIONS[at][0]

    def repeat(self, rng: Generator) -> tuple[Parts, int]:
        """A variant of a meme, and which; how often each comes follows Zipf's law."""
        rank = int(np.searchsorted(self._edges, rng.random()))
        while rank >= len(self._memes) and len(self._memes) < self._MEMES:
            if rank > len(self._memes) and rng.random() < 0.9:
                rank = len(self._memes)
            self._memes.append(self._meme(rng))
        number = min(rank, len(self._memes) - 1)
        return self._memes[number].post(rng), number

    def _meme(self, rng: Generator) -> Source:
        parts = self._composition(rng)
        pixels, seen = draw_image(rng) if "image" in parts else (None, ())
        samples, heard = draw_sound(rng) if "audio" in parts else (None, ())
        about = (*seen, *heard) if rng.random() < 0.3 else ()
        caption = captions.generate_caption(rng, about) if "text" in parts else None
        return Source(Original(caption, pixels, samples), most=6)

    def image(self, rng: Generator) -> Take:
        """A harmless image file and words that are true of it."""
        return self._new_or_known(rng, self._images, self._new_image)

    def audio(self, rng: Generator) -> Take:
        """A harmless recording and words that are true of it."""
        return self._new_or_known(rng, self._sounds, self._new_sound)

    @staticmethod
    def _new_image(rng: Generator) -> Take:
        pixels, words = draw_image(rng)
        return image_file(pixels, rng), words

    @staticmethod
    def _new_sound(rng: Generator) -> Take:
        samples, words = draw_sound(rng)
        return audio_file(samples, rng), words

    def _new_or_known(
        self,
        rng: Generator,
        known: list[Take],
        make: Callable[[Generator], Take],
    ) -> Take:
        if len(known) >= 40 and rng.random() < 0.75:
            return known[int(rng.integers(len(known)))]
        made = make(rng)
        if len(known) < self._KEPT:
            known.append(made)
        else:
            known[int(rng.integers(self._KEPT))] = made
        return made

    def single(self, rng: Generator) -> Parts:
        """A post of its own."""
        wanted = self._composition(rng)
        image, seen = self.image(rng) if "image" in wanted else (None, ())
        audio, heard = self.audio(rng) if "audio" in wanted else (None, ())
        about = (*seen, *heard) if rng.random() < 0.3 else ()
        caption = None
        if "text" in wanted:
            topic = _TOPICS[int(rng.integers(len(_TOPICS)))] if rng.random() < 0.3 else None
            caption = captions.generate_caption(rng, about, topic)
        return Parts(caption, image, audio)
