"""An image file -> a square of pixels. The bytes decide what it is."""

from __future__ import annotations

import io
import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError

from consumers.steps import reasons
from consumers.steps.reasons import Rejected
from models.imagery import fit_image

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from models.manifest import ImageInput

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")
ORIENTATION = 0x0112
END_OF_JPEG = b"\xff\xd9"

LARGE_BYTES = 180_000_000
"""Images that need more memory to be decoded are decoded one at a time."""

JPEG_BYTES = 6
PILLOW_BYTES = 30
"""Memory that decoding takes for a pixel, at worst: a progressive JPEG, and WebP with transparency."""

_one_large = threading.Lock()

# the limit is checked by us, before anything is decoded; Pillow's own would only warn
Image.MAX_IMAGE_PIXELS = None


def decode_image(file: bytes, form: ImageInput, most_pixels: int) -> NDArray[np.uint8]:
    """Decode JPEG, PNG, WebP, GIF (first frame) or AVIF, upright, on white where it is transparent.

    Args:
        file: the file's bytes.
        form: the encoder's size, and how the image is brought to it.
        most_pixels: an image with more is rejected before it is decoded.

    Returns:
        uint8 (height, width, 3) RGB, as `models.imagery.fit_image` gives it.

    Raises:
        Rejected: undecodable (truncated too), or too many pixels.
    """
    # what is resized exactly as a processor does it begins with all pixels
    size = form.size if form.resample == "area" else None
    if file[:2] == b"\xff\xd8":
        pixels = _jpeg(file, size, most_pixels)
        if pixels is not None:
            return fit_image(pixels, form)
    return fit_image(_by_pillow(file, size, most_pixels), form)


def _jpeg(file: bytes, size: int | None, most_pixels: int) -> NDArray[np.uint8] | None:
    """The fast way for most JPEGs: decoded at the smallest scale that still has `size`. None leaves it to Pillow."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(file)
    except ValueError as error:
        raise Rejected(reasons.UNDECODABLE, str(error)) from error
    _check_pixels(width, height, most_pixels)
    if colours in {"CMYK", "YCCK"}:
        return None
    with _turn(width * height * JPEG_BYTES):
        pixels = _whole_jpeg(file, size)
    return _upright(pixels, _orientation(file))


def _whole_jpeg(file: bytes, size: int | None) -> NDArray[np.uint8]:
    """Decode a JPEG of which nothing is missing but perhaps the end marker."""
    try:
        fast, least = size is not None, size or 0
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            file, "RGB", fastdct=fast, min_height=least, min_width=least
        )
    except ValueError as error:
        if "Premature end of JPEG file" in str(error) and not file.endswith(END_OF_JPEG):
            return _whole_jpeg(file + END_OF_JPEG, size)
        raise Rejected(reasons.UNDECODABLE, str(error)) from error
    return pixels


def _orientation(file: bytes) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none or it cannot be read."""
    if b"Exif\x00\x00" not in file[:65_536]:
        return 1
    try:
        with Image.open(io.BytesIO(file), formats=("JPEG", "MPO")) as image:
            return _told_orientation(image)
    except Exception:  # noqa: BLE001  # tags that cannot be read turn nothing
        return 1


def _told_orientation(image: Image.Image) -> int:
    found = image.getexif().get(ORIENTATION, 1)
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


def _by_pillow(file: bytes, size: int | None, most_pixels: int) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(file), formats=FORMATS) as image:
            _check_pixels(image.width, image.height, most_pixels)
            with _turn(image.width * image.height * PILLOW_BYTES):
                if size is not None:
                    image.draft("RGB", (size, size))
                orientation = _told_orientation(image)
                return _upright(np.asarray(_on_white(image, size), dtype=np.uint8), orientation)
    except Rejected:
        raise
    except UnidentifiedImageError as error:
        raise Rejected(reasons.UNDECODABLE, "not JPEG, PNG, WebP, GIF or AVIF") from error
    except Exception as error:  # what its decoders raise on broken files has no end
        raise Rejected(reasons.UNDECODABLE, f"{type(error).__name__}: {error}") from error


def _on_white(image: Image.Image, size: int | None) -> Image.Image:
    """The image in RGB, averaged down to at least twice `size`: from here on it is small, whatever it was."""
    clear = image.has_transparency_data
    image.load()
    if image.mode.startswith("I"):  # a PNG with 16 bits of grey
        image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    wanted = "RGBA" if clear else "RGB"
    if image.mode != wanted:
        image = image.convert(wanted)
    if size is not None:
        image = image.reduce(max(1, min(image.size) // (2 * size)))
    if clear:
        image = Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image).convert("RGB")
    return image


def _turn(memory: int) -> AbstractContextManager[object]:
    return _one_large if memory > LARGE_BYTES else nullcontext()


def _check_pixels(width: int, height: int, most_pixels: int) -> None:
    if width * height > most_pixels:
        raise Rejected(
            reasons.TOO_MANY_PIXELS, f"{width} x {height} pixels, the limit is {most_pixels} (limits.image_pixels)"
        )
