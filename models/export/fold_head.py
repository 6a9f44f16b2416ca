"""A head into a tower's graph: one more product and the unit length, between the tower and the output."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np

import onnx
from models.export.session import OUTPUT
from models.manifest import WEIGHTS_SUFFIX
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

TINY = 1e-12
_PREFIX = "head"
_OPSET = 20


def fold_head(tower: Path, output: Path, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> list[str]:
    """Write a tower's graph with a head behind it; weights beside the graph are copied as they are.

    Args:
        tower: a graph whose output is `embedding` (batch, width).
        output: the file to write, in another folder and with the same name.
        weight: (dimension, width).
        bias: (dimension,).

    Returns:
        The names of the files written.
    """
    model = onnx.load(str(tower), load_external_data=False)
    graph = model.graph
    taken = {name for node in graph.node for name in (*node.output, *node.input)}
    prefix = next(p for n in range(1, len(taken) + 2) if f"{(p := f'{_PREFIX}_{n}')}_rows" not in taken)
    rows = f"{prefix}_rows"
    for node in graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == OUTPUT:
                    names[place] = rows
    output_value = next(value for value in graph.output if value.name == OUTPUT)
    given = output_value.type.tensor_type.elem_type
    version = next(opset.version for opset in model.opset_import if opset.domain in {"", "ai.onnx"})
    graph.node.extend(_nodes(prefix, rows, given))
    graph.initializer.extend(_constants(prefix, weight, bias))
    batch = output_value.type.tensor_type.shape.dim[0].dim_param or "batch"
    # other outputs stay: features for verification are of the part itself
    output_value.CopyFrom(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [batch, weight.shape[0]]))
    written = [output.name]
    beside = tower.with_name(tower.name + WEIGHTS_SUFFIX)
    if beside.is_file():
        shutil.copyfile(beside, output.with_name(beside.name))
        written.append(beside.name)
    if version < 13:
        raise ValueError(f"{tower}: operators of version {version}; a head needs 13 or later")
    output.write_bytes(model.SerializeToString(deterministic=True))
    onnx.checker.check_model(str(output))
    return written


def head_graph(output: Path, name: str, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> list[str]:
    """Write a graph that is a head alone: vectors that come with a post, at unit length, go through it.

    Takes and gives what `fold_head` does; the graph's input is `vector`.
    """
    width = weight.shape[1]
    nodes = [
        helper.make_node("Abs", ["vector"], ["vector_sizes"]),
        helper.make_node("ReduceMax", ["vector_sizes", "vector_last"], ["vector_largest"], keepdims=1),
        helper.make_node("Div", ["vector", "vector_largest"], ["vector_scaled"]),  # its square has to fit as well
        *_unit("vector_scaled", "vector_rows", "vector"),
        *_nodes(_PREFIX, "vector_rows", TensorProto.FLOAT),
    ]
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["batch", width])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", weight.shape[0]])],
        [*_constants(_PREFIX, weight, bias), *_constants_of_unit("vector")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=10)
    onnx.checker.check_model(model)
    output.write_bytes(model.SerializeToString(deterministic=True))
    return [output.name]


def _nodes(prefix: str, rows: str, given: int) -> list[onnx.NodeProto]:
    nodes = []
    if given != TensorProto.FLOAT:
        nodes.append(helper.make_node("Cast", [rows], [f"{prefix}_float"], to=TensorProto.FLOAT))
        rows = f"{prefix}_float"
    return [
        *nodes,
        helper.make_node("MatMul", [rows, f"{prefix}_weight"], [f"{prefix}_product"]),
        helper.make_node("Add", [f"{prefix}_product", f"{prefix}_bias"], [f"{prefix}_projected"]),
        *_unit(f"{prefix}_projected", OUTPUT, prefix),
    ]


def _unit(rows: str, result: str, prefix: str) -> list[onnx.NodeProto]:
    """Rows at unit length, in operators that every provider has."""
    return [
        helper.make_node("Mul", [rows, rows], [f"{prefix}_squares"]),
        helper.make_node("ReduceSum", [f"{prefix}_squares", f"{prefix}_last"], [f"{prefix}_sum"], keepdims=1),
        helper.make_node("Sqrt", [f"{prefix}_sum"], [f"{prefix}_root"]),
        helper.make_node("Max", [f"{prefix}_root", f"{prefix}_tiny"], [f"{prefix}_length"]),
        helper.make_node("Div", [rows, f"{prefix}_length"], [result]),
    ]


def _constants(prefix: str, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> list[TensorProto]:
    return [
        numpy_helper.from_array(np.ascontiguousarray(weight.T), f"{prefix}_weight"),
        numpy_helper.from_array(np.ascontiguousarray(bias), f"{prefix}_bias"),
        *_constants_of_unit(prefix),
    ]


def _constants_of_unit(prefix: str) -> list[TensorProto]:
    return [
        numpy_helper.from_array(np.array([-1]), f"{prefix}_last"),
        numpy_helper.from_array(np.array([TINY], dtype=np.float32), f"{prefix}_tiny"),
    ]
