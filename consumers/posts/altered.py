"""Altered copies of a post: what people do to hide that they post it again, done to its caption and its files."""

from __future__ import annotations

import dataclasses
import io
from typing import TYPE_CHECKING, Any

import av
import msgspec
import numpy as np
from PIL import Image

from consumers.posts.media_folder import read_pixels, read_samples
from models.synthetic import caption_variants, image_variants, sound_variants
from models.synthetic.encoding import encode_wav
from models.synthetic.originals import image_file
from models.synthetic.oscillators import RATE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from consumers.encoding.work import PostInWork

FORM = 1
"""Raised when the same numbers give other copies: those kept on disk are made again."""


def altered_copy(work: PostInWork, kinds: Collection[str], seed: tuple[int, ...]) -> PostInWork:
    """A copy of a fetched post with one change to its caption and to each of its files; `work` stays as it is.

    Only changes that training may use: those that quality is measured on stay unseen. What cannot be read is left to
    the decoders. Vectors are repeated.

    Args:
        work: parsed and fetched.
        kinds: of parts that matter; others are dropped.
        seed: the same numbers give the same copy.
    """
    rng = np.random.default_rng([*seed, FORM])
    post, files = work.post, {}
    if post is not None and post.caption is not None and "text" in kinds:
        post = msgspec.structs.replace(post, caption=_changed(post.caption, caption_variants.TRAINED, rng))
    for kind, change in (("image", _image), ("audio", _audio)):
        if kind in kinds and kind in work.files:
            files[kind] = [change(file, rng) for file in work.files[kind]]
    return dataclasses.replace(work, post=post, files=files, parts=dict(work.parts), inputs={}, embeddings={})


def _image(file: bytes, rng: np.random.Generator) -> bytes:
    try:
        pixels = read_pixels(io.BytesIO(file))
    except (OSError, ValueError, Image.DecompressionBombError):
        return file
    return image_file(_changed(pixels, image_variants.TRAINED, rng), rng).data


def _audio(file: bytes, rng: np.random.Generator) -> bytes:
    try:
        samples = read_samples(io.BytesIO(file))
    except (OSError, ValueError, av.FFmpegError):
        return file
    return encode_wav(_changed(samples, sound_variants.TRAINED, rng), RATE)


def _changed(
    item: Any, table: Mapping[str, Callable[[Any, np.random.Generator], Any]], rng: np.random.Generator
) -> Any:
    return table[list(table)[int(rng.integers(len(table)))]](item, rng)
