"""How heads are trained."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

import msgspec

Positive = Annotated[int, msgspec.Meta(gt=0)]
Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]


class HeadsError(ValueError):
    """Heads that cannot be trained like this; the message says why and what to do."""


class HeadRecipe(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that the result depends on, besides the posts.

    Attributes:
        dimension: of the joint space; None keeps the bundle's.
        loss: `contrastive`, InfoNCE over the batch, or `sigmoid`, every pair by itself.
        epochs: at most.
        patience: epochs without a better validation loss before it stops.
        batch: posts of a step.
        rate: highest learning rate of a cosine schedule.
        modality_dropout: chance that a part is left out where whole posts are compared.
        hard: share of a batch that are the posts most like the others.
        align, consistency, whole: weights of the loss between the parts of a post, between copies of one part, and
            between copies of whole posts of which parts are left out.
        anchor: weight of the squared distance to the first heads, which change no similarity.
        validation, calibration: shares of the posts that are kept for these.
    """

    seed: Annotated[int, msgspec.Meta(ge=0)] = 0
    dimension: Positive | None = None
    loss: Literal["contrastive", "sigmoid"] = "contrastive"
    epochs: Positive = 60
    patience: Positive = 8
    batch: Annotated[int, msgspec.Meta(ge=4)] = 256
    rate: Annotated[float, msgspec.Meta(gt=0)] = 2e-3
    modality_dropout: Share = 0.3
    hard: Share = 0.5
    align: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    consistency: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    whole: Annotated[float, msgspec.Meta(ge=0)] = 0.5
    anchor: Annotated[float, msgspec.Meta(ge=0)] = 0.02
    validation: Annotated[float, msgspec.Meta(gt=0, lt=0.5)] = 0.15
    calibration: Annotated[float, msgspec.Meta(gt=0, lt=0.5)] = 0.25

    @property
    def digest(self) -> str:
        """Changes with any of it."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()
