"""One linear map for each modality, from its tower's vectors into the joint space."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from models.export.heads import head_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

FIRST_SCALE = 14.0
FIRST_OFFSET = -6.0
MOST_SCALE = 100.0


class Heads(nn.Module):
    """Weights and biases by modality, in the order of `names`, and what the losses learn along.

    Attributes:
        scale: log of what cosines are multiplied by: between modalities, and within one.
    """

    def __init__(self, names: tuple[str, ...], starts: list[tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self.names = names
        self.weights = nn.ParameterList([nn.Parameter(weight.clone()) for weight, _ in starts])
        self.biases = nn.ParameterList([nn.Parameter(bias.clone()) for _, bias in starts])
        self.scale = nn.Parameter(torch.full((2,), math.log(FIRST_SCALE)))
        self.offset = nn.Parameter(torch.full((2,), FIRST_OFFSET))
        for number, (weight, bias) in enumerate(starts):
            self.register_buffer(f"first_weight_{number}", weight.clone(), persistent=False)
            self.register_buffer(f"first_bias_{number}", bias.clone(), persistent=False)

    def items(self, name: str, rows: Tensor) -> Tensor:
        """Items of a modality (k, width) -> unit rows (k, dimension): exactly what stands in the graph afterwards."""
        number = self.names.index(name)
        projected = nn.functional.linear(rows, self.weights[number], self.biases[number])
        return nn.functional.normalize(projected.float(), dim=1)

    def forward(self, name: str, rows: Tensor, owner: Tensor, count: int) -> Tensor:
        """Items and the view each belongs to (k,) -> one unit row a view, (count, dimension); zeros without items."""
        unit = self.items(name, rows)
        summed = torch.zeros(count, unit.shape[1], dtype=unit.dtype, device=unit.device).index_add(0, owner, unit)
        return nn.functional.normalize(summed, dim=1)

    def scaled(self, which: int) -> tuple[Tensor, Tensor]:
        """Scale and offset of a loss: 0 between modalities, 1 within one."""
        return self.scale[which].exp().clamp(max=MOST_SCALE), self.offset[which]

    def moved(self) -> Tensor:
        """The squared distance to the first heads, a scalar."""
        total = torch.zeros((), device=self.scale.device)
        for number in range(len(self.names)):
            total = total + (self.weights[number] - getattr(self, f"first_weight_{number}")).square().sum()
            total = total + (self.biases[number] - getattr(self, f"first_bias_{number}")).square().sum()
        return total

    def linear(self, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Weight (dimension, width) and bias (dimension,) of a modality."""
        number = self.names.index(name)
        weight, bias = self.weights[number].detach(), self.biases[number].detach()
        return weight.float().cpu().numpy(), bias.float().cpu().numpy()


def first_heads(means: Mapping[str, NDArray[np.float32]], dimension: int, seed: int) -> Heads:
    """Heads that leave similarities as they are, but for the modality's mean, which they take away.

    Args:
        means: by modality, the mean of its tower's vectors, float32 (width,).
        dimension: of the joint space.
        seed: of the projection of towers that are wider.
    """
    starts = []
    for mean in means.values():
        head = head_for(len(mean), dimension, seed)
        weight = torch.eye(dimension, len(mean)) if head.weight is None else head.weight
        starts.append((weight, -(weight @ torch.from_numpy(np.ascontiguousarray(mean)))))
    return Heads(tuple(means), starts)
