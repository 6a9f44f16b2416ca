"""What the audio encoders take: fixed windows of a mono signal, and whether there is anything to hear."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SILENCE = 1e-3
"""Root mean square amplitude of -60 dBFS; what is below it counts as silence."""

_FEW = 0.05


def silent(samples: NDArray[np.floating]) -> bool:
    """Whether the signal is below -60 dBFS throughout its mean, empty, or without one finite sample."""
    finite = np.isfinite(samples)
    heard = samples if finite.all() else samples[finite]
    if not heard.size:
        return True
    return bool(np.sqrt(np.mean(np.square(heard, dtype=np.float64))) < SILENCE)


def repaired(samples: NDArray[np.floating]) -> NDArray[np.float32]:
    """The signal as contiguous float32 in [-1, 1]: a few samples that are not finite become 0.

    Raises:
        ValueError: not one-dimensional, or more than a twentieth of the samples are not finite.
    """
    if samples.ndim != 1:
        raise ValueError(f"expected a mono signal of one dimension, got the shape {samples.shape}; mix the channels first")
    finite = np.isfinite(samples)
    if finite.all():
        return np.ascontiguousarray(np.clip(samples, -1, 1), np.float32)
    broken = 1 - float(finite.mean())
    if broken > _FEW:
        raise ValueError(f"{broken:.0%} of the audio samples are not finite numbers; the recording is damaged")
    return np.ascontiguousarray(np.where(finite, np.clip(samples, -1, 1), 0), np.float32)


def to_windows(samples: NDArray[np.floating], rate: int, window: float, maximum: int) -> NDArray[np.float32]:
    """Cut a signal into windows one after another.

    A signal shorter than a window is repeated until it fills it. A last piece of at least half a window is completed
    with the samples before it; a shorter one is dropped.

    Args:
        samples: (n,) mono, at `rate`; a few samples that are not finite become 0.
        rate: samples a second.
        window: seconds of a window.
        maximum: most windows to return, from the beginning.

    Returns:
        (k, round(window * rate)) float32 with 1 <= k <= maximum.

    Raises:
        ValueError: no samples at all, a signal that is damaged or not mono, or a window or maximum below one.
    """
    length = round(window * rate)
    if length < 1 or maximum < 1:
        raise ValueError(f"cannot cut windows of {window} s at {rate} Hz, at most {maximum}: each must be positive")
    if not samples.size:
        raise ValueError("there are no audio samples to cut into windows")
    clean = repaired(samples[: length * (maximum + 1)])
    if len(clean) <= length:
        return np.resize(clean, (1, length))
    whole, rest = divmod(len(clean), length)
    cut = clean[: whole * length].reshape(whole, length)
    if whole < maximum and 2 * rest >= length:
        cut = np.concatenate([cut, clean[None, -length:]])
    return np.ascontiguousarray(cut[:maximum])
