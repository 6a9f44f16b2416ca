"""Weights of a finished bundle back in networks that can be trained on.

An exported graph has its batch normalisations folded into the convolutions before them and its linear layers
transposed and unnamed. Both are undone here: the tower computes what the graph computes, in training mode too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

import onnx
from models.export.graphs import measure_parity
from models.training.towers import TextTower
from onnx import numpy_helper

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from models.training.bundle_writer import Inputs
    from models.training.kinds import Kind

_BIAS_OF_FOLDED = ".weight_bias"


def start_from(
    folder: Path, towers: Mapping[Kind, nn.Module], samples: Mapping[Kind, Inputs], *, training: bool = True
) -> dict[str, float]:
    """Put the weights of the bundle in `folder` into `towers`.

    Args:
        folder: of the bundle; only its graphs are read.
        towers: of the bundle's widths; changed in place.
        samples: batches of each kind's inputs; the statistics of the batch normalisations come from the first.
        training: the towers are to be trained. Without, their convolutions have the weights of the graphs to the bit.

    Returns:
        The largest |1 - cosine| between each tower and its graph on the samples.

    Raises:
        ValueError: a graph has other weights than its tower.
        ParityError: the tower does not compute what the graph computes.
    """
    parity = {}
    for kind, tower in towers.items():
        path = folder / f"{kind}.onnx"
        graph = onnx.load(path).graph
        found = {one.name: torch.from_numpy(numpy_helper.to_array(one).copy()) for one in graph.initializer}
        if isinstance(tower, TextTower):
            found |= _linear_weights(graph, found)
            _load(tower, found, path)
        else:
            _load(tower, found | _plain_norms(tower, found), path)
            if training:
                _restore_statistics(tower.eval(), samples[kind][0])
        parity[kind] = measure_parity(tower.eval(), kind, path, samples[kind])
    return parity


def _load(tower: nn.Module, found: Mapping[str, Tensor], path: Path) -> None:
    state = tower.state_dict()
    absent = [name for name in state if name not in found and not name.endswith("num_batches_tracked")]
    other = [name for name in state if name in found and found[name].shape != state[name].shape]
    if absent or other:
        raise ValueError(f"{path}: not the weights of this network: {', '.join((absent + other)[:3])}")
    tower.load_state_dict({name: found.get(name, value) for name, value in state.items()})


def _linear_weights(graph: onnx.GraphProto, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The matrices of linear layers by the name of the bias that is added to their product."""
    products = {node.output[0]: node.input[1] for node in graph.node if node.op_type == "MatMul"}
    weights = {}
    for node in graph.node:
        if node.op_type != "Add":
            continue
        for product, bias in (tuple(node.input), tuple(node.input)[::-1]):
            if bias.endswith(".bias") and products.get(product) in found:
                weights[bias.removesuffix("bias") + "weight"] = found[products[product]].T.contiguous()
    return weights


def _norm_of(convolution: str) -> str:
    """The name of the batch normalisation after a convolution: the next of a sequence, or <name>_norm in a block."""
    parent, _, last = convolution.rpartition(".")
    return f"{parent}.{int(last) + 1}" if last.isdigit() else f"{convolution}_norm"


def _convolutions(tower: nn.Module) -> dict[str, nn.Conv2d]:
    return {name: module for name, module in tower.named_modules() if isinstance(module, nn.Conv2d)}


def _plain_norms(tower: nn.Module, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Normalisations that only add the bias which was folded into the convolution."""
    made: dict[str, Tensor] = {}
    for name in _convolutions(tower):
        bias, norm = found.get(name + _BIAS_OF_FOLDED), tower.get_submodule(_norm_of(name))
        if bias is None or not isinstance(norm, nn.BatchNorm2d):
            continue
        ones = torch.ones_like(bias)
        made |= {
            f"{_norm_of(name)}.weight": ones,
            f"{_norm_of(name)}.bias": bias,
            f"{_norm_of(name)}.running_mean": torch.zeros_like(bias),
            f"{_norm_of(name)}.running_var": ones - norm.eps,
        }
    return made


@torch.no_grad()
def _restore_statistics(tower: nn.Module, sample: tuple[np.ndarray, ...]) -> None:
    """Give the normalisations the mean and variance that their inputs have, and convolutions rows of length 1.

    What the tower computes stays the same; without this the first step in training mode would undo the weights.
    """
    seen: dict[str, tuple[Tensor, Tensor]] = {}
    handles = [
        module.register_forward_hook(
            lambda _, __, output, name=name: seen.__setitem__(
                name, (output.mean(dim=(0, 2, 3)), output.var(dim=(0, 2, 3), correction=0))
            )
        )
        for name, module in _convolutions(tower).items()
    ]
    tower(*(torch.from_numpy(np.ascontiguousarray(array)) for array in sample))
    for handle in handles:
        handle.remove()
    for name, convolution in _convolutions(tower).items():
        norm = tower.get_submodule(_norm_of(name))
        if not isinstance(norm, nn.BatchNorm2d) or norm.running_mean is None or norm.running_var is None:
            continue
        mean, variance = seen[name]
        length = convolution.weight.flatten(1).norm(dim=1).clamp(min=1e-6)
        convolution.weight.div_(length[:, None, None, None])
        norm.running_mean.copy_(mean / length)
        norm.running_var.copy_(variance / length.square())
        norm.weight.copy_((norm.running_var + norm.eps).sqrt() * length)
        norm.bias.add_(mean)
