"""What people do to an image before they post it again: named transforms, and random views for training.

A transform takes and gives (height, width, 3) uint8 RGB of any size. Those in HELD_OUT are never used in training:
what a network makes of them is what it makes of the next trick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from models.imagery import resize_square
from models.synthetic.lettering import FONTS, draw_line, pseudo_words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]
    Variant = Callable[[Pixels, np.random.Generator], Pixels]

Strength = Literal["light", "heavy"]


def _pixels(values: object) -> Pixels:
    return np.asarray(values, dtype=np.uint8)


def crop(pixels: Pixels, rng: np.random.Generator, area: float) -> Pixels:
    """A window that keeps `area` of the picture, of about the same shape."""
    height, width = pixels.shape[:2]
    shape = float(np.exp(rng.normal(0, 0.12)))
    rows = max(8, min(height, round(height * np.sqrt(area) * shape)))
    columns = max(8, min(width, round(width * np.sqrt(area) / shape)))
    y, x = rng.integers(0, height - rows + 1), rng.integers(0, width - columns + 1)
    return np.ascontiguousarray(pixels[y : y + rows, x : x + columns])


def jpeg(pixels: Pixels, quality: int) -> Pixels:
    """Through JPEG at this quality and back."""
    _, coded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return _pixels(cv2.imdecode(coded, cv2.IMREAD_COLOR))


def rotate(pixels: Pixels, degrees: float, fill: Sequence[float]) -> Pixels:
    """Turned about the centre; the corners are filled with one colour."""
    height, width = pixels.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return _pixels(
        cv2.warpAffine(pixels, matrix, (width, height), borderMode=cv2.BORDER_CONSTANT, borderValue=list(fill))
    )


def _colour(rng: np.random.Generator) -> list[float]:
    plain = rng.random()
    if plain < 0.3:
        return [0.0, 0.0, 0.0]
    if plain < 0.6:
        return [255.0, 255.0, 255.0]
    return [float(c) for c in rng.integers(0, 256, 3)]


def recolour(pixels: Pixels, rng: np.random.Generator, strength: float) -> Pixels:
    """Another hue, saturation, brightness, contrast and gamma."""
    hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    turn = int(rng.normal(0, 12 * strength)) % 180
    levels = np.arange(256, dtype=np.float32)
    gamma, contrast = np.exp(rng.normal(0, 0.2 * strength)), np.exp(rng.normal(0, 0.15 * strength))
    value = ((levels / 255) ** gamma * 255 - 128) * contrast + 128 + rng.normal(0, 14 * strength)
    hue = (levels + turn) % 180
    saturation = levels * np.exp(rng.normal(0, 0.35 * strength))
    tables = np.stack([hue, saturation, value], axis=-1).clip(0, 255).astype(np.uint8)
    return _pixels(cv2.cvtColor(cv2.LUT(hsv, tables[None]), cv2.COLOR_HSV2RGB))


def retone(pixels: Pixels, rng: np.random.Generator, strength: float) -> Pixels:
    """Another light: each channel through a smooth rising curve of its own, most of it common to the three."""
    levels = np.linspace(0, 255, 6)
    curve = levels + rng.normal(0, 16 * strength, 6)
    curves = [np.maximum.accumulate(curve + rng.normal(0, 8 * strength, 6)) for _ in range(3)]
    tables = np.stack([np.interp(np.arange(256), levels, one) for one in curves], axis=-1)
    return _pixels(cv2.LUT(pixels, tables.clip(0, 255).astype(np.uint8)[None]))


def caption_band(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """A band with words above or below the picture, as on memes."""
    height, width = pixels.shape[:2]
    band = max(10, int(height * rng.uniform(0.12, 0.3)))
    ground = [255.0] * 3 if rng.random() < 0.7 else _colour(rng)
    above = bool(rng.random() < 0.5)
    framed = _pixels(
        cv2.copyMakeBorder(
            pixels, band if above else 0, 0 if above else band, 0, 0, cv2.BORDER_CONSTANT, value=ground
        )
    )
    ink = [0.0] * 3 if sum(ground) > 380 else [255.0] * 3
    lines = int(rng.integers(1, 3))
    for line in range(lines):
        y = (0 if above else height) + int(band * (line + 0.75) / lines)
        words = " ".join(pseudo_words(rng, int(rng.integers(2, 6))))
        draw_line(framed, words, (4, y), band * 0.5 / lines, ink, int(rng.choice(FONTS[:5])), 1, width - 8)
    return framed


def text_overlay(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Words across the picture, white with a dark edge or plain."""
    marked = pixels.copy()
    height, width = marked.shape[:2]
    for _ in range(int(rng.integers(1, 4))):
        origin = (int(width * rng.uniform(0.02, 0.3)), int(height * rng.uniform(0.15, 0.98)))
        words = " ".join(pseudo_words(rng, int(rng.integers(1, 5))))
        size, font = height * rng.uniform(0.05, 0.12), int(rng.choice(FONTS))
        fits = width - origin[0] - 2
        if rng.random() < 0.6:
            draw_line(marked, words, origin, size, [0.0] * 3, font, 4, fits)
            draw_line(marked, words, origin, size, [255.0] * 3, font, 1, fits)
        else:
            draw_line(marked, words, origin, size, _colour(rng), font, 2, fits)
    return marked


def sticker(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Round faces and shapes laid over parts of the picture."""
    marked = pixels.copy()
    height, width = marked.shape[:2]
    for _ in range(int(rng.integers(1, 4))):
        x, y = int(width * rng.uniform(0.1, 0.9)), int(height * rng.uniform(0.1, 0.9))
        radius = int(min(height, width) * rng.uniform(0.06, 0.15))
        cv2.circle(marked, (x, y), radius, (250, 205, 60), -1, cv2.LINE_AA)
        for side in (-1, 1):
            cv2.circle(
                marked, (x + side * radius // 3, y - radius // 4), max(1, radius // 8), (40, 30, 20), -1, cv2.LINE_AA
            )
        cv2.ellipse(
            marked, (x, y), (radius // 2, radius // 2), 0, 20, 160, (40, 30, 20), max(1, radius // 10), cv2.LINE_AA
        )
    return marked


def cover(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """One to three boxes of one colour over parts of the picture."""
    marked = pixels.copy()
    height, width = marked.shape[:2]
    for _ in range(int(rng.integers(1, 4))):
        rows, columns = int(height * rng.uniform(0.05, 0.25)), int(width * rng.uniform(0.05, 0.35))
        y, x = rng.integers(0, height - rows + 1), rng.integers(0, width - columns + 1)
        marked[y : y + rows, x : x + columns] = _colour(rng)
    return marked


def border(pixels: Pixels, rng: np.random.Generator, share: float | None = None) -> Pixels:
    """A frame of one colour around the picture."""
    height, width = pixels.shape[:2]
    thick = share if share is not None else rng.uniform(0.04, 0.25)
    y, x = max(1, int(height * thick)), max(1, int(width * thick))
    return _pixels(cv2.copyMakeBorder(pixels, y, y, x, x, cv2.BORDER_CONSTANT, value=_colour(rng)))


def screenshot(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """The picture inside a telephone's screen: status bar, account line, buttons."""
    height, width = pixels.shape[:2]
    dark = bool(rng.random() < 0.5)
    ground, ink = ([22.0] * 3, [235.0] * 3) if dark else ([250.0] * 3, [30.0] * 3)
    top, bottom = int(height * rng.uniform(0.12, 0.4)), int(height * rng.uniform(0.15, 0.5))
    side = int(width * rng.choice([0.0, 0.04]))
    screen = _pixels(cv2.copyMakeBorder(pixels, top, bottom, side, side, cv2.BORDER_CONSTANT, value=ground))
    draw_line(screen, "12:41", (5, max(8, top // 4)), height * 0.035, ink, FONTS[0], 1)
    cv2.circle(screen, (side + top // 4 + 4, int(top * 0.7)), max(3, top // 5), _colour(rng), -1, cv2.LINE_AA)
    draw_line(
        screen, pseudo_words(rng, 1)[0], (side + top // 2 + 8, int(top * 0.75)), height * 0.05, ink, FONTS[0], 1
    )
    for line in range(3):
        y = top + height + int(bottom * (0.3 + 0.25 * line))
        draw_line(screen, " ".join(pseudo_words(rng, 5)), (side + 4, y), height * 0.04, ink, FONTS[0], 1, width - 8)
    return screen


def collage(pixels: Pixels, rng: np.random.Generator, others: Sequence[Pixels] = (), area: float = 0.4) -> Pixels:
    """The picture takes `area` of a sheet; other pictures, or plain fields, take the rest."""
    side = 2 * max(pixels.shape[0], pixels.shape[1]) // 3 * 2
    sheet = np.empty((side, side, 3), dtype=np.uint8)
    half = side // 2
    for y in (0, half):
        for x in (0, half):
            fill = others[int(rng.integers(len(others)))] if len(others) else None
            sheet[y : y + half, x : x + half] = _colour(rng) if fill is None else resize_square(fill, half)
    mine = int(side * np.sqrt(area))
    y, x = (int(rng.choice([0, side - mine])) for _ in range(2))
    sheet[y : y + mine, x : x + mine] = resize_square(pixels, mine)
    return sheet


def add_noise(pixels: Pixels, rng: np.random.Generator, deviation: float) -> Pixels:
    """Sensor noise."""
    noise = rng.standard_normal(pixels.shape, dtype=np.float32) * np.float32(deviation)
    return _pixels(np.clip(pixels + noise, 0, 255))


def blur(pixels: Pixels, share: float) -> Pixels:
    """Gaussian blur with a deviation of `share` of the width."""
    return _pixels(cv2.GaussianBlur(pixels, (0, 0), max(0.3, pixels.shape[1] * share)))


def grey(pixels: Pixels) -> Pixels:
    """Without colour."""
    return _pixels(cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB))


def shrink(pixels: Pixels, side: int) -> Pixels:
    """Down to `side` pixels and back to its size."""
    height, width = pixels.shape[:2]
    small = cv2.resize(pixels, (side, max(8, side * height // width)), interpolation=cv2.INTER_AREA)
    return _pixels(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR))


def _filter(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Faded film: few levels, a tint and darker corners."""
    height, width = pixels.shape[:2]
    levels = int(rng.integers(5, 9))
    table = (np.floor(np.arange(256) / 256 * levels) / (levels - 1) * 215 + 20).clip(0, 255).astype(np.float32)
    tint = np.float32(1) + rng.normal(0, 0.1, 3).astype(np.float32)
    across = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    fall = 1 - np.float32(0.35) * (across**2 + down**2)
    return _pixels(np.clip(table[pixels] * tint * fall[..., None], 0, 255))


def _skew(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Photographed from the side."""
    height, width = pixels.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    moved = corners + (
        rng.uniform(0.02, 0.14, (4, 2)) * np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * [width, height]
    )
    matrix = cv2.getPerspectiveTransform(corners, moved.astype(np.float32))
    return _pixels(cv2.warpPerspective(pixels, matrix, (width, height), borderValue=_colour(rng)))


def _lines(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Filmed from a screen: thin dark lines."""
    marked = pixels.astype(np.float32)
    period = max(3, int(pixels.shape[0] * rng.uniform(0.02, 0.04)))
    marked[::period] *= np.float32(rng.uniform(0.2, 0.6))
    return marked.astype(np.uint8)


def _two(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Two of the trained transforms, one after the other."""
    names = [name for name in TRAINED if name != "two-together"]
    for index in rng.permutation(len(names))[:2]:
        pixels = TRAINED[names[index]](pixels, rng)
    return pixels


TRAINED: dict[str, Variant] = {
    "crop-70": lambda pixels, rng: crop(pixels, rng, 0.7),
    "crop-50": lambda pixels, rng: crop(pixels, rng, 0.5),
    "jpeg-20": lambda pixels, _: jpeg(pixels, 20),
    "down-to-64": lambda pixels, _: shrink(pixels, 64),
    "rotation-10": lambda pixels, rng: rotate(pixels, 10 * float(rng.choice([-1, 1])), _colour(rng)),
    "flip": lambda pixels, _: np.ascontiguousarray(pixels[:, ::-1]),
    "caption-band": caption_band,
    "text-overlay": text_overlay,
    "border": border,
    "greyscale": lambda pixels, _: grey(pixels),
    "colour-change": lambda pixels, rng: recolour(pixels, rng, 1.8),
    "blur": lambda pixels, _: blur(pixels, 0.012),
    "noise": lambda pixels, rng: add_noise(pixels, rng, 22.0),
    "collage-40": collage,
    "two-together": _two,
}
"""Transforms that training uses, with other parameters and in combination."""

HELD_OUT: dict[str, Variant] = {
    "screenshot": screenshot,
    "sticker": sticker,
    "filter": _filter,
    "skew": _skew,
    "lines": _lines,
}
"""Transforms that no training ever sees."""


def nudged(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """A window of 99% of each side, at the old size, in slightly other colours."""
    height, width = pixels.shape[:2]
    rows, columns = round(0.99 * height), round(0.99 * width)
    y, x = rng.integers(0, height - rows + 1), rng.integers(0, width - columns + 1)
    window = np.ascontiguousarray(pixels[y : y + rows, x : x + columns])
    return recolour(_pixels(cv2.resize(window, (width, height), interpolation=cv2.INTER_CUBIC)), rng, 0.1)


def light(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """A view that a person takes for the same picture at once."""
    pixels = crop(pixels, rng, float(rng.uniform(0.75, 1.0)))
    if rng.random() < 0.5:
        pixels = recolour(pixels, rng, 0.4)
    if rng.random() < 0.3:
        pixels = jpeg(pixels, int(rng.integers(40, 90)))
    return pixels


def single(pixels: Pixels, rng: np.random.Generator, others: Sequence[Pixels] = ()) -> Pixels:
    """A view that takes one or two transforms, strong ones; `others` fill the sheet of a collage."""
    if rng.random() < 0.2:
        pixels = np.ascontiguousarray(pixels[:, ::-1])
    for _ in range(1 if rng.random() < 0.65 else 2):
        pixels = _STRONG[int(rng.choice(len(_STRONG), p=_WEIGHTS))](pixels, rng, others)
    return pixels


_STRONG: tuple[Callable[[Pixels, np.random.Generator, Sequence[Pixels]], Pixels], ...] = (
    lambda pixels, rng, others: collage(pixels, rng, others, float(rng.uniform(0.25, 0.6))),
    lambda pixels, rng, _: crop(pixels, rng, float(rng.uniform(0.35, 0.7))),
    lambda pixels, rng, _: recolour(pixels, rng, float(rng.uniform(1.0, 2.4))),
    lambda pixels, rng, _: retone(pixels, rng, float(rng.uniform(0.5, 2.0))),
    lambda pixels, rng, _: border(pixels, rng),
    lambda pixels, rng, _: caption_band(pixels, rng),
    lambda pixels, rng, _: text_overlay(pixels, rng),
    lambda pixels, rng, _: cover(pixels, rng),
    lambda pixels, _, __: grey(pixels),
    lambda pixels, rng, _: rotate(pixels, float(rng.uniform(-15, 15)), _colour(rng)),
    lambda pixels, rng, _: blur(pixels, float(rng.uniform(0.004, 0.016))),
    lambda pixels, rng, _: add_noise(pixels, rng, float(rng.uniform(8, 30))),
    lambda pixels, rng, _: jpeg(pixels, int(rng.integers(8, 40))),
)
_WEIGHTS = np.array([5, 4, 3, 2, 2, 1.5, 1, 1, 1, 1, 1, 1, 0.5])
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def heavy(pixels: Pixels, rng: np.random.Generator, others: Sequence[Pixels] = ()) -> Pixels:
    """A view that takes several transforms at once, or one or two strong ones; `others` fill a collage's sheet."""
    if rng.random() < 0.5:
        return single(pixels, rng, others)
    pixels = crop(pixels, rng, float(rng.uniform(0.38, 1.0)))
    if rng.random() < 0.28:
        pixels = rotate(pixels, float(rng.uniform(-20, 20)), _colour(rng))
    if rng.random() < 0.4:
        pixels = np.ascontiguousarray(pixels[:, ::-1])
    if rng.random() < 0.75:
        pixels = recolour(pixels, rng, float(rng.uniform(0.4, 1.8))) if rng.random() < 0.85 else grey(pixels)
    if rng.random() < 0.25:
        pixels = (text_overlay, cover, text_overlay)[int(rng.integers(3))](pixels, rng)
    if rng.random() < 0.42:
        frame = rng.random()
        if frame < 0.35:
            pixels = caption_band(pixels, rng)
        elif frame < 0.65:
            pixels = border(pixels, rng)
        else:
            pixels = collage(pixels, rng, others, float(rng.uniform(0.25, 0.7)))
    if rng.random() < 0.22:
        pixels = blur(pixels, float(rng.uniform(0.003, 0.014)))
    if rng.random() < 0.25:
        pixels = add_noise(pixels, rng, float(rng.uniform(3, 26)))
    if rng.random() < 0.35:
        pixels = jpeg(pixels, int(rng.integers(10, 60)))
    return pixels


def view(
    pixels: Pixels, rng: np.random.Generator, size: int, strength: Strength, others: Sequence[Pixels] = ()
) -> Pixels:
    """A random view for training, (size, size, 3) uint8, made by the transforms of TRAINED only."""
    return resize_square(light(pixels, rng) if strength == "light" else heavy(pixels, rng, others), size)
