"""Half precision and int8: near enough, or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

import onnx  # noqa: E402
from models.export import variants  # noqa: E402
from models.export.checkpoint import ExportError  # noqa: E402
from models.export.graphs import ParityError  # noqa: E402
from models.export.session import session_of  # noqa: E402
from models.export.variants import largest_by_block, smooth  # noqa: E402
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from tests.models.export.checkpoints import make  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from models.export.tower_export import ExportedTower


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make("vit", tmp_path_factory.mktemp("vit"))


@pytest.mark.parametrize(("variant", "kind"), [("fp16", TensorProto.FLOAT16), ("bf16", TensorProto.BFLOAT16)])
def test_half_precision_is_near_and_half_as_large(
    variant: str, kind: int, vit: Path, tmp_path: Path, exported: Callable[..., ExportedTower]
) -> None:
    tower = exported("image", vit, tmp_path, variant=variant)
    assert 1e-9 < tower.export.parity <= 1e-3
    weights = onnx.load(tmp_path / "image.onnx").graph.initializer
    assert sum(weight.data_type == kind for weight in weights) > 10
    assert [path.name for path in tmp_path.glob("*.onnx")] == ["image.onnx"]
    assert (tower.export.rate > 0) == (variant == "fp16")


def test_int8_is_near_and_says_how_many_products_it_has(
    vit: Path, tmp_path: Path, exported: Callable[..., ExportedTower]
) -> None:
    tower = exported("image", vit, tmp_path, variant="int8")
    assert 1e-9 < tower.export.parity <= 1e-2
    nodes = onnx.load(tmp_path / "image.onnx").graph.node
    assert sum(node.op_type == "QuantizeLinear" for node in nodes) > 0
    assert "products in 8 bits" in tower.export.remarks[0]


def test_a_graph_that_is_too_far_is_refused_and_not_left_behind(
    vit: Path, tmp_path: Path, exported: Callable[..., ExportedTower], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(variants.LIMITS, "fp16", 1e-12)
    with pytest.raises(ParityError, match="more than 1e-12; not written"):
        exported("image", vit, tmp_path, variant="fp16")
    assert list(tmp_path.iterdir()) == []


def test_a_block_that_overflows_float16_is_named(
    vit: Path, tmp_path: Path, exported: Callable[..., ExportedTower], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(variants, "LARGEST_FP16", 1.0)
    with pytest.raises(ExportError, match=r"too large for fp16.*layer.*0 \(.*take bf16"):
        exported("image", vit, tmp_path, variant="fp16")


def test_the_largest_number_is_found_in_its_block() -> None:
    network = torch.nn.Module()
    layers = torch.nn.ModuleList([torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)])
    torch.nn.init.constant_(layers[1].weight, 1e6)
    network.body = torch.nn.Sequential(*layers)
    network.forward = network.body.forward
    found = largest_by_block(network, [(torch.ones(1, 2),)])
    assert found["1"] > 1e5
    assert found["0"] < 1e3


def test_smoothing_changes_no_product() -> None:
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((4, 3)).astype(np.float32)
    node = helper.make_node("MatMul", ["x", "w"], ["y"], "product")
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    rows = (rng.standard_normal((5, 4)) * [1, 1, 100, 1]).astype(np.float32)
    smooth(model, [model.graph.node[0]], {"x": np.abs(rows).max(axis=0)})
    factor = numpy_helper.to_array(next(w for w in model.graph.initializer if w.name != "w"))
    even = rows * factor
    assert np.abs(even).max() < np.abs(rows).max() / 5
    assert session_of(model.SerializeToString()).run(None, {"x": rows})[0] == pytest.approx(
        rows @ weight, rel=1e-5, abs=1e-5
    )


def test_a_graph_in_half_precision_whose_convolution_onnxruntime_would_reorder_opens(
    tmp_path: Path, exported: Callable[..., ExportedTower]
) -> None:
    """An optimizer for the CPU ends the process on this one: `models.providers.left_out`."""
    tower = exported("image", make("siglip", tmp_path), tmp_path, variant="fp16")
    assert tower.export.parity < 1e-3
