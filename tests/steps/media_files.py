"""Real media files made on the fly, in every format that Shoal reads."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import soundfile
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE = 44_100


def picture(width: int = 120, height: int = 80) -> NDArray[np.uint8]:
    """A picture that tells left from right and top from bottom."""
    across = np.linspace(0, 255, width)[None, :]
    down = np.linspace(255, 0, height)[:, None]
    blue = np.where(np.arange(width)[None, :] < width // 4, 255, 0) * np.ones((height, 1))
    return np.stack([across + 0 * down, down + 0 * across, blue], axis=-1).astype(np.uint8)


def image_file(pixels: NDArray[np.unsignedinteger], form: str, **options: Any) -> bytes:
    """The picture as a file of this format."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()


def tone(seconds: float = 2.0, rate: int = RATE, hertz: float = 440.0) -> NDArray[np.float32]:
    """A tone that fades."""
    times = np.arange(int(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * hertz * times) * np.exp(-times)).astype(np.float32)


def sound_file(samples: NDArray[np.float32], form: str, rate: int = RATE, subtype: str | None = None) -> bytes:
    """The recording as a WAV, FLAC, OGG or MP3 file."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form, subtype=subtype)
    return file.getvalue()


def aac_file(samples: NDArray[np.float32], container: str, rate: int = RATE) -> bytes:
    """The recording as AAC, in an `ipod` (M4A) or `adts` container."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream = out.add_stream("aac", rate=rate)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
        frame.rate = rate
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate, frame_size=1024)
        for piece in (*resampler.resample(frame), *resampler.resample(None), None):
            out.mux(stream.encode(piece))
    return file.getvalue()
