"""What the towers are trained to do, as functions of unit vectors."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

TEMPERATURE = 0.05
ALIGNMENT_TEMPERATURE = 0.1


def contrast(first: Tensor, second: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """InfoNCE over two views of the same originals: every other view in the batch is a negative.

    Args:
        first: (n, d) unit rows.
        second: (n, d) unit rows; row i shows the same original as `first[i]`.
        temperature: cosines are divided by it.

    Returns:
        The mean cross-entropy, a scalar.
    """
    count = len(first)
    views = torch.cat([first, second])
    logits = views @ views.T / temperature
    logits = logits.masked_fill(torch.eye(2 * count, dtype=torch.bool, device=logits.device), float("-inf"))
    partner = torch.arange(2 * count, device=logits.device).roll(count)
    return functional.cross_entropy(logits, partner)


def spread(first: Tensor, second: Tensor) -> Tensor:
    """KoLeo: minus the mean log distance of each view to the nearest view of another original.

    It spreads the vectors evenly over the sphere, so that one threshold fits everywhere.

    Args:
        first: (n, d) unit rows, n at least 2.
        second: (n, d) unit rows of the same originals.
    """
    count = len(first)
    views = torch.cat([first, second])
    cosines = views @ views.T
    same = torch.eye(count, dtype=torch.bool, device=views.device).repeat(2, 2)
    nearest = cosines.masked_fill(same, -2.0).amax(dim=1)
    return -(2.0 - 2.0 * nearest).clamp(min=1e-6).sqrt().log().mean()


def align(captions: Tensor, others: Tensor, temperature: float = ALIGNMENT_TEMPERATURE) -> Tensor:
    """Symmetric InfoNCE between captions and what they describe, in either direction.

    Args:
        captions: (n, d) unit rows.
        others: (n, d) unit rows; row i is described by `captions[i]`.
        temperature: softer than that of `contrast`: several captions fit one image.
    """
    logits = captions @ others.T / temperature
    partner = torch.arange(len(captions), device=logits.device)
    return (functional.cross_entropy(logits, partner) + functional.cross_entropy(logits.T, partner)) / 2.0
