"""How many floating-point operations a graph takes: those of its products and convolutions, by their shapes."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnxruntime

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

PRODUCTS = {"MatMul", "MatMulInteger", "QLinearMatMul"}
ATTENTION = "MultiHeadAttention"
CONVOLUTIONS = {"Conv", "ConvInteger", "QLinearConv"}
WEIGHTS_AT = {"QLinearConv": 3}
"""Where an operator has its weights among its inputs, if not second."""


def count_flops(path: Path, inputs: Mapping[str, NDArray[Any]]) -> int:
    """Operations of one run on these inputs, multiplication and addition as two; runs the graph once, on the CPU.

    The runtime tells the shapes: of the graph as it is written, before kernels are fused. What is made of constants
    alone is made when a graph is opened, and not counted.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.enable_profiling = True
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        session.run(None, dict(inputs))
        events = json.loads(Path(session.end_profiling()).read_text())
    nodes = [event["args"] for event in events if event["name"].endswith("_kernel_time")]
    return sum(_flops(str(node["op_name"]), node) for node in nodes)


def _flops(operator: str, node: dict[str, Any]) -> int:
    if operator not in PRODUCTS | CONVOLUTIONS | {"Gemm", ATTENTION}:
        return 0
    given, [made, *_] = _shapes(node["input_type_shape"]), _shapes(node["output_type_shape"])
    if operator == ATTENTION:  # query (batch, queries, size) with keys, and what comes out of that with values
        return 4 * math.prod(given[0]) * given[1][1]
    if operator in CONVOLUTIONS:
        return 2 * math.prod(made) * math.prod(given[WEIGHTS_AT.get(operator, 1)][1:])
    if operator == "Gemm":
        return 2 * math.prod(made) * (math.prod(given[0]) // made[0])
    return 2 * math.prod(made) * given[0][-1]


def _shapes(told: Sequence[dict[str, list[int]]]) -> list[list[int]]:
    return [shape for one in told for shape in one.values()]
