"""Variants of a graph: half precision with overflow looked for block by block, and calibrated int8."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

import onnx
from models.export.checkpoint import ExportError
from models.export.session import session_of
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from models.export.towers import Tower

VARIANTS = ("fp32", "fp16", "bf16", "int8")
LIMITS = {"fp32": 1e-5, "fp16": 1e-3, "bf16": 1e-3, "int8": 1e-2}
"""The largest |1 - cosine| to transformers that a variant may have."""

LARGEST_FP16 = 65504.0
HEADROOM = 4.0
"""Other inputs may be this much larger than those that were looked at."""

_QUANTIZED = ("MatMul", "Gemm", "Conv")
_SPARED_SHARES = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5)
"""Of the products, those that stay in float32, until the limit is kept."""

HALF = {"fp16": torch.float16, "bf16": torch.bfloat16}


def largest_by_block(network: nn.Module, batches: Sequence[tuple[torch.Tensor, ...]]) -> dict[str, float]:
    """The largest magnitude that any part of each block gives; what is in no block counts as `outside`."""
    found: dict[str, float] = {}
    body = network.get_submodule("body")
    hooks = []

    def watch(block: str) -> Any:
        def look(_module: nn.Module, _given: Any, result: Any) -> None:
            tensors = result if isinstance(result, tuple) else (result,)
            for tensor in tensors:
                if isinstance(tensor, torch.Tensor) and tensor.is_floating_point() and tensor.numel():
                    found[block] = max(found.get(block, 0.0), float(tensor.abs().max()))

        return look

    for name, module in body.named_modules():
        hooks.append(module.register_forward_hook(watch(_block_of(name))))
    try:
        with torch.no_grad():
            for batch in batches:
                network(*batch)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _block_of(name: str) -> str:
    """`encoder.layer.3.output.dense` -> `encoder.layer.3`."""
    words = name.split(".")
    numbers = [place for place, word in enumerate(words) if word.isdigit()]
    return ".".join(words[: numbers[0] + 1]) if numbers else "outside"


def to_half(tower: Tower, variant: str, batches: Sequence[tuple[torch.Tensor, ...]]) -> None:
    """Bring the tower's body to float16 or bfloat16, in place.

    Raises:
        ExportError: a block gives numbers that float16 does not hold.
    """
    if variant == "fp16":
        found = largest_by_block(tower.network, batches)
        over = [f"{block} ({value:.3g})" for block, value in found.items() if not value * HEADROOM <= LARGEST_FP16]
        if over:
            raise ExportError(
                f"{tower.family}: too large for fp16, which ends at {LARGEST_FP16:.0f} (a factor of {HEADROOM:g} is "
                f"kept): {', '.join(over)}; take bf16"
            )
    tower.network.get_submodule("body").to(HALF[variant])


class _Reader:
    """Batches of inputs for onnxruntime's calibration."""

    def __init__(self, batches: Sequence[dict[str, NDArray[np.generic]]]) -> None:
        self._left: Iterator[dict[str, NDArray[np.generic]]] = iter(batches)

    def get_next(self) -> dict[str, NDArray[np.generic]] | None:
        """One batch, None after the last."""
        return next(self._left, None)


def to_int8(path: Path, batches: Sequence[dict[str, NDArray[np.generic]]], measure: Callable[[], float]) -> str:
    """Quantize the products with weights of the graph in `path`, in place; their inputs' ranges are measured.

    Products of the preprocessing stay: a spectrogram's range is far beyond 8 bits. Where the vectors differ too much
    from transformers', the products whose inputs lose most by 8 bits stay in float32 too, more of them each time.

    Args:
        batches: real inputs of the graph.
        measure: the parity of what stands in `path` now.

    Returns:
        How many of the products are in 8 bits, in words.
    """
    model = onnx.load(path)
    weights = {weight.name for weight in model.graph.initializer}
    spared: list[onnx.NodeProto] = []
    losing: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.op_type not in _QUANTIZED or not weights & set(node.input):
            continue
        front = any(name.startswith("network.front") for name in node.input)
        (spared if front else losing).append(node)
    if not losing:
        raise ExportError(f"{path.name}: no product with weights to quantize")
    losses, largest = _observe(model, losing, batches)
    names = sorted((node.name for node in losing), key=losses.__getitem__, reverse=True)
    kept = [node.name for node in spared]
    with tempfile.TemporaryDirectory(prefix="shoal-int8-") as folder:
        whole = Path(folder) / "whole.onnx"
        smooth(model, losing, largest)
        onnx.save_model(model, str(whole))
        for share in _SPARED_SHARES:
            count = int(share * len(names))
            _quantize(whole, path, batches, kept + names[:count])
            if measure() <= LIMITS["int8"]:
                break
    return f"{len(names) - count} of {len(names)} products in 8 bits"


def _quantize(
    whole: Path, path: Path, batches: Sequence[dict[str, NDArray[np.generic]]], spared: Sequence[str]
) -> None:
    from onnxruntime.quantization import (  # noqa: PLC0415  # slow to import, and only wanted here
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    CalibrationDataReader.register(_Reader)
    quantize_static(
        str(whole),
        str(path),
        _Reader(batches),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=list(_QUANTIZED),
        nodes_to_exclude=list(spared),
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        # results stay in float32: what is added to them next would be lost in 8 bits
        extra_options={"MatMulConstBOnly": True, "OpTypesToExcludeOutputQuantization": list(_QUANTIZED)},
    )


def _observe(
    model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], batches: Sequence[dict[str, NDArray[np.generic]]]
) -> tuple[dict[str, float], dict[str, NDArray[np.float32]]]:
    """What the inputs of products are like.

    Returns:
        By node, how much of its input's energy is lost where that has 256 steps between its least and largest; and by
        the name of a value, the largest magnitude in each place of its last axis.
    """
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    given = {value.name for value in (*model.graph.input, *model.graph.output)}
    wanted = sorted({node.input[0] for node in nodes} - given)
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
    session = session_of(watched.SerializeToString())
    lost: dict[str, float] = dict.fromkeys(wanted, 0.0)
    largest: dict[str, NDArray[np.float32]] = {}
    for batch in batches:
        for name, numbers in zip(wanted, session.run(wanted, batch), strict=True):
            step = max((numbers.max() - numbers.min()) / 255, 1e-12)
            rest = numbers - np.round(numbers / step) * step
            energy = float(np.square(numbers, dtype=np.float64).mean())
            lost[name] += float(np.square(rest, dtype=np.float64).mean()) / max(energy, 1e-12)
            found = np.abs(numbers).reshape(-1, numbers.shape[-1]).max(axis=0)
            largest[name] = np.maximum(largest.get(name, 0.0), found)
    return {node.name: lost.get(node.input[0], 0.0) for node in nodes}, largest


def smooth(
    model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], largest: Mapping[str, NDArray[np.float32]]
) -> None:
    """Even out the channels of what is multiplied with weights (SmoothQuant): the product stays the same.

    A few channels of a transformer are a hundred times larger than the others, and would leave these no steps of the
    256. Each channel is divided by a factor, and the weights' row multiplied with it: half of the difference goes
    into the weights, which have a scale of their own for every column.
    """
    weights = {weight.name: weight for weight in model.graph.initializer}
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in nodes:
        shared = sum(node.input[1] in other.input for other in model.graph.node) > 1
        if node.op_type == "MatMul" and node.input[0] in largest and node.input[1] in weights and not shared:
            users.setdefault(node.input[0], []).append(node)
    before: dict[str, onnx.NodeProto] = {}
    for name, products in users.items():
        rows = [numpy_helper.to_array(weights[node.input[1]]) for node in products]
        wide = np.max([np.abs(matrix).max(axis=1) for matrix in rows], axis=0)
        factor = np.sqrt(np.maximum(largest[name], 1e-5) / np.maximum(wide, 1e-5)).astype(np.float32)
        even, divisor = f"{name}.even", f"{name}.even.factor"
        for node, matrix in zip(products, rows, strict=True):
            weights[node.input[1]].CopyFrom(numpy_helper.from_array(matrix * factor[:, None], node.input[1]))
            node.input[0] = even
        model.graph.initializer.append(numpy_helper.from_array(np.float32(1) / factor, divisor))
        before[products[0].name] = helper.make_node("Mul", [name, divisor], [even], f"{even}.mul")
    ordered = [
        each for node in model.graph.node for each in ([before[node.name]] if node.name in before else []) + [node]
    ]
    del model.graph.node[:]
    model.graph.node.extend(ordered)


def emulated_bf16(path: Path, target: Path) -> None:
    """Write a float32 graph that rounds after every operator as the bfloat16 graph in `path` does.

    onnxruntime has no bfloat16 on the CPU; so its parity can be measured where there is no GPU.
    """
    model = onnx.load(path)
    graph = model.graph
    half = {
        value.name
        for value in (*graph.value_info, *graph.output, *graph.input)
        if value.type.tensor_type.elem_type == TensorProto.BFLOAT16
    }
    for weight in graph.initializer:
        if weight.data_type == TensorProto.BFLOAT16:
            half.add(weight.name)
            weight.CopyFrom(numpy_helper.from_array(_widened(weight), weight.name))
    nodes = []
    for node in graph.node:
        _widen_attributes(node)
        cast = node.op_type == "Cast" and node.attribute[0].i == TensorProto.BFLOAT16
        if cast:
            node.attribute[0].i = TensorProto.FLOAT
        nodes.append(node)
        for place, name in enumerate(node.output):
            if name in half or cast:
                exact, rounded = f"{name}.exact", f"{name}.bfloat16"
                node.output[place] = exact
                nodes.append(helper.make_node("Cast", [exact], [rounded], to=TensorProto.BFLOAT16))
                nodes.append(helper.make_node("Cast", [rounded], [name], to=TensorProto.FLOAT))
    for value in graph.value_info:
        if value.type.tensor_type.elem_type == TensorProto.BFLOAT16:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save_model(model, str(target))


def _widened(weight: onnx.TensorProto) -> NDArray[np.float32]:
    return np.asarray(numpy_helper.to_array(weight), dtype=np.float32)


def _widen_attributes(node: onnx.NodeProto) -> None:
    for attribute in node.attribute:
        if attribute.HasField("t") and attribute.t.data_type == TensorProto.BFLOAT16:
            attribute.t.CopyFrom(numpy_helper.from_array(_widened(attribute.t), attribute.t.name))
