"""Learned conjunctions: a post matches when its caption and its image and its recording do (a noisy AND).

Each part has a probability of being an altered copy of the exemplar's, and the score is the logarithm of their
product. The probabilities are logistic in the cosine, which is calibrated on altered copies and on strangers; or in
the cosine after a projection of each kind that is learned along with them, a bilinear form of low rank.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from scipy.special import log_expit
from sklearn.linear_model import LogisticRegression

from models.training.kinds import KINDS, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

Pairs: TypeAlias = "dict[Kind, tuple[NDArray[np.float32], NDArray[np.float32]]]"
"""Posts and their exemplars by kind, both (posts, dimension)."""

RANK = 64
STEPS, BATCH, RATE = 400, 512, 2e-3


def fit_probabilities(
    taught: Sequence[tuple[NDArray[np.int64], NDArray[np.float64]]],
    cosines_of: Callable[[Pairs], NDArray[np.float64]],
) -> Callable[[Pairs], NDArray[np.float64]]:
    """The logarithm of the product of three probabilities, each logistic in its cosine.

    Args:
        taught: how many parts each post shares, and its cosines (posts, kinds). Those that share all parts and those
            that share none are what a probability is calibrated on.
        cosines_of: of pairs.
    """
    shared = np.concatenate([one for one, _ in taught])
    cosines = np.concatenate([one for _, one in taught])
    clear = (shared == 0) | (shared == len(KINDS))
    fits = [
        LogisticRegression(C=1e3, class_weight="balanced").fit(cosines[clear, at, None], shared[clear] > 0)
        for at in range(len(KINDS))
    ]
    slopes = np.array([fit.coef_[0, 0] for fit in fits])
    starts = np.array([fit.intercept_[0] for fit in fits])
    return lambda pairs: np.asarray(log_expit(cosines_of(pairs) * slopes + starts).sum(axis=1))


class Projections(torch.nn.Module):
    """A projection, a slope and a start for each kind."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        for kind in KINDS:
            linear = torch.nn.Linear(dimension, RANK, bias=False)
            torch.nn.init.orthogonal_(linear.weight)
            self.add_module(kind, linear)
        self.slopes = torch.nn.Parameter(torch.full((len(KINDS),), 8.0))
        self.starts = torch.nn.Parameter(torch.full((len(KINDS),), -4.0))

    def forward(self, posts: Sequence[torch.Tensor], exemplars: Sequence[torch.Tensor]) -> torch.Tensor:
        """The logarithm of the product of the probabilities, (posts,)."""
        cosines = [
            torch.nn.functional.cosine_similarity(self.get_submodule(kind)(one), self.get_submodule(kind)(two))
            for kind, one, two in zip(KINDS, posts, exemplars, strict=True)
        ]
        logits = torch.stack(cosines, dim=1) * self.slopes + self.starts
        return torch.nn.functional.logsigmoid(logits).sum(dim=1)


def fit_projections(
    taught: Sequence[tuple[NDArray[np.int64], Pairs]], seed: int = 11
) -> Callable[[Pairs], NDArray[np.float64]]:
    """The same after a learned projection, trained on whether posts share all parts."""
    torch.manual_seed(seed)
    whole = torch.from_numpy(np.concatenate([shared == len(KINDS) for shared, _ in taught])).float()
    posts, exemplars = (
        [torch.from_numpy(np.concatenate([pairs[kind][side] for _, pairs in taught])) for kind in KINDS]
        for side in (0, 1)
    )
    model = Projections(posts[0].shape[1])
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=1e-2)
    weights = torch.where(whole > 0, 1.0 / whole.mean(), 1.0)
    for _ in range(STEPS):
        rows = torch.randint(len(whole), (BATCH,))
        told = model([one[rows] for one in posts], [one[rows] for one in exemplars]).clamp(max=-1e-6)
        other = torch.log1p(-told.exp())
        loss = -(weights[rows] * (whole[rows] * told + (1 - whole[rows]) * other)).mean()
        optimiser.zero_grad()
        loss.backward()  # of torch
        optimiser.step()

    def score(pairs: Pairs) -> NDArray[np.float64]:
        with torch.inference_mode():
            sides = ([torch.from_numpy(pairs[kind][side]) for kind in KINDS] for side in (0, 1))
            return np.asarray(model(*sides).numpy(), dtype=np.float64)

    return score
