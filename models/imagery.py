"""What training and serving must do alike to an image before the encoder sees it."""

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.manifest import ImageInput

BLANK_DEVIATION = 2.0
"""Grey levels (of 255): below this standard deviation an image shows nothing. JPEG leaves one colour below 1."""


def resize_square(pixels: "NDArray[np.uint8]", size: int) -> "NDArray[np.uint8]":
    """Stretch the whole image to a square, aspect not kept.

    Args:
        pixels: (height, width, 3) uint8 RGB, height and width at least 1.
        size: side of the result in pixels.

    Returns:
        (size, size, 3) uint8. Area averaging where the image has more pixels than the result, else bilinear.
    """
    height, width = pixels.shape[:2]
    if (height, width) == (size, size):
        return pixels
    shrinking = height * width > size * size
    resized = cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.uint8)


def fit_image(pixels: "NDArray[np.uint8]", form: "ImageInput") -> "NDArray[np.uint8]":
    """Resize and crop an image as the encoder wants it.

    Args:
        pixels: (height, width, 3) uint8 RGB, height and width at least 1.
        form: the encoder's size, and how it is reached.

    Returns:
        (size, size, 3) uint8; with `form.patch` (h, w, 3), both multiples of it, at most `form.patches` patches.
    """
    if form.resample == "area":
        return resize_square(pixels, form.size)
    height, width = pixels.shape[:2]
    if form.patch is not None:
        return _resized(pixels, *patched_size(height, width, form.patch, form.patches), form.resample)
    if form.edge is None:
        return _resized(pixels, form.size, form.size, form.resample)
    short, long = form.edge, int(form.edge * max(height, width) / min(height, width))
    tall, wide = (long, short) if height > width else (short, long)
    return _middle(_resized(pixels, tall, wide, form.resample), form.size)


def patched_size(height: int, width: int, patch: int, most: int) -> tuple[int, int]:
    """The largest size of about the same shape that is made of whole patches, at most so many: (height, width).

    The scale is found by halving an interval, as the processor of SigLIP 2 does: other sizes for the same image would
    be other vectors.
    """

    def scaled(side: int, scale: float) -> int:
        return max(patch, math.ceil(side * scale / patch) * patch)

    low, high = 1e-6, 100.0
    while high - low >= 1e-5:
        scale = (low + high) / 2
        if (scaled(height, scale) // patch) * (scaled(width, scale) // patch) <= most:
            low = scale
        else:
            high = scale
    return scaled(height, low), scaled(width, low)


def _resized(pixels: "NDArray[np.uint8]", height: int, width: int, resample: str) -> "NDArray[np.uint8]":
    if pixels.shape[:2] == (height, width):
        return pixels
    resized = Image.fromarray(pixels).resize((width, height), Image.Resampling[resample.upper()])
    return np.asarray(resized, dtype=np.uint8)


def _middle(pixels: "NDArray[np.uint8]", size: int) -> "NDArray[np.uint8]":
    """A square of `size` from the middle; black where the image does not reach."""
    height, width = pixels.shape[:2]
    if height < size or width < size:
        tall, wide = max(height, size), max(width, size)
        framed = np.zeros((tall, wide, 3), dtype=np.uint8)
        top, left = math.ceil((tall - height) / 2), math.ceil((wide - width) / 2)
        framed[top : top + height, left : left + width] = pixels
        pixels, height, width = framed, tall, wide
    top, left = (height - size) // 2, (width - size) // 2
    return np.ascontiguousarray(pixels[top : top + size, left : left + size])


def blank(pixels: "NDArray[np.uint8]") -> bool:
    """Whether the image is all one colour, so that it counts as absent.

    Args:
        pixels: (height, width, 3) uint8 RGB.
    """
    if pixels.size == 0:
        return True
    _, deviation = cv2.meanStdDev(pixels)
    return float(np.max(deviation)) < BLANK_DEVIATION
