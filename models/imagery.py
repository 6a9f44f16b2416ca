"""What training and serving must do alike to an image before the encoder sees it."""

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

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


def blank(pixels: "NDArray[np.uint8]") -> bool:
    """Whether the image is all one colour, so that it counts as absent.

    Args:
        pixels: (height, width, 3) uint8 RGB.
    """
    if pixels.size == 0:
        return True
    _, deviation = cv2.meanStdDev(pixels)
    return float(np.max(deviation)) < BLANK_DEVIATION
