from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from torch import nn  # noqa: E402

import onnx  # noqa: E402
from models.training.bundle_writer import Inputs, write_graphs  # noqa: E402
from models.training.kinds import KINDS, Kind  # noqa: E402
from models.training.towers import TowerSizes, build_towers  # noqa: E402
from models.training.warm_start import start_from  # noqa: E402
from onnx import numpy_helper  # noqa: E402
from tests.models.training.small_towers import SMALL, drawn_towers  # noqa: E402

SIZES = replace(SMALL, text_layers=2, image_widths=(8, 8, 12, 16), audio_widths=(8, 8, 12, 16), blocks=(1, 2, 1, 1))


def inputs(count: int) -> dict[Kind, Inputs]:
    rng = np.random.default_rng(count)
    ids = rng.integers(2, 60, (count, 9))
    mask = np.ones_like(ids)
    mask[0, 5:] = 0
    return {
        "text": [(ids, mask)],
        "image": [(rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8),)],
        "audio": [(rng.standard_normal((count, 80_000)).astype(np.float32) * 0.1,)],
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[Kind, nn.Module]]:
    folder = tmp_path_factory.mktemp("bundle")
    towers = drawn_towers(SIZES, 3)
    samples = inputs(8)
    write_graphs(folder, towers, samples)
    return folder, towers


def test_weights_come_back_from_the_graphs_of_a_bundle(
    trained: tuple[Path, dict[Kind, nn.Module]],
) -> None:
    folder, towers = trained
    fresh = build_towers(SIZES)
    parity = start_from(folder, fresh, inputs(8))
    assert set(parity) == set(KINDS)
    others = inputs(5)
    for kind in KINDS:
        arguments = [torch.from_numpy(array) for array in others[kind][0]]
        with torch.no_grad():
            expected, actual = towers[kind].eval()(*arguments), fresh[kind].eval()(*arguments)
        assert float((1 - (expected * actual).sum(dim=1)).abs().max()) < 1e-5


def test_without_training_convolutions_have_the_weights_of_the_graph_to_the_bit(
    trained: tuple[Path, dict[Kind, nn.Module]], tmp_path: Path
) -> None:
    fresh = build_towers(SIZES)
    start_from(trained[0], fresh, inputs(8), training=False)
    write_graphs(tmp_path, {"image": fresh["image"]}, inputs(8))
    assert kernels(tmp_path / "image.onnx") == kernels(trained[0] / "image.onnx")


def kernels(path: Path) -> dict[str, bytes]:
    held = {one.name: one for one in onnx.load(path).graph.initializer}
    return {name: numpy_helper.to_array(one).tobytes() for name, one in held.items() if ".weight" in name}


@pytest.mark.parametrize("kind", ["image", "audio"])
def test_the_first_step_in_training_mode_sees_nearly_the_same_vectors(
    trained: tuple[Path, dict[Kind, nn.Module]], kind: Kind
) -> None:
    fresh = build_towers(SIZES)
    samples = inputs(8)
    start_from(trained[0], fresh, samples)
    arguments = [torch.from_numpy(array) for array in samples[kind][0]]
    with torch.no_grad():
        resting, training = fresh[kind].eval()(*arguments), fresh[kind].train()(*arguments)
    assert float((resting * training).sum(dim=1).min()) > 0.99


def test_a_bundle_of_other_widths_is_refused(trained: tuple[Path, dict[Kind, nn.Module]]) -> None:
    other = build_towers(TowerSizes(vocabulary=60, max_tokens=12, text_width=64, text_layers=2, image_size=32))
    with pytest.raises(ValueError, match="not the weights of this network"):
        start_from(trained[0], other, inputs(4))
