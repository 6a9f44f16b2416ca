from __future__ import annotations

import contextlib
import io
import struct
import time
import tracemalloc

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.steps import reasons
from consumers.steps.decode_audio import decode_audio
from consumers.steps.reasons import Rejected
from models.manifest import AudioInput
from tests.steps.media_files import RATE, aac_file, sound_file, tone

PIECES = [tone(3.0, hertz=hertz) for hertz in (300, 600, 900, 1200)]
THREE_HOURS = 3 * 3600
WHOLE = {form: sound_file(tone(0.3, 8_000), form, 8_000) for form in ("WAV", "FLAC", "OGG", "MP3")}
WHOLE |= {container: aac_file(tone(0.3, 16_000), container, 16_000) for container in ("ipod", "adts")}

FORM = AudioInput(rate=16_000, window=16_000, max_windows=4)


FILES = {form: sound_file(tone(2.0), form) for form in ("WAV", "FLAC", "OGG", "MP3")}


def loudest_hertz(window: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(window))
    return float(spectrum.argmax()) * FORM.rate / len(window)


@pytest.mark.parametrize("form", FILES)
def test_every_format_of_libsndfile_keeps_its_pitch(form: str) -> None:
    windows = decode_audio(FILES[form], FORM, 60.0)
    assert windows.shape[1] == FORM.window
    assert windows.dtype == np.float32
    assert loudest_hertz(windows[0]) == pytest.approx(440, abs=3)


@pytest.mark.parametrize("container", ["ipod", "adts"])
def test_aac_keeps_its_pitch(container: str) -> None:
    windows = decode_audio(aac_file(tone(2.0), container), FORM, 60.0)
    assert loudest_hertz(windows[0]) == pytest.approx(440, abs=3)


def test_opus_keeps_its_pitch() -> None:
    windows = decode_audio(sound_file(tone(2.0, 48_000), "OGG", 48_000, "OPUS"), FORM, 60.0)
    assert loudest_hertz(windows[0]) == pytest.approx(440, abs=3)


@pytest.mark.parametrize(
    ("form", "subtype"),
    [("WAV", "PCM_U8"), ("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("FLAC", None), ("OGG", None)],
)
def test_ffmpeg_is_the_second_try_and_hears_the_same(
    form: str, subtype: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise soundfile.LibsndfileError(1)

    stereo = np.stack([tone(2.0), tone(2.0, hertz=880) / 2], axis=1)
    file = sound_file(stereo, form, subtype=subtype)
    first = decode_audio(file, FORM, 60.0)
    monkeypatch.setattr(soundfile, "SoundFile", refuse)
    assert np.abs(decode_audio(file, FORM, 60.0) - first).max() < 2e-3


def test_a_damaged_mp3_is_no_reason_to_write_to_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    file = FILES["MP3"]
    for damaged in (file[:500] + bytes(300) + file[800:], file[: len(file) // 2], b"\xff\xfb" + bytes(400) + file):
        with contextlib.suppress(Rejected):
            decode_audio(damaged, FORM, 60.0)
    assert capfd.readouterr() == ("", "")


def test_a_rate_that_changes_within_the_file_is_rejected() -> None:
    file = aac_file(tone(1.0, 16_000), "adts", 16_000) + aac_file(tone(1.0, 44_100), "adts", 44_100)
    with pytest.raises(Rejected) as caught:
        decode_audio(file, FORM, 60.0)
    assert caught.value.reason == reasons.UNDECODABLE


def test_aac_after_tags_is_found() -> None:
    tags = b"ID3\x04\x00\x00" + bytes([0, 0, 2, 10]) + bytes(266)
    windows = decode_audio(tags + aac_file(tone(2.0), "adts"), FORM, 60.0)
    assert loudest_hertz(windows[0]) == pytest.approx(440, abs=3)


def test_a_stream_whose_header_does_not_know_its_length_is_read() -> None:
    file = endless_flac(tone(2.0))
    assert soundfile.SoundFile(io.BytesIO(file)).frames > 2**60
    windows = decode_audio(file, FORM, 60.0)
    assert windows.shape[0] == 2
    assert loudest_hertz(windows[0]) == pytest.approx(440, abs=3)
    with pytest.raises(Rejected) as caught:
        decode_audio(file, FORM, 1.0)
    assert caught.value.reason == reasons.TOO_LONG


def endless_flac(samples: np.ndarray) -> bytes:
    """A FLAC file as it is streamed: its header holds no number of samples."""
    file = bytearray(sound_file(samples, "FLAC"))
    file[21] &= 0xF0
    file[22:26] = bytes(4)
    return bytes(file)


@pytest.mark.parametrize("rate", [7, 100, 11_025, 96_000])
def test_every_rate_becomes_the_encoders(rate: int) -> None:
    samples = np.sin(np.arange(rate * 2) * 0.3).astype(np.float32)
    assert decode_audio(sound_file(samples, "WAV", rate), FORM, 60.0).shape == (2, FORM.window)


def test_many_channels_are_mixed() -> None:
    eight = np.repeat(tone(1.0)[:, None], 8, axis=1)
    mixed = decode_audio(sound_file(eight, "WAV"), FORM, 60.0)
    assert np.abs(mixed - decode_audio(sound_file(tone(1.0), "WAV"), FORM, 60.0)).max() < 1e-3


def test_stereo_is_mixed() -> None:
    left_only = np.stack([tone(1.0), np.zeros(RATE, dtype=np.float32)], axis=1)
    mixed = decode_audio(sound_file(left_only, "WAV"), FORM, 60.0)
    mono = decode_audio(sound_file(tone(1.0), "WAV"), FORM, 60.0)
    assert np.abs(mixed - mono / 2).max() < 1e-3


LONG = np.concatenate(PIECES)


@pytest.mark.parametrize("file", [
    sound_file(LONG, "WAV"), sound_file(LONG, "FLAC"), sound_file(LONG, "MP3"), endless_flac(LONG),
    aac_file(LONG, "adts"), aac_file(LONG, "ipod"),
], ids=["wav", "flac", "mp3", "endless flac", "aac", "m4a"])  # fmt: skip
def test_a_long_recording_gives_windows_spread_over_it(file: bytes) -> None:
    windows = decode_audio(file, FORM, 60.0)
    assert [round(loudest_hertz(window), -2) for window in windows] == [300, 600, 900, 1200]


def silence_of_hours() -> dict[str, bytes]:
    quiet = np.zeros(THREE_HOURS * 1_000, dtype=np.float32)
    ten_seconds = aac_file(np.zeros(80_000, dtype=np.float32), "adts", 8_000)
    wav = bytearray(sound_file(np.zeros(1, dtype=np.float32), "WAV", 8_000, "PCM_U8"))
    wav += bytes([128]) * (THREE_HOURS * 1_000)
    struct.pack_into("<I", wav, 4, len(wav) - 8)
    struct.pack_into("<I", wav, wav.index(b"data") + 4, len(wav) - 44)
    struct.pack_into("<II", wav, 24, 1_000, 1_000)
    return {"flac": sound_file(quiet, "FLAC", 1_000), "aac": ten_seconds * (THREE_HOURS // 10), "wav": bytes(wav)}


def test_three_hours_are_rejected_quickly_and_in_little_memory() -> None:
    for name, file in silence_of_hours().items():
        tracemalloc.start()
        start = time.thread_time()
        with pytest.raises(Rejected) as caught:
            decode_audio(file, FORM, 600.0)
        assert caught.value.reason == reasons.TOO_LONG, name
        assert time.thread_time() - start < 2
        assert tracemalloc.get_traced_memory()[1] < 3 * 600 * FORM.rate * 4
        tracemalloc.stop()


def test_a_long_recording_with_many_channels_takes_little_memory() -> None:
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", 192_000, 8, format="FLAC") as out:
        for _ in range(20):
            out.write(np.full((192_000, 8), 0.1, dtype=np.float32))
    form = AudioInput(rate=16_000, window=80_000, max_windows=12)
    tracemalloc.start()
    decode_audio(file.getvalue(), form, 600.0)
    assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    tracemalloc.stop()


@pytest.mark.parametrize("kept", [0.5, 0.9])
@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG", "MP3", "adts"])
def test_of_a_cut_off_recording_what_is_there_is_used(form: str, kept: float) -> None:
    steady = np.tile(tone(1.0), 10)
    file = aac_file(steady, form) if form == "adts" else sound_file(steady, form)
    windows = decode_audio(file[: int(len(file) * kept)], FORM, 60.0)
    assert loudest_hertz(windows[0]) == pytest.approx(440, abs=3)


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


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"RIFF",
        b"x" * 500,
        b"ID3\x04" + bytes(40),
        b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f\xff\xf1",
        b"\x00\x00\x00\x20ftypM4A " + bytes(100),
        b"OggS" + bytes(20) + b"OpusHead" + bytes(40),
        PLAYLIST,
        b"ffconcat version 1.0\nfile recording.wav\n",
    ],
)
def test_what_is_no_recording_is_rejected(file: bytes) -> None:
    with pytest.raises(Rejected) as caught:
        decode_audio(file, FORM, 60.0)
    assert caught.value.reason == reasons.UNDECODABLE


def test_a_film_without_sound_is_rejected() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), dtype=np.uint8), format="rgb24")
        for piece in (frame, None):
            out.mux(stream.encode(piece))
    with pytest.raises(Rejected) as caught:
        decode_audio(file.getvalue(), FORM, 60.0)
    assert caught.value.reason == reasons.UNDECODABLE


@pytest.mark.parametrize("form", WHOLE)
@settings(max_examples=40, deadline=None)
@given(places=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=8))
def test_damaged_files_are_rejected_or_decoded_and_nothing_else(form: str, places: list[tuple[int, int]]) -> None:
    file = bytearray(WHOLE[form])
    for place, value in places:
        file[place % len(file)] = value
    try:
        assert np.isfinite(decode_audio(bytes(file), FORM, 60.0)).all()
    except Rejected as rejection:
        assert rejection.reason in {reasons.UNDECODABLE, reasons.SILENT, reasons.TOO_LONG}


@settings(max_examples=60, deadline=None)
@given(
    st.binary(max_size=200), st.sampled_from([b"", b"RIFF\xff\xff\x00\x00WAVEfmt ", b"fLaC", b"OggS", b"\xff\xfb"])
)
def test_arbitrary_bytes_are_rejected_or_decoded_and_nothing_else(tail: bytes, head: bytes) -> None:
    try:
        assert np.isfinite(decode_audio(head + tail, FORM, 60.0)).all()
    except Rejected as rejection:
        assert rejection.reason in {reasons.UNDECODABLE, reasons.SILENT, reasons.TOO_LONG}


def test_a_short_recording_keeps_its_length_where_the_encoder_fills_it() -> None:
    form = AudioInput(rate=16_000, window=16_000, max_windows=4, fill="zeros")
    assert decode_audio(sound_file(tone(0.25), "WAV"), form, 60.0).shape == (1, 4_000)
    assert decode_audio(sound_file(tone(2.0), "WAV"), form, 60.0).shape == (2, 16_000)
