"""What the audio encoders take: fixed windows of a mono signal, and whether there is anything to hear."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.manifest import Fill

SILENCE = 1e-3
"""Root mean square amplitude of -60 dBFS; what is below it counts as silence."""


def silent(samples: NDArray[np.floating]) -> bool:
    """Whether the signal is below -60 dBFS throughout its mean, empty, or without one finite sample."""
    if not samples.size:
        return True
    # einsum adds on one thread and copies nothing
    power = float(np.einsum("i,i->", samples, samples)) / samples.size
    if np.isfinite(power):
        return power < SILENCE**2
    heard = samples[np.isfinite(samples)]
    return not heard.size or bool(np.sqrt(np.mean(np.square(heard, dtype=np.float64))) < SILENCE)


def repaired(samples: NDArray[np.floating]) -> NDArray[np.float32]:
    """The signal (n,) as contiguous float32 in [-1, 1], with 0 for every sample that is not finite."""
    clipped: NDArray[np.float32] = np.clip(samples, -1, 1).astype(np.float32, copy=False)
    finite = np.isfinite(samples)
    if not finite.all():
        clipped[~finite] = 0
    return clipped


def filled(samples: NDArray[np.float32], length: int, fill: Fill) -> NDArray[np.float32]:
    """A window (length,) of a recording (n,) that has at most so many samples and at least one.

    Args:
        fill: `repeat` repeats it to the end; `repeat-zeros` as often as it fits whole, then zeros; `zeros` not once.
    """
    if len(samples) == length:
        return samples
    if fill == "repeat":
        return np.resize(samples, length)
    whole = np.tile(samples, length // len(samples)) if fill == "repeat-zeros" else samples
    return np.pad(whole, (0, length - len(whole)))


def to_windows(samples: NDArray[np.floating], rate: int, window: float, maximum: int) -> NDArray[np.float32]:
    """Cut a signal into windows one after another.

    A signal shorter than a window is repeated until it fills it. A last piece of at least half a window is completed
    with the samples before it; a shorter one is dropped.

    Args:
        samples: (n,) mono, at `rate`; samples that are not finite become 0 (ask `silent` first).
        rate: samples a second.
        window: seconds of a window.
        maximum: most windows to return, from the beginning.

    Returns:
        (k, round(window * rate)) float32 with 1 <= k <= maximum.

    Raises:
        ValueError: no samples at all, a signal that is not mono, or a window or maximum below one.
    """
    length = round(window * rate)
    if length < 1 or maximum < 1:
        raise ValueError(f"cannot cut windows of {window} s at {rate} Hz, at most {maximum}: each must be positive")
    if samples.ndim != 1 or not samples.size:
        raise ValueError(f"expected a mono signal of shape (n,) with n > 0, got the shape {samples.shape}")
    clean = repaired(samples[: length * (maximum + 1)])
    if len(clean) <= length:
        return np.resize(clean, (1, length))
    whole, rest = divmod(len(clean), length)
    cut = clean[: whole * length].reshape(whole, length)
    if whole < maximum and 2 * rest >= length:
        cut = np.concatenate([cut, clean[None, -length:]])
    return np.ascontiguousarray(cut[:maximum])
