"""What goes on beside the steps of a training: progress, checkpoints, looks at held-out queries, the early stop."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.training.checkpoint import load_checkpoint, save_checkpoint
from models.training.validation import Point, read_points, stale, validate, write_points

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from models.training.batches import Batch
    from models.training.device import Device
    from models.training.loop import Trainer
    from models.training.validation import Queries

CHECKPOINT = "checkpoint.safetensors"
POINTS = "validation.jsonl"


@dataclass(frozen=True, slots=True)
class Course:
    """How a training runs, apart from what it trains.

    Attributes:
        start: folder of a bundle whose weights and tokenizer are gone on from; None for fresh ones.
        resume: go on from the checkpoint in the work folder, where there is one.
        checkpoint_minutes: between two checkpoints.
        validate_steps: steps between two looks at held-out queries.
        patience: looks without a better recall after which the training ends; 0 runs all steps.
        device: `auto` takes a GPU where there is one. A checkpoint goes on on either.
        workers: processes that make data and batches, and embed what is measured; any number makes the same.
    """

    start: Path | None = None
    resume: bool = False
    checkpoint_minutes: float = 5.0
    validate_steps: int = 200
    patience: int = 0
    device: Device = "auto"
    workers: int = 2


FROM_NOTHING = Course()


class Watch:
    """Told of every step; says whether to go on."""

    def __init__(
        self, trainer: Trainer, queries: Mapping[str, Queries], folder: Path, plan: str, course: Course, steps: int
    ) -> None:
        self.trainer, self.queries, self.folder, self.plan = trainer, queries, folder, plan
        self.course, self.steps = course, steps
        self.advance: Callable[[int, str], None] = lambda *_: None
        self.points: list[Point] = []
        self.losses: dict[str, float] = {}
        self.started = self.saved = time.monotonic()

    def resume(self) -> int:
        """Load the checkpoint and the curve up to it, if that is wanted and there is one; the steps done."""
        path = self.folder / CHECKPOINT
        if not (self.course.resume and path.exists()):
            return 0
        done = load_checkpoint(path, self.trainer, self.plan)
        self.points = [point for point in read_points(self.folder / POINTS) if point.step <= done]
        return done

    def __call__(self, index: int, batch: Batch, parts: dict[str, float]) -> bool:
        """Take note of step `index` and the parts of its loss; whether to go on."""
        for name, part in parts.items():
            key = f"{batch.kind} {name}"
            self.losses[key] = part + 0.95 * (self.losses.get(key, part) - part)
        self.advance(1, ", ".join(f"{name} {value:.2f}" for name, value in sorted(self.losses.items())))
        step = index + 1
        if step % self.course.validate_steps == 0 or step == self.steps:
            self._look(step)
        ends = step == self.steps or stale(self.points, self.course.patience)
        if ends or time.monotonic() - self.saved >= 60.0 * self.course.checkpoint_minutes:
            save_checkpoint(self.folder / CHECKPOINT, self.trainer, self.plan, step)
            self.saved = time.monotonic()
        return not ends

    def _look(self, step: int) -> None:
        losses = {name: round(value, 4) for name, value in self.losses.items()}
        seconds = round(time.monotonic() - self.started, 1)
        self.points.append(
            Point(step, seconds, losses, validate(self.trainer.averages, self.queries, self.trainer.device))
        )
        write_points(self.folder, self.points)
