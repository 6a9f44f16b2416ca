"""What comes before the network and belongs into the graph: normalising of pixels, and log-mel spectrograms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Log = Literal["log", "log10", "dB"]


class Pixels(nn.Module):
    """uint8 (batch, height, width, 3) -> float32 (batch, 3, height, width), scaled and normalised."""

    def __init__(self, scale: float, mean: Sequence[float], deviation: Sequence[float]) -> None:
        super().__init__()
        self.scale = scale
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("deviation", torch.tensor(deviation, dtype=torch.float32))
        self.mean: torch.Tensor
        self.deviation: torch.Tensor

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """As the class says."""
        return self.rows(pixels.float()).permute(0, 3, 1, 2)

    def rows(self, numbers: torch.Tensor) -> torch.Tensor:
        """The same of numbers whose last axis is the colour."""
        return (numbers * self.scale - self.mean) / self.deviation


class Spectrogram(nn.Module):
    """float32 (batch, samples) -> log-mel (batch, frames, bands), the transform as one fixed convolution.

    Everything that is done to a frame before its transform is linear, so it is in the kernel.

    Args:
        shaping: float64 (frame, frame): what a frame is multiplied with before its transform.
        length: of the transform; the frame is filled with zeros up to it.
        hop: samples between frames.
        filters: (length // 2 + 1, bands).
        centred: the first frame's middle is the first sample; the signal is mirrored at both ends for that.
        floor: least power of a band.
    """

    def __init__(
        self,
        shaping: NDArray[np.float64],
        *,
        length: int,
        hop: int,
        filters: NDArray[np.floating],
        centred: bool,
        floor: float,
        log: Log,
    ) -> None:
        super().__init__()
        frame = len(shaping)
        angles = 2 * np.pi * np.outer(np.arange(length // 2 + 1), np.arange(frame)) / length
        kernel = np.concatenate([np.cos(angles), -np.sin(angles)]) @ shaping
        self.register_buffer("kernel", torch.from_numpy(kernel[:, None].astype(np.float32)))
        self.register_buffer("filters", torch.from_numpy(np.asarray(filters, dtype=np.float32)))
        self.kernel: torch.Tensor
        self.filters: torch.Tensor
        self.hop, self.centred, self.floor, self.log, self.frame = hop, centred, floor, log, frame

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        """As the class says."""
        signal = waveform[:, None]
        if self.centred:
            signal = nn.functional.pad(signal, (self.frame // 2, self.frame // 2), mode="reflect")
        cosines, sines = nn.functional.conv1d(signal, self.kernel, stride=self.hop).chunk(2, dim=1)
        power = (cosines.square() + sines.square()).transpose(1, 2) @ self.filters
        logarithm = power.clamp(min=self.floor)
        if self.log == "log":
            return logarithm.log()
        return logarithm.log10() * (10.0 if self.log == "dB" else 1.0)


def windowed(window: NDArray[np.floating]) -> NDArray[np.float64]:
    """The shaping that only multiplies with a window."""
    return np.diag(np.asarray(window, dtype=np.float64))


def kaldi(window: NDArray[np.floating], preemphasis: float) -> NDArray[np.float64]:
    """Kaldi's shaping: the mean taken off, each sample less a part of the one before, the window."""
    size = len(window)
    centring = np.eye(size) - 1 / size
    differences = np.eye(size) - preemphasis * np.eye(size, k=-1)
    differences[0, 0] -= preemphasis
    return windowed(window) @ differences @ centring
