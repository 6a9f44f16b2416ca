"""An audio file -> windows of samples. The bytes decide what it is."""

from __future__ import annotations

import io
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

FRAMES_AT_ONCE = 64
"""Frames of a codec, of about 1,000 samples each, that are resampled at once."""

ENDLESS_SECONDS = 10**9
"""A stream whose header does not know its length claims to be longer than this."""

HEAD_BYTES = 512
"""Where an Ogg file names its codec; FFmpeg is the faster one with Opus."""

BY_SOUNDFILE = frozenset(("wav", "flac", "ogg"))
"""What libsndfile reads faster. It reads MP3 too, and then writes remarks on damaged files to standard error."""

SEEKABLE = frozenset(("mov", "mp3"))
"""Containers in which FFmpeg finds a time without decoding all that is before it."""


def decode_audio(file: bytes, form: AudioInput, most_seconds: float) -> NDArray[np.float32]:
    """Decode WAV, FLAC, OGG (Vorbis, Opus), MP3, M4A or AAC to mono windows at the encoder's rate.

    Of a recording with more windows than the encoder takes, windows spread evenly over it are used. At most
    `most_seconds` of it are in memory, at the encoder's rate.

    Args:
        file: the file's bytes.
        form: the encoder's rate, window and most windows.
        most_seconds: a longer recording is rejected: by its header, else as soon as so much has been decoded.

    Returns:
        float32 (k, form.window), 1 <= k <= form.max_windows; of a recording that is shorter than a window, and that
        the encoder does not want repeated, (1, its own length).

    Raises:
        Rejected: undecodable, too long, or silent.
    """
    container = _container(file)
    if container is None:
        raise Rejected(reasons.UNDECODABLE, "not WAV, FLAC, OGG, MP3, M4A or AAC")
    try:
        fast = container in BY_SOUNDFILE and b"OpusHead" not in file[:HEAD_BYTES]
        pieces = _by_soundfile(file, form, most_seconds) if fast else None
    except (soundfile.LibsndfileError, ValueError, RuntimeError):
        pieces = None
    if pieces is None:
        pieces = _by_av(file, container, form, most_seconds)
    if form.fill != "repeat" and len(pieces) == 1 and 0 < len(pieces[0]) < form.window:
        windows = repaired(pieces[0])[None]
    else:
        windows = np.concatenate(
            [
                to_windows(piece, form.rate, form.window / form.rate, form.max_windows)
                for piece in pieces
                if piece.size
            ]
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


def _by_av(file: bytes, name: str, form: AudioInput, most_seconds: float) -> list[NDArray[np.float32]]:
    """By FFmpeg, which reads everything, as the named container.

    FFmpeg left to guess would take a playlist, and read the files and addresses that it names.
    """
    try:
        with av.open(io.BytesIO(file), "r", format=name, metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise Rejected(reasons.UNDECODABLE, "no audio in it")
            seconds = (container.duration or 0) / av.time_base
            if name == "mov":  # the others only guess, by the bit rate of their beginning
                _check_seconds(seconds, most_seconds)
            window = form.window / form.rate
            if name not in SEEKABLE or not window * (form.max_windows + 1) < seconds <= most_seconds:
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
    if file.startswith(b"OggS"):
        return "ogg"
    for head, name in ((b"fLaC", "flac"), (b"RIFF", "wav")):
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
    stream = container.streams.audio[0]
    wanted = most_seconds if samples is None else samples / form.rate
    resampler = soxr.ResampleStream(stream.rate, form.rate, 1, dtype="float32")
    parts: list[NDArray[np.float32]] = []
    held: list[NDArray[Any]] = []
    done = 0
    for frame in _frames(container, stream):
        held.append(frame)
        done += len(frame)
        if len(held) == FRAMES_AT_ONCE:
            parts.append(resampler.resample_chunk(_mono(_as_float(np.concatenate(held)))))
            held.clear()
        if done > wanted * stream.rate:
            break
    if samples is None:
        _check_seconds(done / stream.rate, most_seconds)
    rest = _mono(_as_float(np.concatenate(held))) if held else np.zeros(0, dtype=np.float32)
    parts.append(resampler.resample_chunk(rest, last=True))
    return np.concatenate(parts)[:samples]


def _frames(container: Any, stream: Any) -> Iterator[NDArray[Any]]:
    """What is decoded of a stream: (n, channels) in the codec's own numbers."""
    rate, heard = stream.rate, False
    try:
        for frame in container.decode(stream):
            if frame.sample_rate != rate:
                raise ValueError(f"its rate changes from {rate} to {frame.sample_rate} Hz")
            samples = frame.to_ndarray()
            yield samples.T if frame.format.is_planar else samples.reshape(frame.samples, -1)
            heard = True
    except av.error.FFmpegError:
        if not heard:
            raise  # else it was cut off: what has been heard counts


def _as_float(samples: NDArray[Any]) -> NDArray[np.float32]:
    """Samples in the codec's own numbers, in [-1, 1] but for clipping."""
    numbers: NDArray[np.float32] = samples.astype(np.float32, copy=False)
    if samples.dtype.kind == "f":
        return numbers
    low, high = np.iinfo(samples.dtype).min, np.iinfo(samples.dtype).max
    middle, half = (low + high + 1) // 2, (high - low + 1) // 2
    return (numbers - np.float32(middle)) / np.float32(half)


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
