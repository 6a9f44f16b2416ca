from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

import onnx  # noqa: E402
from models.export.graphs import ParityError, export_tower, measure_parity  # noqa: E402
from models.training.towers import TowerSizes, build_towers  # noqa: E402

SIZES = TowerSizes(vocabulary=300, text_width=32, text_layers=1, max_tokens=12, image_widths=(8, 8, 8, 8))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graphs") / "text.onnx"
    torch.manual_seed(1)
    export_tower(build_towers(SIZES)["text"], "text", texts(4, 9), path)
    return path


def texts(count: int, tokens: int) -> tuple[np.ndarray, np.ndarray]:
    ids = np.random.default_rng(count).integers(0, 300, (count, tokens))
    mask = np.ones_like(ids)
    mask[0, max(1, tokens // 2) :] = 0
    return ids, mask


def test_batch_and_tokens_are_dynamic(exported: Path) -> None:
    torch.manual_seed(1)
    tower = build_towers(SIZES)["text"]
    assert measure_parity(tower, "text", exported, [texts(1, 1), texts(4, 9), texts(7, 12)]) <= 1e-5


def test_another_network_than_the_exported_one_is_noticed(exported: Path) -> None:
    torch.manual_seed(2)
    with pytest.raises(ParityError, match="above"):
        measure_parity(build_towers(SIZES)["text"], "text", exported, [texts(4, 9)])


def test_a_graph_that_gives_no_numbers_is_noticed(exported: Path) -> None:
    torch.manual_seed(1)
    tower: Any = build_towers(SIZES)["text"]
    torch.nn.init.constant_(tower.head.weight, float("nan"))
    with pytest.raises(ParityError, match="nan"):
        measure_parity(tower, "text", exported, [texts(4, 9)])


def test_a_graph_says_nothing_about_where_it_was_made(exported: Path) -> None:
    model = onnx.load(exported)
    assert not model.metadata_props
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    assert str(Path(torch.__file__).parent).encode() not in exported.read_bytes()
