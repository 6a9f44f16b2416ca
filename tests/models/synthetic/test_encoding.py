"""Arrays to files."""

import io

import cv2
import numpy as np
import soundfile

from models.synthetic.encoding import decode_mp3, encode_jpeg, encode_mp3, encode_png, encode_wav
from models.synthetic.oscillators import RATE, oscillate


def picture() -> np.ndarray:
    small = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(small, (160, 120), interpolation=cv2.INTER_CUBIC), np.uint8)


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))[..., ::-1]


def test_png_keeps_every_pixel() -> None:
    np.testing.assert_array_equal(decoded(encode_png(picture())), picture())


def test_jpeg_stays_close_and_shrinks_with_quality() -> None:
    good, poor = encode_jpeg(picture(), 92), encode_jpeg(picture(), 40)
    assert np.abs(decoded(good).astype(int) - picture()).mean() < 4
    assert len(poor) < len(good)


def test_wav_holds_sixteen_bits_at_the_rate() -> None:
    tone = oscillate(440.0, RATE, (1.0,)) * np.float32(0.5)
    samples, rate = soundfile.read(io.BytesIO(encode_wav(tone, RATE)), dtype="float32")
    assert rate == RATE
    np.testing.assert_allclose(samples, tone, atol=2 / 32768)


def test_mp3_comes_back_alike() -> None:
    tone = oscillate(440.0, RATE, (1.0, 0.5)) * np.float32(0.5)
    data = encode_mp3(tone, RATE, 64_000)
    assert len(data) < len(encode_wav(tone, RATE)) / 3
    back = decode_mp3(data)
    assert abs(len(back) - len(tone)) < 2400
    spectrum = np.abs(np.fft.rfft(back[:RATE]))
    assert abs(int(spectrum.argmax()) - 440) <= 1
