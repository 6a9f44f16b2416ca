"""What a checkpoint lacks is said in one clear line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from safetensors.torch import load_file, save_file  # noqa: E402

from models.export.checkpoint import ExportError, find_checkpoint  # noqa: E402
from models.export.pooling import Pooling  # noqa: E402
from models.export.tower_export import prepare_tower  # noqa: E402
from models.export.towers import Options  # noqa: E402
from tests.models.export.checkpoints import make  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def vit(tmp_path: Path) -> Path:
    return make("vit", tmp_path)


def change(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_an_unknown_architecture_lists_what_is_known(vit: Path) -> None:
    change(vit / "config.json", model_type="swinv2")
    with pytest.raises(ExportError, match=r"'swinv2' cannot be exported as image\. Known for image: clip, convnext"):
        prepare_tower("image", str(vit), Options())


def test_an_architecture_of_another_kind_says_which(vit: Path) -> None:
    with pytest.raises(ExportError, match="as text; it is a family of image"):
        prepare_tower("text", str(vit), Options())


def test_a_folder_without_a_config_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"no config\.json"):
        find_checkpoint(str(tmp_path))


def test_other_weights_than_safetensors_are_refused(vit: Path) -> None:
    (vit / "model.safetensors").rename(vit / "pytorch_model.bin")
    with pytest.raises(ExportError, match=r"no \.safetensors file"):
        find_checkpoint(str(vit))


def test_a_name_that_is_neither_folder_nor_id_is_refused() -> None:
    with pytest.raises(ExportError, match="no such folder, and not a Hugging Face id"):
        find_checkpoint("./nowhere/at/all")


def test_missing_weights_are_not_drawn_at_random(vit: Path) -> None:
    weights = load_file(vit / "model.safetensors")
    gone = next(name for name in weights if "layers.0" in name or "layer.0" in name)
    del weights[gone]
    save_file(weights, vit / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ExportError, match="1 weights of ViTModel are missing"):
        prepare_tower("image", str(vit), Options())


def test_preprocessing_is_never_guessed(vit: Path) -> None:
    (vit / "preprocessor_config.json").unlink()
    with pytest.raises(ExportError, match="never guessed"):
        prepare_tower("image", str(vit), Options())


def test_pooling_is_never_guessed(tmp_path: Path) -> None:
    folder = make("bert", tmp_path)
    (folder / "modules.json").unlink()
    with pytest.raises(ExportError, match="give pooling: cls, mean"):
        prepare_tower("text", str(folder), Options())
    assert prepare_tower("text", str(folder), Options(pooling="cls"))[1].pooling == "cls"
    with pytest.raises(ExportError, match="pooling 'middle' is not known"):
        prepare_tower("text", str(folder), Options(pooling="middle"))


def test_what_the_checkpoint_says_of_its_pooling_is_not_overruled(tmp_path: Path) -> None:
    folder = make("bert", tmp_path)
    with pytest.raises(ExportError, match=r"pools by mean\+max; leave pooling out"):
        prepare_tower("text", str(folder), Options(pooling="cls"))


def test_a_window_is_never_guessed(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="give window in seconds"):
        prepare_tower("audio", str(make("wav2vec2", tmp_path)), Options())
    with pytest.raises(ExportError, match="leave window out"):
        prepare_tower("audio", str(make("whisper", tmp_path)), Options(window=5.0))


def test_clap_with_fusion_is_refused(tmp_path: Path) -> None:
    folder = make("clap", tmp_path)
    config = json.loads((folder / "config.json").read_text())
    change(folder / "config.json", audio_config=config["audio_config"] | {"enable_fusion": True})
    with pytest.raises(ExportError, match="CLAP with fusion"):
        prepare_tower("audio", str(folder), Options())


def test_images_of_many_sizes_are_refused(vit: Path) -> None:
    change(vit / "preprocessor_config.json", size={"shortest_edge": 32})
    with pytest.raises(ExportError, match="no squares of one size"):
        prepare_tower("image", str(vit), Options())


def test_the_licence_is_the_one_of_the_readme(vit: Path) -> None:
    assert find_checkpoint(str(vit)).licence is None
    (vit / "README.md").write_text("---\nlicense: mit\ntags: []\n---\n# A model\n")
    assert find_checkpoint(str(vit)).licence == "mit"


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        ("cls", [1.0, 0.0]),
        ("mean", [2.0, 1.0]),
        ("max", [3.0, 2.0]),
        ("mean_sqrt_len", [4 / 2**0.5, 2 / 2**0.5]),
        ("weightedmean", [7 / 3, 4 / 3]),
        ("last", [3.0, 2.0]),
    ],
)
def test_pooling_looks_at_the_text_alone(mode: str, wanted: list[float]) -> None:
    tokens = torch.tensor([[[1.0, 0.0], [3.0, 2.0], [99.0, 99.0]]])
    pooled = Pooling((mode,))(tokens, torch.tensor([[1, 1, 0]]))
    assert pooled[0].tolist() == pytest.approx(wanted)
