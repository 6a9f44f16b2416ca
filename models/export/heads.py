"""Into the joint space: what stands between a tower's vector and the bundle's dimension."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from models.export.checkpoint import ExportError

if TYPE_CHECKING:
    from pathlib import Path


class Head(nn.Module):
    """A tower's vectors (batch, width) -> unit vectors (batch, dimension).

    Attributes:
        told: what it does, in words.
    """

    def __init__(self, width: int, dimension: int, weight: torch.Tensor | None, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.missing = dimension - width
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        self.weight: torch.Tensor | None
        self.bias: torch.Tensor | None
        self.told = "as it is" if self.missing == 0 else f"filled with {self.missing} zeros"

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """As the class says."""
        rows = nn.functional.normalize(rows, dim=1)
        if self.weight is not None:
            return nn.functional.normalize(nn.functional.linear(rows, self.weight, self.bias), dim=1)
        return nn.functional.pad(rows, (0, self.missing)) if self.missing else rows


def head_for(width: int, dimension: int, seed: int, file: Path | None = None) -> Head:
    """The head of a tower: from a file that was trained, or what changes similarities least.

    Zeros behind a smaller vector leave every cosine as it is. A larger one is projected onto a random orthonormal
    basis, which keeps cosines on average.

    Args:
        file: safetensors with `weight` (dimension, width) and perhaps `bias` (dimension,).

    Raises:
        ExportError: the file does not fit.
    """
    if file is not None:
        return _from_file(width, dimension, file)
    if width <= dimension:
        return Head(width, dimension, None, None)
    drawn = torch.randn(width, dimension, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    head = Head(width, dimension, torch.linalg.qr(drawn).Q.T.float().contiguous(), None)
    head.told = f"projected from {width} at random"
    return head


def _from_file(width: int, dimension: int, file: Path) -> Head:
    try:
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise ExportError(f"{file}: not a safetensors file: {error}") from error
    weight, bias = tensors.get("weight"), tensors.get("bias")
    if weight is None or tuple(weight.shape) != (dimension, width):
        found = None if weight is None else list(weight.shape)
        raise ExportError(f"{file}: weight must be [{dimension}, {width}], is {found}")
    head = Head(width, dimension, weight.float(), None if bias is None else bias.float())
    head.told = f"projected by {file.name}"
    return head
