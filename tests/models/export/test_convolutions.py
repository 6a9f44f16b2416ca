"""Convolutions as products: the same numbers, only where it pays, and kernels that stay what they were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

import onnx  # noqa: E402
from models.export.convolutions import LEAST_CHANNELS, convolve_by_products, filtering  # noqa: E402
from models.export.session import open_session  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

KERNELS = "trunk.first.weight"


def convolution(
    path: Path,
    height: int,
    width: int,
    *,
    inputs: int = LEAST_CHANNELS,
    outputs: int = 80,
    size: int = 3,
    **given: Any,
) -> NDArray[np.float32]:
    """Write a graph with one convolution; its kernels."""
    rng = np.random.default_rng(7)
    kernels = (rng.standard_normal((outputs, inputs, size, size)) / 20).astype(np.float32)
    bias = rng.standard_normal(outputs).astype(np.float32)
    form = {"kernel_shape": [size, size], "strides": [1, 1], "pads": [size // 2] * 4, **given}
    nodes = [
        helper.make_node("Conv", ["given", KERNELS, "bias"], ["made"], **form),
        helper.make_node("Relu", ["made"], ["embedding"]),
    ]
    stride = form["strides"][0]
    sides = [outputs, -(-height // stride), -(-width // stride)]
    graph = helper.make_graph(
        nodes,
        "one",
        [helper.make_tensor_value_info("given", TensorProto.FLOAT, ["batch", inputs, height, width])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", *sides])],
        [numpy_helper.from_array(kernels, KERNELS), numpy_helper.from_array(bias, "bias")],
    )
    onnx.save_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), str(path))
    return kernels


def results(path: Path, height: int, width: int, inputs: int = LEAST_CHANNELS) -> list[NDArray[np.float32]]:
    """Of a batch of three, and of one of them."""
    given = np.random.default_rng(8).standard_normal((3, inputs, height, width)).astype(np.float32)
    session = open_session(path)
    return [np.asarray(session.run(None, {"given": rows})[0]) for rows in (given, given[1:2])]


def operators(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(str(path)).graph.node]


@pytest.mark.parametrize("tile", [2, 4])
def test_minimal_filtering_convolves(tile: int) -> None:
    rng = np.random.default_rng(tile)
    used, given, kernel = filtering(tile), rng.standard_normal(tile + 2), rng.standard_normal(3)
    found = used.outputs @ ((used.kernels @ kernel) * (used.inputs @ given))
    np.testing.assert_allclose(found, np.correlate(given, kernel, "valid"), atol=1e-12)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (8, 32), (8, 8), (4, 16), (7, 13), (17, 15)])
def test_the_result_is_that_of_the_convolution(tmp_path: Path, height: int, width: int) -> None:
    path = tmp_path / "one.onnx"
    convolution(path, height, width)
    before = results(path, height, width)
    assert convolve_by_products(path) == 1
    assert "Conv" not in operators(path)
    for found, wanted in zip(results(path, height, width), before, strict=True):
        np.testing.assert_allclose(found, wanted, atol=2e-5)


def test_kernels_stay_in_the_graph_as_they_were_and_nothing_large_comes_beside(tmp_path: Path) -> None:
    path = tmp_path / "one.onnx"
    kernels = convolution(path, 16, 16)
    before = path.stat().st_size
    convolve_by_products(path)
    held = {one.name: numpy_helper.to_array(one) for one in onnx.load(str(path)).graph.initializer}
    assert np.array_equal(held[KERNELS], kernels)
    assert path.stat().st_size < before + 20_000


@pytest.mark.parametrize(
    "form",
    [
        {"strides": [2, 2]},
        {"size": 1},
        {"size": 5},
        {"dilations": [2, 2], "pads": [2, 2, 2, 2]},
        {"inputs": 16},
        {"outputs": 16},
    ],
)
def test_other_convolutions_and_small_ones_are_left_alone(tmp_path: Path, form: dict[str, Any]) -> None:
    path = tmp_path / "one.onnx"
    convolution(path, 16, 16, **form)
    before = path.read_bytes()
    assert convolve_by_products(path) == 0
    assert path.read_bytes() == before


@pytest.mark.parametrize(("height", "width"), [(4, 4), (2, 8), (64, 64)])
def test_pictures_that_are_too_small_or_too_large_are_left_alone(tmp_path: Path, height: int, width: int) -> None:
    convolution(tmp_path / "one.onnx", height, width)
    assert convolve_by_products(tmp_path / "one.onnx") == 0


def test_once_more_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "one.onnx"
    convolution(path, 8, 8)
    convolve_by_products(path)
    written = path.read_bytes()
    assert convolve_by_products(path) == 0
    assert path.read_bytes() == written
