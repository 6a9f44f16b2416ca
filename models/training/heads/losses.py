"""What heads are trained to do: things that belong together nearer than any two that do not."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def contrastive(first: Tensor, second: Tensor, same: Tensor, scale: Tensor, _offset: Tensor) -> Tensor:
    """Symmetric InfoNCE: row i of one side belongs to row i of the other.

    Args:
        first, second: (n, d) unit rows, n at least 2.
        same: bool (n, n), pairs that show one thing: besides the pair itself they are no negatives.
        scale: cosines are multiplied by it.

    Returns:
        A scalar.
    """
    own = torch.eye(len(first), dtype=torch.bool, device=first.device)
    logits = (scale * (first @ second.T)).masked_fill(same & ~own, float("-inf"))
    partner = torch.arange(len(first), device=first.device)
    return (functional.cross_entropy(logits, partner) + functional.cross_entropy(logits.T, partner)) / 2.0


def sigmoid(first: Tensor, second: Tensor, same: Tensor, scale: Tensor, offset: Tensor) -> Tensor:
    """SigLIP's: is this pair one, asked of every pair by itself; takes and gives what `contrastive` does.

    Args:
        first, second, same, scale: as there.
        offset: added to the scaled cosines: most pairs are none.
    """
    own = torch.eye(len(first), dtype=torch.bool, device=first.device)
    logits = scale * (first @ second.T) + offset
    told = functional.logsigmoid(torch.where(own, logits, -logits))
    return -told.masked_fill(same & ~own, 0.0).sum() / len(first)


LOSSES = {"contrastive": contrastive, "sigmoid": sigmoid}
