"""A head behind a tower."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import onnx
from models.export.fold_head import fold_head, head_graph
from models.export.session import OUTPUT, open_session
from tests.bundles import DIMENSION, VECTOR_SIZE, write_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = pytest.mark.torch


def head(dimension: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(6)
    return rng.standard_normal((dimension, width)).astype(np.float32), rng.standard_normal(dimension).astype(
        np.float32
    )


def expected(
    rows: NDArray[np.float32], weight: NDArray[np.float32], bias: NDArray[np.float32]
) -> NDArray[np.float32]:
    projected = rows @ weight.T + bias
    return np.asarray(projected / np.linalg.norm(projected, axis=1, keepdims=True), dtype=np.float32)


def test_the_graph_gives_what_tower_and_head_give_one_after_the_other(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "tiny", ("image",))
    (tmp_path / "out").mkdir()
    weight, bias = head(20, DIMENSION)
    tower, folded = tmp_path / "tiny" / "image.onnx", tmp_path / "out" / "image.onnx"
    assert fold_head(tower, folded, weight, bias) == ["image.onnx"]
    given = {"pixels": np.random.default_rng(1).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)}
    rows = np.asarray(open_session(tower).run([OUTPUT], given)[0])
    found = np.asarray(open_session(folded).run([OUTPUT], given)[0])
    assert found.shape == (5, 20)
    assert np.abs(found - expected(rows, weight, bias)).max() < 1e-5


def test_other_outputs_of_a_tower_stay(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "tiny", ("image",))
    tower, folded = tmp_path / "tiny" / "image.onnx", tmp_path / "image.onnx"
    model = onnx.load(str(tower))
    model.graph.output.insert(
        0, onnx.helper.make_tensor_value_info("numbers", onnx.TensorProto.FLOAT, ["batch", 16, 16, 3])
    )
    onnx.save(model, str(tower))
    fold_head(tower, folded, *head(20, DIMENSION))
    given = {"pixels": np.random.default_rng(1).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)}
    numbers, found = open_session(folded).run(["numbers", OUTPUT], given)
    assert np.array_equal(numbers, given["pixels"].astype(np.float32))
    assert np.asarray(found).shape == (2, 20)


def test_a_head_goes_behind_a_head(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "tiny", ("image",))
    once, twice = tmp_path / "once.onnx", tmp_path / "twice.onnx"
    weight, bias = head(DIMENSION, DIMENSION)
    fold_head(tmp_path / "tiny" / "image.onnx", once, weight, bias)
    fold_head(once, twice, weight, bias)
    given = {"pixels": np.random.default_rng(1).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)}
    rows = np.asarray(open_session(once).run([OUTPUT], given)[0])
    found = np.asarray(open_session(twice).run([OUTPUT], given)[0])
    assert np.abs(found - expected(rows, weight, bias)).max() < 1e-5


def test_a_vector_without_a_graph_gets_one(tmp_path: Path) -> None:
    weight, bias = head(10, VECTOR_SIZE)
    assert head_graph(tmp_path / "sensor.onnx", "sensor", weight, bias) == ["sensor.onnx"]
    vectors = np.random.default_rng(2).standard_normal((4, VECTOR_SIZE)).astype(np.float32)
    vectors[1] *= 1e30  # whose square is too large for a float32
    unit = vectors.astype(np.float64) / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    found = np.asarray(open_session(tmp_path / "sensor.onnx").run([OUTPUT], {"vector": vectors})[0])
    assert np.abs(found - expected(unit.astype(np.float32), weight, bias)).max() < 1e-5
