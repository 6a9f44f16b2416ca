"""A training on disk: what is needed to go on after it was stopped, as one safetensors file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import torch
from safetensors import safe_open
from safetensors.torch import save_file

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from models.training.kinds import Kind
    from models.training.loop import Trainer


def save_checkpoint(path: Path, trainer: Trainer, plan: str, step: int) -> None:
    """Write towers, averages, optimisers and collected gradients after `step` steps of the plan.

    Args:
        path: replaced in one piece, so that a stop while it is written leaves the one before.
        trainer: as it is between two steps.
        plan: says what is trained on; a training with another one does not go on from here.
        step: steps done.
    """
    tensors: dict[str, Tensor] = {}
    for kind, tower in trainer.towers.items():
        tensors |= {f"tower.{kind}.{name}": value for name, value in tower.state_dict().items()}
        tensors |= {f"average.{kind}.{name}": value for name, value in trainer.averages[kind].state_dict().items()}
        for name, parameter in tower.named_parameters():
            for key, value in trainer.optimisers[kind].state.get(parameter, {}).items():
                tensors[f"optimiser.{kind}.{name}/{key}"] = torch.as_tensor(value)
            if parameter.grad is not None:
                tensors[f"gradient.{kind}.{name}"] = parameter.grad
    partial = path.with_suffix(".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"plan": plan, "step": str(step), "done": json.dumps(trainer.done)}
    save_file({name: value.detach().contiguous() for name, value in tensors.items()}, str(partial), metadata)
    partial.replace(path)


@torch.no_grad()
def load_checkpoint(path: Path, trainer: Trainer, plan: str) -> int:
    """Put a checkpoint into the trainer; the steps that were done.

    Raises:
        ValueError: it belongs to another plan.
    """
    with safe_open(str(path), "pt") as file:
        metadata = file.metadata()
        if metadata["plan"] != plan:
            raise ValueError(
                f"{path}: a checkpoint of another training; give the same options, or leave --resume out"
            )
        kept = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    for kind, tower in trainer.towers.items():
        tower.load_state_dict(_part(kept, f"tower.{kind}."))
        trainer.averages[kind].load_state_dict(_part(kept, f"average.{kind}."))
        _load_optimiser(trainer, kind, tower, kept)
        for name, value in _part(kept, f"gradient.{kind}.").items():
            owner = tower.get_parameter(name)
            owner.grad = torch.empty_like(owner).copy_(value)
    trainer.done = json.loads(metadata["done"])
    return int(metadata["step"])


def _load_optimiser(trainer: Trainer, kind: Kind, tower: nn.Module, kept: dict[str, Tensor]) -> None:
    for name, value in _part(kept, f"optimiser.{kind}.").items():
        parameter, _, key = name.rpartition("/")
        owner = tower.get_parameter(parameter)
        # in the parameter's own layout in memory: the fused step goes through both side by side
        laid = value.to(owner.device) if value.shape != owner.shape else torch.empty_like(owner).copy_(value)
        trainer.optimisers[kind].state[owner][key] = laid


def _part(kept: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in kept.items() if name.startswith(prefix)}
