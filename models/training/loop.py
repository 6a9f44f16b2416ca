"""The training loop: steps of the three towers interleaved, each with its own optimiser and schedule."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from models.training.losses import align, contrast, spread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from models.training.batches import Batch, Batches
    from models.training.kinds import Kind

TEXT_CHUNK = 96
LENGTH_STEP = 16


@dataclass(frozen=True, slots=True)
class Recipe:
    """Optimisation of the towers. Rates are the highest of a cosine schedule with warm-up, by tower."""

    rates: Mapping[Kind, float]
    warm_up: int = 150
    weight_decay: float = 0.03
    betas: tuple[float, float] = (0.9, 0.98)
    clip: float = 2.0
    average_decay: float = 0.998
    spread_weight: float = 2.0
    align_weight: float = 0.15


class Trainer:
    """Towers in training, and the moving averages of their weights, which are what is exported.

    Gradients of the alignment reach the text tower in image and audio steps too; they are kept until its own next
    step, so that they count there with their small weight instead of becoming steps of their own.

    Args:
        towers: changed in place.
        steps: of each tower, for its schedule.
        recipe: of the optimisation.
        device: where towers, averages and optimisers live, in torch's words. Products are in bfloat16 on any.
    """

    def __init__(
        self, towers: Mapping[Kind, nn.Module], steps: Mapping[Kind, int], recipe: Recipe, device: str = "cpu"
    ) -> None:
        self.device = torch.device(device)
        self.towers = {
            kind: tower.to(self.device).to(memory_format=torch.channels_last) for kind, tower in towers.items()
        }
        self.averages = {kind: copy.deepcopy(tower).eval() for kind, tower in towers.items()}
        self.recipe = recipe
        self.done = dict.fromkeys(towers, 0)
        self.optimisers = {kind: _optimiser(towers[kind], recipe.rates[kind], recipe) for kind in towers}
        self.schedules = {kind: _cosine(steps[kind], recipe.warm_up) for kind in towers}
        for tower in self.towers.values():
            tower.train()

    def step(self, batch: Batch) -> dict[str, float]:
        """Train one batch; the parts of its loss."""
        recipe, kind = self.recipe, batch.kind
        first, second = self._embed(kind, batch.first), self._embed(kind, batch.second)
        parts = {"contrast": contrast(first, second), "spread": spread(first, second)}
        loss = parts["contrast"] + recipe.spread_weight * parts["spread"]
        if batch.captions is not None and recipe.align_weight > 0.0:
            parts["align"] = align(self._embed("text", batch.captions), first[batch.described.to(self.device)])
            loss = loss + recipe.align_weight * parts["align"]
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.towers[kind].parameters(), recipe.clip)
        for group in self.optimisers[kind].param_groups:
            group["lr"] = recipe.rates[kind] * self.schedules[kind](self.done[kind])
        self.optimisers[kind].step()
        self.optimisers[kind].zero_grad(set_to_none=True)
        self.done[kind] += 1
        self._average(kind)
        return {name: float(part.detach()) for name, part in parts.items()}

    def _embed(self, kind: Kind, arguments: tuple[Tensor, ...]) -> Tensor:
        tower = self.towers[kind]
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            if kind != "text":
                return torch.as_tensor(tower(*(given.to(self.device) for given in arguments)))
            # texts of like length together: padding costs as much as words do
            ids, mask = arguments
            lengths = mask.sum(dim=1)
            order = lengths.argsort(stable=True)
            chunks = []
            for rows in torch.split(order, TEXT_CHUNK):
                # few different lengths: the kernels and the memory of each shape are kept
                longest = -(-int(lengths[rows].max()) // LENGTH_STEP) * LENGTH_STEP
                chunks.append(tower(ids[rows, :longest].to(self.device), mask[rows, :longest].to(self.device)))
            return torch.cat(chunks)[order.argsort().to(self.device)]

    @torch.no_grad()
    def _average(self, kind: Kind) -> None:
        decay = min(self.recipe.average_decay, self.done[kind] / (self.done[kind] + 10.0))
        average, current = self.averages[kind].state_dict(), self.towers[kind].state_dict()
        for name, value in average.items():
            if value.is_floating_point():
                value.lerp_(current[name], 1.0 - decay)
            else:
                value.copy_(current[name])


def _optimiser(tower: nn.Module, rate: float, recipe: Recipe) -> torch.optim.Optimizer:
    parameters = list(tower.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=rate, betas=recipe.betas, fused=True)


def _cosine(steps: int, most_warm_up: int) -> Callable[[int], float]:
    warm_up = min(most_warm_up, steps // 10 + 1)

    def factor(step: int) -> float:
        if step < warm_up:
            return (step + 1) / warm_up
        rest = (step - warm_up) / max(1, steps - warm_up)
        return 0.5 * (1.0 + math.cos(math.pi * min(rest, 1.0)))

    return factor


def train(
    trainer: Trainer,
    batches: Batches,
    workers: int,
    watch: Callable[[int, Batch, dict[str, float]], bool],
    done: int = 0,
) -> None:
    """Run the steps of the plan.

    Args:
        trainer: towers and optimisers; changed in place.
        batches: one batch a step, loaded in order.
        workers: loading processes; 0 loads in this one.
        watch: told step number, batch and loss parts after every step; the training ends where it returns False.
        done: steps that were done before.
    """
    loader: DataLoader[Batch] = DataLoader(
        batches,
        sampler=range(done, len(batches)),
        batch_size=None,
        shuffle=False,
        num_workers=workers,
        prefetch_factor=3 if workers else None,
        multiprocessing_context="spawn" if workers else None,
    )
    for index, batch in enumerate(loader, done):
        if not watch(index, batch, trainer.step(batch)):
            return
