"""Operations of a graph, counted from the shapes that the runtime tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from models.flops import count_flops

if TYPE_CHECKING:
    from pathlib import Path


def test_products_and_convolutions_count_by_their_shapes(tmp_path: Path) -> None:
    graph = tmp_path / "graph.onnx"
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, groups=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 64, 5))
    torch.onnx.export(network.eval(), (torch.zeros(2, 3, 8, 8),), str(graph), input_names=["x"], dynamo=True)
    found = count_flops(graph, {"x": np.zeros((2, 3, 8, 8), np.float32)})
    assert found == 2 * (2 * 4 * 8 * 8 * 3 * 3 * 3) + 2 * (2 * 5 * 4 * 64)
