"""Operations of a graph, counted from the shapes that the runtime tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

import onnx
from models.flops import count_flops
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from pathlib import Path


def test_products_and_convolutions_count_by_their_shapes(tmp_path: Path) -> None:
    graph = tmp_path / "graph.onnx"
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, groups=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 64, 5))
    torch.onnx.export(network.eval(), (torch.zeros(2, 3, 8, 8),), str(graph), input_names=["x"], dynamo=True)
    found = count_flops(graph, {"x": np.zeros((2, 3, 8, 8), np.float32)})
    assert found == 2 * (2 * 4 * 8 * 8 * 3 * 3 * 3) + 2 * (2 * 5 * 4 * 64)


def test_products_of_constants_do_not_count(tmp_path: Path) -> None:
    square = np.eye(6, dtype=np.float32)
    nodes = [
        helper.make_node("MatMul", ["one", "other"], ["weights"]),
        helper.make_node("MatMul", ["x", "weights"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "constants",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 6])],
        [numpy_helper.from_array(square, name) for name in ("one", "other")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save_model(model, str(tmp_path / "graph.onnx"))
    assert count_flops(tmp_path / "graph.onnx", {"x": np.ones((4, 6), dtype=np.float32)}) == 2 * 4 * 6 * 6
