"""An audio file -> windows of samples. The bytes decide what it is."""

from __future__ import annotations

import io
import itertools
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import soundfile
import soxr

from consumers.steps import reasons
from consumers.steps.reasons import Rejected
from models.sound import repaired, silent, to_windows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from models.manifest import AudioInput

BLOCK_SAMPLES = 2**19
"""Samples, of all channels together, that are read and resampled at once."""

ENDLESS_SECONDS = 10**9
"""A stream whose header does not know its length claims to be longer than this."""

HEAD_BYTES = 512
"""Where an Ogg file names its codec."""


def decode_audio(file: bytes, form: AudioInput, most_seconds: float) -> NDArray[np.float32]:
    """Decode WAV, FLAC, OGG (Vorbis, Opus), MP3, M4A or AAC to mono windows at the encoder's rate.

    Of a recording with more windows than the encoder takes, windows spread evenly over it are used. At most
    `most_seconds` of it are in memory, at the encoder's rate.

    Args:
        file: the file's bytes.
        form: the encoder's rate, window and most windows.
        most_seconds: a longer recording is rejected: by its header, else as soon as so much has been decoded.

    Returns:
        float32 (k, form.window), 1 <= k <= form.max_windows.

    Raises:
        Rejected: undecodable, too long, or silent.
    """
    pieces = _by_av(file, form, most_seconds) if b"OpusHead" in file[:HEAD_BYTES] else None
    if pieces is None:
        try:
            pieces = _by_soundfile(file, form, most_seconds)
        except (soundfile.LibsndfileError, ValueError, RuntimeError):
            pieces = _by_av(file, form, most_seconds)
    windows = np.concatenate(
        [to_windows(piece, form.rate, form.window / form.rate, form.max_windows) for piece in pieces if piece.size]
        or [np.zeros((0, form.window), dtype=np.float32)]
    )[: form.max_windows]
    heard = [window for window in windows if not silent(window)]
    if not heard:
        raise Rejected(reasons.SILENT, "nothing to hear")
    return np.stack(heard)


def _by_soundfile(file: bytes, form: AudioInput, most_seconds: float) -> list[NDArray[np.float32]]:
    """By libsndfile: the fast way. What it cannot read raises errors of its own."""
    with soundfile.SoundFile(io.BytesIO(file)) as sound:
        seconds = sound.frames / sound.samplerate
        if seconds > ENDLESS_SECONDS:
            return _spread(_read(sound, form, most_seconds), form)
        _check_seconds(seconds, most_seconds)
        window = form.window / form.rate
        if seconds <= window * (form.max_windows + 1):
            return [_read(sound, form, most_seconds)]
        pieces = []
        for start in np.linspace(0, seconds - window, form.max_windows):
            sound.seek(int(start * sound.samplerate))
            pieces.append(_read(sound, form, most_seconds, round(window * sound.samplerate))[: form.window])
        return pieces


def _read(
    sound: soundfile.SoundFile, form: AudioInput, most_seconds: float, frames: int | None = None
) -> NDArray[np.float32]:
    """Read `frames` from where the file stands, or all that is left: mono (n,) at the encoder's rate."""
    resampler = soxr.ResampleStream(sound.samplerate, form.rate, 1, dtype="float32")
    block = max(1, min(BLOCK_SAMPLES // sound.channels, int(most_seconds * sound.samplerate) + 1))
    parts: list[NDArray[np.float32]] = []
    done, last = 0, False
    while not last:
        wanted = block if frames is None else min(block, frames - done)
        samples = sound.read(wanted, dtype="float32", always_2d=True)
        done += len(samples)
        _check_seconds(done / sound.samplerate, most_seconds)
        last = len(samples) < wanted or done == frames
        parts.append(resampler.resample_chunk(_mono(samples), last=last))
    return np.concatenate(parts)


def _mono(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, channels) -> (n,), with 0 for what is not finite: it would spread in the resampler."""
    channels = samples.shape[1]
    shares = np.full(channels, 1 / channels, dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        mixed: NDArray[np.float32] = samples[:, 0] if channels == 1 else samples @ shares
    return np.ascontiguousarray(mixed) if np.isfinite(mixed).all() else repaired(mixed)


def _by_av(file: bytes, form: AudioInput, most_seconds: float) -> list[NDArray[np.float32]]:
    """By FFmpeg, which also knows M4A and AAC. Nothing but the named container is tried.

    FFmpeg left to guess would take a playlist, and read the files and addresses that it names.
    """
    container_format = _container(file)
    if container_format is None:
        raise Rejected(reasons.UNDECODABLE, "not WAV, FLAC, OGG, MP3, M4A or AAC")
    try:
        with av.open(io.BytesIO(file), "r", format=container_format, metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise Rejected(reasons.UNDECODABLE, "no audio in it")
            seconds = (container.duration or 0) / av.time_base
            _check_seconds(seconds, most_seconds)
            window = form.window / form.rate
            if container_format != "mov" or seconds <= window * (form.max_windows + 1):
                return _spread(_decoded(container, form, most_seconds), form)
            pieces = []
            for start in np.linspace(0, seconds - window, form.max_windows):
                container.seek(int(start * av.time_base))
                pieces.append(_decoded(container, form, most_seconds, form.window))
            return pieces
    except Rejected:
        raise
    except Exception as error:
        raise Rejected(reasons.UNDECODABLE, f"{type(error).__name__}: {error}") from error


def _container(file: bytes) -> str | None:
    """FFmpeg's name of the container, by the first bytes; None when it is none of ours."""
    if file[4:8] == b"ftyp":
        return "mov"
    for head, name in ((b"OggS", "ogg"), (b"fLaC", "flac"), (b"RIFF", "wav")):
        if file.startswith(head):
            return name
    start = 0
    if file[:3] == b"ID3" and len(file) > 10:
        start = 10 + sum((byte & 0x7F) << 7 * place for place, byte in enumerate(reversed(file[6:10])))
    if len(file) < start + 2 or file[start] != 0xFF:
        return "mp3" if start else None
    if file[start + 1] & 0xF6 == 0xF0:
        return "aac"
    return "mp3" if file[start + 1] & 0xE0 == 0xE0 else None


def _decoded(
    container: Any, form: AudioInput, most_seconds: float, samples: int | None = None
) -> NDArray[np.float32]:
    """Decode `samples` from where the container stands, or all that is left: mono (n,) at the encoder's rate."""
    parts: list[NDArray[np.float32]] = []
    count = 0
    try:
        for part in _resampled(container, form.rate):
            parts.append(part)
            count += len(part)
            _check_seconds(count / form.rate, most_seconds)
            if samples is not None and count >= samples:
                break
    except av.error.FFmpegError:
        if not count:
            raise  # else it was cut off: what has been heard counts
    return np.concatenate(parts)[:samples] if parts else np.zeros(0, dtype=np.float32)


def _resampled(container: Any, rate: int) -> Iterator[NDArray[np.float32]]:
    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
    for frame in itertools.chain(container.decode(container.streams.audio[0]), (None,)):
        for out in resampler.resample(frame):
            yield out.to_ndarray().reshape(-1).astype(np.float32, copy=False)


def _spread(samples: NDArray[np.float32], form: AudioInput) -> list[NDArray[np.float32]]:
    """A recording as it is, or windows spread over one that is longer than they are together."""
    if len(samples) <= form.window * (form.max_windows + 1):
        return [samples]
    starts = np.linspace(0, len(samples) - form.window, form.max_windows).astype(int)
    return [samples[start : start + form.window] for start in starts]


def _check_seconds(seconds: float, most_seconds: float) -> None:
    if seconds > most_seconds:
        raise Rejected(
            reasons.TOO_LONG, f"more than {most_seconds:.0f} seconds (limits.audio_seconds): {seconds:.0f} so far"
        )
