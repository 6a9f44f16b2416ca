from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.steps import reasons
from consumers.steps.decode_audio import decode_audio
from consumers.steps.reasons import Rejected
from models.manifest import AudioInput
from tests.steps.media_files import RATE, aac_file, sound_file, tone

FORM = AudioInput(rate=16_000, window=16_000, max_windows=4)


def loudest_hertz(window: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(window))
    return float(spectrum.argmax()) * FORM.rate / len(window)


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3"])
def test_every_format_of_libsndfile_keeps_its_pitch(form: str) -> None:
    windows = decode_audio(sound_file(tone(2.0), form), FORM, 60.0)
    assert windows.shape[1] == FORM.window
    assert windows.dtype == np.float32
    assert loudest_hertz(windows[0]) == pytest.approx(440, abs=3)


@pytest.mark.parametrize("container", ["ipod", "adts"])
def test_aac_keeps_its_pitch(container: str) -> None:
    windows = decode_audio(aac_file(tone(2.0), container), FORM, 60.0)
    assert loudest_hertz(windows[0]) == pytest.approx(440, abs=3)


def test_stereo_is_mixed() -> None:
    left_only = np.stack([tone(1.0), np.zeros(RATE, dtype=np.float32)], axis=1)
    mixed = decode_audio(sound_file(left_only, "WAV"), FORM, 60.0)
    mono = decode_audio(sound_file(tone(1.0), "WAV"), FORM, 60.0)
    assert np.abs(mixed - mono / 2).max() < 1e-3


def test_a_long_recording_gives_windows_spread_over_it() -> None:
    pieces = [tone(3.0, hertz=hertz) for hertz in (300, 600, 900, 1200)]
    windows = decode_audio(sound_file(np.concatenate(pieces), "FLAC"), FORM, 60.0)
    assert [round(loudest_hertz(window), -2) for window in windows] == [300, 600, 900, 1200]


def test_a_long_recording_in_aac_gives_windows_spread_over_it() -> None:
    pieces = [tone(3.0, hertz=hertz) for hertz in (300, 600, 900, 1200)]
    windows = decode_audio(aac_file(np.concatenate(pieces), "adts"), FORM, 60.0)
    assert [round(loudest_hertz(window), -2) for window in windows] == [300, 600, 900, 1200]


@pytest.mark.parametrize("file", [sound_file(tone(3.0), "WAV"), aac_file(tone(3.0), "adts")])
def test_a_recording_over_the_limit_is_rejected(file: bytes) -> None:
    with pytest.raises(Rejected) as caught:
        decode_audio(file, FORM, 2.0)
    assert caught.value.reason == reasons.TOO_LONG


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(RATE, dtype=np.float32),
        np.full(RATE, np.nan, dtype=np.float32),
        np.full(RATE, np.inf, dtype=np.float32),
        np.zeros(0, dtype=np.float32),
    ],
    ids=["zeros", "nan", "infinite", "no samples"],
)
def test_what_cannot_be_heard_is_silent(samples: np.ndarray) -> None:
    with pytest.raises(Rejected) as caught:
        decode_audio(sound_file(samples, "WAV", subtype="FLOAT"), FORM, 60.0)
    assert caught.value.reason == reasons.SILENT


def test_a_few_samples_that_are_not_finite_do_not_spread() -> None:
    samples = tone(1.0)
    samples[100:110] = np.nan
    windows = decode_audio(sound_file(samples, "WAV", subtype="FLOAT"), FORM, 60.0)
    assert np.isfinite(windows).all()
    assert loudest_hertz(windows[0]) == pytest.approx(440, abs=3)


@pytest.mark.parametrize("file", [b"", b"RIFF", b"x" * 500, b"ID3\x04" + bytes(40)])
def test_what_is_no_recording_is_rejected(file: bytes) -> None:
    with pytest.raises(Rejected) as caught:
        decode_audio(file, FORM, 60.0)
    assert caught.value.reason == reasons.UNDECODABLE


@settings(max_examples=60)
@given(
    st.binary(max_size=200), st.sampled_from([b"", b"RIFF\xff\xff\x00\x00WAVEfmt ", b"fLaC", b"OggS", b"\xff\xfb"])
)
def test_arbitrary_bytes_are_rejected_or_decoded_and_nothing_else(tail: bytes, head: bytes) -> None:
    try:
        assert np.isfinite(decode_audio(head + tail, FORM, 60.0)).all()
    except Rejected as rejection:
        assert rejection.reason in {reasons.UNDECODABLE, reasons.SILENT, reasons.TOO_LONG}
