from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

import onnxruntime  # noqa: E402
import soundfile  # noqa: E402
from PIL import Image  # noqa: E402

from models.manifest import Manifest, read_manifest, sha256_of  # noqa: E402
from models.training.budget import FULL_MINUTES, Budget, budget_for  # noqa: E402
from models.training.towers import TowerSizes  # noqa: E402
from models.training.train import train_bundle  # noqa: E402
from models.training.watch import Course  # noqa: E402
from tests.bundles import unreadable  # noqa: E402
from tests.models.training.small_towers import SMALL  # noqa: E402

SIZES = replace(SMALL, vocabulary=400, max_tokens=TowerSizes().max_tokens)
TINY = Budget(
    sizes=SIZES,
    images=160,
    sounds=160,
    captions=400,
    steps={"text": 2, "image": 2, "audio": 2},
    originals={"text": 16, "image": 16, "audio": 16},
    sides=((1.0, 32),),
    described=4,
    posts=16,
)


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("media")
    rng = np.random.default_rng(0)
    for folder in ("images/train", "audio/train"):
        (root / folder).mkdir(parents=True)
    for number in range(3):
        pixels = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"images/train/photo-{number}.png")
        samples = rng.standard_normal(16_000).astype(np.float32) * 0.1
        soundfile.write(root / f"audio/train/clip-{number}.wav", samples, 16_000)
    lines = [
        "file\ttitle\tauthor\tlicence",
        "train/clip-0.wav\tRain | wind\tSomebody\tCC0",
        "test/other.wav\tx\ty\tz",
    ]
    (root / "audio/ATTRIBUTION.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, media: Path) -> tuple[Path, Manifest]:
    folder = tmp_path_factory.mktemp("out") / "tiny"
    sources = ("three photographs, CC0",)
    manifest = train_bundle(
        folder,
        7,
        1.0,
        media / "images/train",
        media / "audio/train",
        sources=sources,
        budget=TINY,
        course=Course(device="cpu", workers=0),
    )
    return folder, manifest


def test_a_training_ends_with_a_bundle_that_can_be_read(bundle: tuple[Path, Manifest]) -> None:
    folder, manifest = bundle
    assert read_manifest(folder) == manifest
    assert manifest.name == "tiny"
    assert [modality.name for modality in manifest.modalities] == ["text", "image", "audio"]
    assert {name: sha256_of(folder / name) for name in manifest.files} == manifest.files
    assert {path.name for path in folder.iterdir()} == {*manifest.files, "manifest.json"}
    assert unreadable(folder) == set()


def test_graphs_keep_to_their_contract(bundle: tuple[Path, Manifest]) -> None:
    folder, manifest = bundle
    inputs = {
        "text": {"input_ids": np.full((3, 5), 7), "attention_mask": np.ones((3, 5), dtype=np.int64)},
        "image": {"pixels": np.full((3, 32, 32, 3), 90, dtype=np.uint8)},
        "audio": {"waveform": np.random.default_rng(1).standard_normal((3, 80_000)).astype(np.float32)},
    }
    for kind, given in inputs.items():
        session = onnxruntime.InferenceSession(folder / f"{kind}.onnx", providers=["CPUExecutionProvider"])
        embedding = np.asarray(session.run(["embedding"], given)[0])
        assert embedding.shape == (3, manifest.dimension)
        assert embedding.dtype == np.float32
        assert np.allclose(np.linalg.norm(embedding, axis=1), 1.0, atol=1e-5)
        assert manifest.parity[kind] <= 1e-5


@pytest.mark.parametrize("sample", [0.0, 1e-20, 1.0])
def test_a_constant_waveform_has_a_vector(bundle: tuple[Path, Manifest], sample: float) -> None:
    session = onnxruntime.InferenceSession(bundle[0] / "audio.onnx", providers=["CPUExecutionProvider"])
    embedding = np.asarray(session.run(["embedding"], {"waveform": np.full((1, 80_000), sample, np.float32)})[0])
    assert np.linalg.norm(embedding) == pytest.approx(1.0, abs=1e-4)


def test_the_card_names_sources_and_only_the_recordings_that_were_used(bundle: tuple[Path, Manifest]) -> None:
    folder, manifest = bundle
    card = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "three photographs, CC0" in card
    assert "| clip-0.wav | Rain \\| wind | Somebody | CC0 |" in card
    assert "other.wav" not in card
    assert manifest.provenance.command == "shoal train --images DIR --audio DIR --minutes 1 --seed 7"


def test_nothing_in_the_bundle_names_a_place_on_the_machine(bundle: tuple[Path, Manifest], media: Path) -> None:
    folder, _ = bundle
    for path in folder.iterdir():
        content = path.read_bytes()
        assert str(media).encode() not in content
        assert str(Path(__file__).parents[3]).encode() not in content


def test_quality_and_thresholds_are_measured(bundle: tuple[Path, Manifest]) -> None:
    _, manifest = bundle
    assert {"generated_flag_precision", "generated_image_recall_held_out", "caption_to_image_recall_at_10"} <= set(
        manifest.quality
    )
    assert 0.0 < manifest.thresholds.join < 1.0


def test_too_few_minutes_are_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        budget_for(0.1)


def test_a_smaller_budget_trains_fewer_steps() -> None:
    half, full = budget_for(FULL_MINUTES / 2), budget_for(FULL_MINUTES)
    assert full == Budget()
    assert abs(half.steps["image"] * 2 - full.steps["image"]) <= 1
    assert half.images < full.images
