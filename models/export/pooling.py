"""From the vectors of tokens to the vector of a text, as sentence-transformers stores it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file
from torch import nn

from models.export.checkpoint import MODULES, Checkpoint, ExportError, read_json

if TYPE_CHECKING:
    from pathlib import Path

MODES = ("cls", "mean", "max", "mean_sqrt_len", "weightedmean", "last")
_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "last",
}
_ACTIVATIONS = {"Identity": nn.Identity, "Tanh": nn.Tanh, "ReLU": nn.ReLU, "GELU": nn.GELU, "Sigmoid": nn.Sigmoid}


class Pooling(nn.Module):
    """(batch, tokens, width) and which of the tokens count -> (batch, width of all modes together), float32."""

    def __init__(self, modes: tuple[str, ...]) -> None:
        super().__init__()
        self.modes = modes

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Sums are formed in float32: in float16 those of long texts would overflow."""
        tokens = tokens.float()
        counted = mask.unsqueeze(-1).to(tokens.dtype)
        return torch.cat([self._pooled(mode, tokens, mask, counted) for mode in self.modes], dim=1)

    @staticmethod
    def _pooled(mode: str, tokens: torch.Tensor, mask: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
        if mode == "cls":
            return tokens[:, 0]
        if mode == "last":
            last = (mask.sum(dim=1) - 1).clamp(min=0)
            return tokens.gather(1, last[:, None, None].expand(-1, 1, tokens.shape[2])).squeeze(1)
        if mode == "max":
            return tokens.masked_fill(counted == 0, -1e9).amax(dim=1)
        weights = counted * counted.cumsum(dim=1) if mode == "weightedmean" else counted
        total = weights.sum(dim=1).clamp(min=1e-9)
        summed = (tokens * weights).sum(dim=1)
        return summed / (total.sqrt() if mode == "mean_sqrt_len" else total)


class Dense(nn.Module):
    """A layer of sentence-transformers after the pooling."""

    def __init__(self, linear: nn.Linear, activation: nn.Module) -> None:
        super().__init__()
        self.linear, self.activation = linear, activation

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """(batch, in) -> (batch, out)."""
        result: torch.Tensor = self.activation(self.linear(rows))
        return result


def pooling_of(checkpoint: Checkpoint, chosen: str | None) -> tuple[nn.Sequential, Pooling, str]:
    """The layers after the pooling, the pooling, and its name.

    Args:
        chosen: what the user wants where the checkpoint says nothing.

    Raises:
        ExportError: neither says how to pool, or the checkpoint has modules that are not known.
    """
    pooling, after = None, nn.Sequential()
    for module in read_json(checkpoint.root / MODULES) or []:
        kind, folder = str(module.get("type", "")).rpartition(".")[2], checkpoint.root / module.get("path", "")
        if kind == "Pooling":
            pooling = Pooling(_modes(folder))
        elif kind == "Dense":
            after.append(_dense(folder))
        elif kind not in {"Transformer", "Normalize", "Dropout"}:
            raise ExportError(
                f"{folder}: {kind} is not known; known: Transformer, Pooling, Dense, Normalize, Dropout"
            )
    if pooling is None and chosen is None:
        raise ExportError(
            f"{checkpoint.root}: nothing says how the vectors of tokens become one (no {MODULES} with a Pooling, as "
            f"sentence-transformers writes it); give pooling: {', '.join(MODES)}"
        )
    if pooling is None:
        if chosen not in MODES:
            raise ExportError(f"pooling {chosen!r} is not known; known: {', '.join(MODES)}")
        pooling = Pooling((str(chosen),))
    elif chosen is not None and pooling.modes != (chosen,):
        raise ExportError(f"{checkpoint.root}: pools by {'+'.join(pooling.modes)}; leave pooling out")
    return after, pooling, "+".join(pooling.modes)


def _modes(folder: Path) -> tuple[str, ...]:
    config = read_json(folder / "config.json") or {}
    named = config.get("pooling_mode")
    if named is not None:
        modes = tuple([named] if isinstance(named, str) else named)
        modes = tuple("last" if mode == "lasttoken" else mode for mode in modes)
    else:
        modes = tuple(mode for flag, mode in _FLAGS.items() if config.get(flag))
    unknown = [mode for mode in modes if mode not in MODES]
    if unknown or not modes:
        raise ExportError(f"{folder}: pools by {unknown or 'nothing'}; known: {', '.join(MODES)}")
    return modes


def _dense(folder: Path) -> Dense:
    config = read_json(folder / "config.json") or {}
    path = folder / "model.safetensors"
    if not path.is_file():
        raise ExportError(f"{path}: missing; a Dense layer is read from safetensors")
    activation = str(config.get("activation_function", "Identity")).rpartition(".")[2]
    if activation not in _ACTIVATIONS:
        raise ExportError(f"{folder}: activation {activation} is not known; known: {', '.join(_ACTIVATIONS)}")
    linear = nn.Linear(config["in_features"], config["out_features"], bias=config.get("bias", True))
    linear.load_state_dict({name.removeprefix("linear."): value for name, value in load_file(path).items()})
    return Dense(linear, _ACTIVATIONS[activation]())
