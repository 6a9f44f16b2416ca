"""An image file -> a square of pixels. The bytes decide what it is."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import simplejpeg
from PIL import Image, ImageOps, UnidentifiedImageError

from consumers.steps import reasons
from consumers.steps.reasons import Rejected
from models.imagery import resize_square

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")
ORIENTATION = 0x0112

# the limit is checked by us, before anything is decoded; Pillow's own would only warn
Image.MAX_IMAGE_PIXELS = None

# what Pillow's decoders raise on broken files, by experience with all five formats
_BROKEN = (OSError, ValueError, SyntaxError, EOFError, struct.error, IndexError, TypeError, OverflowError)


def decode_image(file: bytes, size: int, most_pixels: int) -> NDArray[np.uint8]:
    """Decode JPEG, PNG, WebP, GIF (first frame) or AVIF, upright, on white where it is transparent.

    Args:
        file: the file's bytes.
        size: side of the result; the image is stretched to it.
        most_pixels: an image with more is rejected before it is decoded.

    Returns:
        uint8 (size, size, 3) RGB.

    Raises:
        Rejected: undecodable (truncated too), or too many pixels.
    """
    if file[:2] == b"\xff\xd8":
        pixels = _jpeg(file, size, most_pixels)
        if pixels is not None:
            return resize_square(pixels, size)
    return resize_square(_by_pillow(file, size, most_pixels), size)


def _jpeg(file: bytes, size: int, most_pixels: int) -> NDArray[np.uint8] | None:
    """The fast way for most JPEGs: decoded at the smallest scale that still has `size`. None leaves it to Pillow."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(file)
    except ValueError as error:
        raise Rejected(reasons.UNDECODABLE, str(error)) from error
    _check_pixels(width, height, most_pixels)
    if colours in {"CMYK", "YCCK"}:
        return None
    try:
        pixels = simplejpeg.decode_jpeg(file, "RGB", fastdct=True, min_height=size, min_width=size)
    except ValueError as error:
        raise Rejected(reasons.UNDECODABLE, str(error)) from error
    turned: NDArray[np.uint8] = _upright(pixels, _orientation(file))
    return turned


def _orientation(file: bytes) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none or it cannot be read."""
    if b"Exif\x00\x00" not in file[:65_536]:
        return 1
    try:
        with Image.open(io.BytesIO(file), formats=("JPEG", "MPO")) as image:
            found = image.getexif().get(ORIENTATION, 1)
    except _BROKEN:
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo an EXIF orientation: transposed from 5 on, then mirrored along either axis."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _by_pillow(file: bytes, size: int, most_pixels: int) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(file), formats=FORMATS) as image:
            _check_pixels(image.width, image.height, most_pixels)
            image.draft("RGB", (size, size))
            image.load()
            return np.asarray(_on_white(ImageOps.exif_transpose(image)), dtype=np.uint8)
    except UnidentifiedImageError as error:
        raise Rejected(reasons.UNDECODABLE, "not JPEG, PNG, WebP, GIF or AVIF") from error
    except _BROKEN as error:
        raise Rejected(reasons.UNDECODABLE, f"{type(error).__name__}: {error}") from error


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        values: Any = np.asarray(image, dtype=np.float32)
        scaled = values / np.float32(257 if values.max(initial=0) > 255 else 1)
        image = Image.fromarray(np.clip(scaled, 0, 255).astype(np.uint8))
    if "A" in image.getbands() or "transparency" in image.info:
        layered = image.convert("RGBA")
        ground = Image.new("RGBA", layered.size, (255, 255, 255, 255))
        return Image.alpha_composite(ground, layered).convert("RGB")
    return image.convert("RGB")


def _check_pixels(width: int, height: int, most_pixels: int) -> None:
    if width * height > most_pixels:
        raise Rejected(
            reasons.TOO_MANY_PIXELS, f"{width} x {height} pixels, the limit is {most_pixels} (limits.image_pixels)"
        )
