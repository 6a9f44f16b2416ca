from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from consumers.steps import reasons
from consumers.steps.decode_image import decode_image
from consumers.steps.reasons import Rejected
from models.imagery import resize_square
from models.manifest import ImageInput
from tests.steps.media_files import image_file, picture

LIMIT = 1_000_000
SIZE = 32
FORM = ImageInput(size=SIZE)


PICTURE = picture()
WHOLE = {form: image_file(PICTURE, form) for form in ("JPEG", "PNG", "WEBP", "GIF", "AVIF")}


def difference(file: bytes, expected: np.ndarray = PICTURE) -> float:
    decoded = decode_image(file, FORM, LIMIT)
    assert decoded.shape == (SIZE, SIZE, 3)
    assert decoded.dtype == np.uint8
    return float(np.abs(decoded.astype(float) - resize_square(expected, SIZE)).mean())


def png(header: tuple[int, ...], rows: bytes) -> bytes:
    """A PNG of this header (width, height, bits, colour type, three zeros) and these rows."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head, body = chunk(b"IHDR", struct.pack(">IIBBBBB", *header)), chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + head + body + chunk(b"IEND", b"")


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "AVIF"])
def test_every_format_shows_the_picture(form: str) -> None:
    assert difference(image_file(picture(), form)) < 12


def test_the_jpeg_fast_way_agrees_with_pillow_on_a_large_photograph() -> None:
    large = picture(1200, 800)
    assert difference(image_file(large, "JPEG", quality=92), large) < 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation: int) -> None:
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    file = image_file(picture(), "JPEG", exif=exif, quality=95)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(file))))
    assert difference(file, upright) < 4


def test_transparency_shows_white() -> None:
    clear = np.zeros((40, 40, 4), dtype=np.uint8)
    clear[10:30, 10:30] = (255, 0, 0, 255)
    decoded = decode_image(image_file(clear, "PNG"), ImageInput(size=40), LIMIT)
    assert tuple(decoded[0, 0]) == (255, 255, 255)
    assert tuple(decoded[20, 20]) == (255, 0, 0)


def test_a_palette_with_a_transparent_colour_shows_white() -> None:
    image = Image.new("P", (20, 20), 0)
    image.putpalette([10, 20, 30, 200, 0, 0])
    image.paste(1, (5, 5, 15, 15))
    file = io.BytesIO()
    image.save(file, "PNG", transparency=0)
    decoded = decode_image(file.getvalue(), ImageInput(size=20), LIMIT)
    assert tuple(decoded[0, 0]) == (255, 255, 255)
    assert tuple(decoded[10, 10]) == (200, 0, 0)


def test_sixteen_bits_of_grey_keep_their_lightness() -> None:
    ramp = np.linspace(0, 65_535, 64 * 64).reshape(64, 64).astype(np.uint16)
    decoded = decode_image(image_file(ramp, "PNG"), ImageInput(size=64), LIMIT)
    assert abs(int(decoded[32, 32, 0]) - int(ramp[32, 32]) // 257) <= 2


def test_dark_sixteen_bits_stay_dark() -> None:
    dark = np.full((40, 40), 200, dtype=np.uint16)
    dark[10:30, 10:30] = 40_000
    decoded = decode_image(image_file(dark, "PNG"), ImageInput(size=40), LIMIT)
    assert decoded[0, 0, 0] == 0
    assert abs(int(decoded[20, 20, 0]) - 40_000 // 257) <= 1


def test_sixteen_bits_of_colour_are_read() -> None:
    rows = b"".join(b"\x00" + (struct.pack(">HHH", 65_535, 32_768, 0)) * 8 for _ in range(8))
    decoded = decode_image(png((8, 8, 16, 2, 0, 0, 0), rows), ImageInput(size=8), LIMIT)
    assert np.abs(decoded[4, 4].astype(int) - (255, 128, 0)).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_kind_of_png_shows_the_picture(mode: str) -> None:
    file = io.BytesIO()
    image = Image.fromarray(picture()).convert("L")
    image.convert(mode).save(file, "PNG")
    expected = np.asarray(image.convert(mode).convert("RGB"))
    assert difference(file.getvalue(), expected) < 3


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_a_large_picture_is_averaged_as_a_small_one_is(form: str) -> None:
    large = picture(1000, 700)
    options = {"lossless": True} if form == "WEBP" else {}
    assert difference(image_file(large, form, **options), large) < 1.5


def test_a_large_transparent_picture_lies_on_white() -> None:
    clear = np.zeros((400, 400, 4), dtype=np.uint8)
    clear[:200] = (200, 0, 0, 255)
    decoded = decode_image(image_file(clear, "PNG"), ImageInput(size=20), LIMIT)
    assert tuple(decoded[2, 10]) == (200, 0, 0)
    assert tuple(decoded[17, 10]) == (255, 255, 255)


def test_only_the_first_picture_of_a_jpeg_with_several_counts() -> None:
    file = io.BytesIO()
    other = Image.new("RGB", (120, 80), "red")
    Image.fromarray(picture()).save(file, "MPO", save_all=True, append_images=[other], quality=95)
    assert difference(file.getvalue()) < 4


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_that_lacks_only_its_end_marker_is_whole(progressive: bool) -> None:
    file = image_file(picture(), "JPEG", quality=95, progressive=progressive)
    assert file.endswith(b"\xff\xd9")
    assert difference(file[:-2]) < 4


def test_a_corrupt_jpeg_is_rejected() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    file = image_file(noise, "JPEG")
    half = len(file) // 2
    for damage in (bytes(200), b"\xaa" * 200, bytes(range(200))):
        with pytest.raises(Rejected) as caught:
            decode_image(file[:half] + damage + file[half + 200 :], FORM, LIMIT)
        assert caught.value.reason == reasons.UNDECODABLE


def test_what_follows_a_jpeg_does_not_matter() -> None:
    assert difference(image_file(picture(), "JPEG", quality=95) + b"and more" * 50) < 4


def test_cmyk_jpegs_are_read() -> None:
    file = io.BytesIO()
    Image.fromarray(picture()).convert("CMYK").save(file, "JPEG", quality=95)
    assert difference(file.getvalue()) < 20


def test_only_the_first_frame_of_an_animation_counts() -> None:
    frames = [Image.new("RGB", (30, 30), colour) for colour in ("red", "blue")]
    frames[0].putpixel((0, 0), (0, 0, 0))
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    assert decode_image(file.getvalue(), ImageInput(size=30), LIMIT)[15, 15, 0] > 200


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "AVIF"])
@pytest.mark.parametrize("kept", [0.9, 0.5, 0.05])
def test_a_truncated_file_is_rejected_and_never_half_a_picture(form: str, kept: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    file = image_file(noise, form)
    with pytest.raises(Rejected) as caught:
        decode_image(file[: int(len(file) * kept)], FORM, LIMIT)
    assert caught.value.reason == reasons.UNDECODABLE


@pytest.mark.parametrize("file", [b"", b"\xff\xd8", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"<svg/>", b"%PDF-1.4"])
def test_what_is_no_image_is_rejected(file: bytes) -> None:
    with pytest.raises(Rejected) as caught:
        decode_image(file, FORM, LIMIT)
    assert caught.value.reason == reasons.UNDECODABLE


def bomb() -> bytes:
    """A PNG that says 50,000 x 50,000 in a few bytes."""
    return png((50_000, 50_000, 8, 2, 0, 0, 0), bytes(150_001 * 20))


def test_pixels_are_counted_before_anything_is_decoded() -> None:
    with pytest.raises(Rejected) as caught:
        decode_image(bomb(), FORM, 50_000_000)
    assert caught.value.reason == reasons.TOO_MANY_PIXELS
    with pytest.raises(Rejected) as caught:
        decode_image(image_file(picture(200, 200), "JPEG"), FORM, 39_999)
    assert caught.value.reason == reasons.TOO_MANY_PIXELS


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "AVIF"])
@settings(deadline=None)
@given(places=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=8))
def test_damaged_files_are_rejected_or_decoded_and_nothing_else(form: str, places: list[tuple[int, int]]) -> None:
    file = bytearray(WHOLE[form])
    for place, value in places:
        file[place % len(file)] = value
    try:
        assert decode_image(bytes(file), FORM, LIMIT).shape == (SIZE, SIZE, 3)
    except Rejected as rejection:
        assert rejection.reason in {reasons.UNDECODABLE, reasons.TOO_MANY_PIXELS}


@given(st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF"]))
def test_arbitrary_bytes_are_rejected_or_decoded_and_nothing_else(tail: bytes, head: bytes) -> None:
    try:
        assert decode_image(head + tail, FORM, LIMIT).shape == (SIZE, SIZE, 3)
    except Rejected as rejection:
        assert rejection.reason in {reasons.UNDECODABLE, reasons.TOO_MANY_PIXELS}


def test_a_photograph_is_decoded_as_pillow_does_where_the_processor_is_pillows() -> None:
    file = image_file(picture(200, 120), "JPEG")
    with Image.open(io.BytesIO(file)) as image:
        wanted = np.asarray(image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    decoded = decode_image(file, ImageInput(size=SIZE, resample="bicubic"), LIMIT)
    assert (decoded == wanted).all()
