"""Procedural images with the statistics of photographs: occlusion, shading, texture, perspective, lettering.

A network that learns to tell these apart, and their altered copies together, does so on photographs too (the idea is
that of Baradad et al. 2021, "Learning to see by looking at noise"). Each image knows what it shows, so that captions
about it are true.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from models.synthetic.palettes import dominant_colours, make_palette
from models.synthetic.scenes import SCENE_PAINTERS, Painting
from models.synthetic.textures import as_field, noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCENES: tuple[str, ...] = tuple(SCENE_PAINTERS)
_WEIGHTS = np.array([weight for _, weight in SCENE_PAINTERS.values()])


@dataclass(frozen=True, slots=True)
class SyntheticImage:
    """An image and what is true of it.

    Attributes:
        pixels: (size, size, 3) uint8 RGB.
        scene: one of SCENES.
        colours: English names of the one to three colours that cover most of it.
        objects: English nouns of what is drawn.
    """

    pixels: NDArray[np.uint8]
    scene: str
    colours: tuple[str, ...]
    objects: tuple[str, ...]


def generate_image(rng: np.random.Generator, size: int = 160, scene: str | None = None) -> SyntheticImage:
    """One image of `size` x `size` pixels; `scene` is one of SCENES, drawn when left out."""
    return generate_siblings(rng, 1, size, scene)[0]


def generate_siblings(
    rng: np.random.Generator, count: int, size: int = 160, scene: str | None = None
) -> list[SyntheticImage]:
    """`count` look-alikes: the same scene, palette, surfaces and light, with other things in other places."""
    name = scene or str(rng.choice(SCENES, p=_WEIGHTS / _WEIGHTS.sum()))
    palette = make_palette(rng, int(rng.integers(4, 9)))
    style_seed, light_seed = (int(seed) for seed in rng.integers(0, 2**62, 2))
    painter, _ = SCENE_PAINTERS[name]
    made = []
    for _ in range(count):
        canvas = np.empty((size, size, 3), dtype=np.float32)
        painting = Painting(canvas, rng, np.random.default_rng(style_seed), palette)
        objects = painter(painting)
        pixels = _photograph(canvas, np.random.default_rng(light_seed), rng)
        made.append(SyntheticImage(pixels, name, dominant_colours(pixels), tuple(dict.fromkeys(objects))))
    return made


def _photograph(
    canvas: NDArray[np.float32], light: np.random.Generator, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Light falls unevenly, lenses blur, sensors add noise."""
    size = canvas.shape[0]
    if light.random() < 0.7:
        fall = noise(light, size, 0.5, 1, finest=4) - np.float32(0.5)
        canvas *= (np.float32(1) + np.float32(light.uniform(0.1, 0.7)) * fall)[..., None]
    if light.random() < 0.4:
        canvas = as_field(cv2.GaussianBlur(canvas, (0, 0), light.uniform(0.4, 1.2)))
    contrast = np.float32(light.uniform(0.75, 1.2))
    canvas = (canvas - np.float32(118)) * contrast + np.float32(118 + light.normal(0, 14))
    canvas += rng.standard_normal(canvas.shape, dtype=np.float32) * np.float32(light.uniform(0, 5))
    return np.clip(canvas, 0, 255).astype(np.uint8)
