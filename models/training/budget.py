"""How much is generated and trained for a budget of minutes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from models.training.towers import TowerSizes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.training.kinds import Kind


@dataclass(frozen=True, slots=True)
class Budget:
    """Amounts of everything in one training.

    Attributes:
        sizes: of the towers.
        images: generated originals in the pool of images.
        sounds: generated originals in the pool of sounds.
        captions: captions that the tokenizer learns from.
        steps: training steps of each tower.
        originals: batch size of each tower, in originals; each is seen twice.
        sides: shares of the image steps and the side of their images, from the first to the last.
        described: originals of an image or audio batch that get a caption.
        validated: generated originals of each kind that the validation curve asks for.
        posts: synthetic originals used for thresholds, and as many for the quality that is reported.
    """

    sizes: TowerSizes = field(default_factory=TowerSizes)
    images: int = 40_000
    sounds: int = 16_000
    captions: int = 60_000
    steps: Mapping[Kind, int] = field(default_factory=lambda: {"text": 68, "image": 737, "audio": 416})
    originals: Mapping[Kind, int] = field(default_factory=lambda: {"text": 256, "image": 160, "audio": 96})
    sides: tuple[tuple[float, int], ...] = ((0.45, 64), (0.37, 80), (0.18, 96))
    described: int = 32
    validated: int = 200
    posts: int = 1600


FULL_MINUTES = 35.0
"""What the default budget takes on two free cores that know bfloat16."""


def budget_for(minutes: float) -> Budget:
    """The default budget scaled to about so many minutes.

    Raises:
        ValueError: below half a minute nothing useful can be trained.
    """
    if minutes < 0.5:
        raise ValueError(f"{minutes} minutes are too few to train anything; give at least 0.5")
    full, share = Budget(), minutes / FULL_MINUTES
    if share >= 1.0:
        return Budget(steps={kind: round(steps * share) for kind, steps in full.steps.items()})
    return Budget(
        images=max(round(full.images * share), 960),
        sounds=max(round(full.sounds * share), 640),
        captions=max(round(full.captions * share), 5_000),
        steps={kind: max(round(steps * share), 4) for kind, steps in full.steps.items()},
        posts=max(round(full.posts * share), 100),
    )
