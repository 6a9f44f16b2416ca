"""An audio file -> windows of samples. The bytes decide what it is."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import av
import numpy as np
import soundfile
import soxr

from consumers.steps import reasons
from consumers.steps.reasons import Rejected
from models.sound import repaired, silent, to_windows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.manifest import AudioInput


def decode_audio(file: bytes, form: AudioInput, most_seconds: float) -> NDArray[np.float32]:
    """Decode WAV, FLAC, OGG, MP3, M4A or AAC to mono windows at the encoder's rate.

    Of a recording with more windows than the encoder takes, windows spread evenly over it are used; only these are
    held in memory.

    Args:
        form: the encoder's rate, window and most windows.
        most_seconds: a longer recording is rejected.

    Returns:
        float32 (k, form.window), 1 <= k <= form.max_windows.

    Raises:
        Rejected: undecodable, too long, or silent.
    """
    try:
        pieces = _by_soundfile(file, form, most_seconds)
    except soundfile.LibsndfileError:
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
    with soundfile.SoundFile(io.BytesIO(file)) as sound:
        _check_seconds(sound.frames / sound.samplerate, most_seconds)
        window = int(form.window / form.rate * sound.samplerate)
        if sound.frames <= window * (form.max_windows + 1) or not sound.seekable():
            return [_resampled(_mono(sound.read(dtype="float32", always_2d=True)), sound.samplerate, form.rate)]
        pieces = []
        for start in np.linspace(0, sound.frames - window, form.max_windows).astype(int):
            sound.seek(int(start))
            piece = _resampled(
                _mono(sound.read(window, dtype="float32", always_2d=True)), sound.samplerate, form.rate
            )
            pieces.append(piece[: form.window])
        return pieces


def _by_av(file: bytes, form: AudioInput, most_seconds: float) -> list[NDArray[np.float32]]:
    """By FFmpeg, which also knows M4A and AAC; decoding stops as soon as it is too long."""
    try:
        with av.open(io.BytesIO(file), "r", metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise Rejected(reasons.UNDECODABLE, "no audio in it")
            resampler = av.AudioResampler(format="flt", layout="mono", rate=form.rate)
            parts: list[NDArray[np.float32]] = []
            count = 0
            for frame in (*container.decode(container.streams.audio[0]), None):
                for out in resampler.resample(frame):
                    parts.append(out.to_ndarray().reshape(-1).astype(np.float32, copy=False))
                    count += len(parts[-1])
                _check_seconds(count / form.rate, most_seconds)
    except (av.error.FFmpegError, ValueError, OSError) as error:
        raise Rejected(reasons.UNDECODABLE, f"{type(error).__name__}: {error}") from error
    samples = np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)
    return _spread(samples, form)


def _spread(samples: NDArray[np.float32], form: AudioInput) -> list[NDArray[np.float32]]:
    if len(samples) <= form.window * (form.max_windows + 1):
        return [samples]
    starts = np.linspace(0, len(samples) - form.window, form.max_windows).astype(int)
    return [samples[start : start + form.window] for start in starts]


def _mono(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, channels) -> (n,), with 0 for what is not finite: it would spread in the resampler."""
    mixed: NDArray[np.float32] = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
    return mixed if np.isfinite(mixed).all() else repaired(mixed)


def _resampled(samples: NDArray[np.float32], rate: int, wanted: int) -> NDArray[np.float32]:
    if rate == wanted or not samples.size:
        return samples
    resampled: NDArray[np.float32] = soxr.resample(samples, rate, wanted, quality="HQ")
    return resampled


def _check_seconds(seconds: float, most_seconds: float) -> None:
    if seconds > most_seconds:
        raise Rejected(
            reasons.TOO_LONG, f"more than {most_seconds:.0f} seconds (limits.audio_seconds): {seconds:.0f} so far"
        )
