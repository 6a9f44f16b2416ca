"""Arrays to real files in memory: JPEG, PNG, WAV and MP3 bytes, and MP3 back to samples."""

from __future__ import annotations

import io
import wave
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
import simplejpeg

if TYPE_CHECKING:
    from numpy.typing import NDArray


def encode_jpeg(pixels: NDArray[np.uint8], quality: int = 85) -> bytes:
    """(height, width, 3) RGB uint8 to a JPEG file with 4:2:0 chroma."""
    data: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), quality=quality, colorsubsampling="420")
    return data


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """(height, width, 3) RGB uint8 to a PNG file.

    Raises:
        ValueError: OpenCV could not encode the array.
    """
    done, data = cv2.imencode(".png", np.ascontiguousarray(pixels[..., ::-1]), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise ValueError(f"an array of shape {pixels.shape} and type {pixels.dtype} cannot be written as PNG")
    return data.tobytes()


def _sixteen_bits(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    return (np.clip(samples, -1, 1) * np.float32(32767)).astype("<i2")


def encode_wav(samples: NDArray[np.float32], rate: int) -> bytes:
    """Mono float32 samples in [-1, 1] to a 16-bit WAV file."""
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(_sixteen_bits(samples).tobytes())
    return target.getvalue()


def encode_mp3(samples: NDArray[np.float32], rate: int, bits_a_second: int = 64_000) -> bytes:
    """Mono float32 samples in [-1, 1] to an MP3 file; `rate` must be one that MP3 knows (16000, 44100, ...)."""
    target = io.BytesIO()
    with av.open(target, "w", format="mp3") as container:
        stream = container.add_stream("libmp3lame", rate=rate, layout="mono")
        stream.bit_rate = bits_a_second
        stream.codec_context.options = {"compression_level": "8"}  # a third of the time, as cheap phones do
        frame = av.AudioFrame.from_ndarray(_sixteen_bits(samples)[None, :], format="s16p", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return target.getvalue()


def decode_mp3(data: bytes) -> NDArray[np.float32]:
    """A mono MP3 file of `encode_mp3` to float32 samples at its own rate."""
    with av.open(io.BytesIO(data), "r", format="mp3") as container:
        pieces = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
    joined = np.concatenate(pieces)
    scale = np.float32(1 / 32768 if joined.dtype == np.int16 else 1)
    return np.asarray(joined * scale, np.float32)
