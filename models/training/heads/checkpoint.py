"""Where a training stands, as one safetensors file, so that it can go on from there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from models.training.heads.recipe import HeadsError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

FILE = "checkpoint.safetensors"


class Standing(msgspec.Struct, kw_only=True):
    """What is known besides tensors.

    Attributes:
        recipe, data: digests of what the training was begun with.
        epoch: the last that is finished.
        best_epoch, best_loss: of the lowest validation loss.
        history: one row an epoch, for the curves.
    """

    recipe: str
    data: str
    epoch: int
    best_epoch: int
    best_loss: float
    history: list[dict[str, float]]


class CheckpointError(HeadsError):
    """A checkpoint that does not belong to this training; the message says what to do."""


def save_checkpoint(
    folder: Path, standing: Standing, now: dict[str, Tensor], best: dict[str, Tensor], optimiser: dict[str, Any]
) -> None:
    """Write it beside the one before, and put it in its place."""
    tensors = {f"now.{name}": value for name, value in now.items()}
    tensors |= {f"best.{name}": value for name, value in best.items()}
    for number, state in optimiser["state"].items():
        tensors |= {f"optimiser.{number}.{name}": torch.as_tensor(value) for name, value in state.items()}
    kept = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    written = folder / f"{FILE}.new"
    save_file(kept, str(written), metadata={"standing": msgspec.json.encode(standing).decode()})
    written.replace(folder / FILE)


def load_checkpoint(
    folder: Path, recipe: str, data: str
) -> tuple[Standing, dict[str, Tensor], dict[str, Tensor], dict[int, dict[str, Tensor]]]:
    """What `save_checkpoint` wrote: where it stands, its tensors of now and of the best, and those of the optimiser.

    Raises:
        CheckpointError: there is none, it cannot be read, or it is of other options or other posts.
    """
    path = folder / FILE
    if not path.is_file():
        raise CheckpointError(f"{path}: no checkpoint there; run without --resume to begin")
    try:
        with safe_open(str(path), framework="pt") as file:
            standing = msgspec.json.decode((file.metadata() or {}).get("standing", ""), type=Standing)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
    except (SafetensorError, OSError, msgspec.DecodeError) as error:
        raise CheckpointError(f"{path}: not a checkpoint of heads: {error}; run without --resume") from error
    for what, expected, found in (("options", recipe, standing.recipe), ("posts", data, standing.data)):
        if expected != found:
            raise CheckpointError(f"{path}: begun with other {what}; repeat those, or run without --resume")
    parts: dict[str, dict[str, Tensor]] = {"now": {}, "best": {}}
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        part, _, rest = name.partition(".")
        if part == "optimiser":
            number, _, field = rest.partition(".")
            state.setdefault(int(number), {})[field] = value
        else:
            parts[part][rest] = value
    return standing, parts["now"], parts["best"], state
