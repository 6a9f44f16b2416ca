"""Graphs of a bundle written anew: the same vectors, and a manifest that knows them."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.normalizers import Lowercase

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

import onnx  # noqa: E402
from models.bundle import open_bundle, verify_bundle  # noqa: E402
from models.export.graphs import export_tower  # noqa: E402
from models.export.verification import add_verification  # noqa: E402
from models.manifest import Provenance, Thresholds, read_manifest, sha256_of, write_manifest  # noqa: E402
from models.training.bundle_writer import TOKENIZER, Inputs, Trained, write_bundle  # noqa: E402
from models.training.kinds import KINDS, Kind  # noqa: E402
from models.training.rewrite import rewrite_graphs  # noqa: E402
from models.training.tokenizer import train_tokenizer  # noqa: E402
from models.training.train import sample_inputs  # noqa: E402
from tests.models.training.small_towers import SMALL, drawn_towers  # noqa: E402

SIZES = replace(SMALL, vocabulary=300, max_tokens=96, image_size=64, image_widths=(64, 64, 8, 8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose image graph has plain convolutions."""
    folder = tmp_path_factory.mktemp("bundle")
    towers, tokenizer = drawn_towers(SIZES, 5), train_tokenizer(["red shoes", "blue fish"] * 50, 300, 96)
    samples: dict[Kind, Inputs] = sample_inputs(tokenizer, SIZES.image_size, 1)
    for kind, tower in towers.items():
        export_tower(tower, kind, samples[kind][0], folder / f"{kind}.onnx")
    trained = Trained(
        name="tiny",
        version="1.0.0",
        sizes=SIZES,
        towers=towers,
        tokenizer=tokenizer,
        means={kind: np.zeros(SIZES.dimension, dtype=np.float32) for kind in KINDS},
        cells={},
        thresholds=Thresholds(join=0.7, cohesion=0.6, centroid=0.7, exemplar=0.7, modality=0.3, twin=0.8),
        provenance=Provenance(command="none", seed=1, created_at="2026-01-01T00:00:00Z", shoal="0", data=()),
    )
    write_bundle(folder, trained, dict.fromkeys(KINDS, 0.0), "# tiny\n")
    add_verification(folder, 1, generated=4)
    return folder


def convolutions(path: Path) -> int:
    return sum(node.op_type == "Conv" for node in onnx.load(path).graph.node)


def test_graphs_written_anew_give_the_same_and_the_manifest_follows(folder: Path) -> None:
    before, plain = read_manifest(folder), convolutions(folder / "image.onnx")
    shown = list(np.random.default_rng(1).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8))
    heard = list(np.random.default_rng(2).standard_normal((3, 80_000)).astype(np.float32) * np.float32(0.1))
    old = open_bundle(folder, provider="cpu", intra_op_threads=1)
    written = rewrite_graphs(folder, ("image", "audio"), SIZES)
    assert read_manifest(folder) == written
    assert all(report.state == "ok" for report in verify_bundle(folder))
    new = open_bundle(folder, provider="cpu", intra_op_threads=1)
    for kind, items in (("image", shown), ("audio", heard)):
        looked, wanted = new.encoders[kind].look(items), old.encoders[kind].look(items)
        assert np.abs(1 - (looked.embeddings * wanted.embeddings).sum(axis=1)).max() < 1e-6
        assert looked.features is not None
        assert wanted.features is not None
        assert np.array_equal(looked.features, wanted.features)
        assert written.parity[kind] <= 1e-5
    assert convolutions(folder / "image.onnx") < plain
    assert written.files["text.onnx"] == before.files["text.onnx"] == sha256_of(folder / "text.onnx")
    assert written.bundle_id != before.bundle_id
    assert (written.thresholds, written.modalities) == (before.thresholds, before.modalities)


def test_a_tokenizer_written_anew_normalises_as_this_version_does_and_keeps_its_words(folder: Path) -> None:
    older = Tokenizer.from_file(str(folder / TOKENIZER))
    older.normalizer = Lowercase()
    older.save(str(folder / TOKENIZER))
    files = {**read_manifest(folder).files, TOKENIZER: sha256_of(folder / TOKENIZER)}
    write_manifest(folder, msgspec.structs.replace(read_manifest(folder), files=files))
    rewrite_graphs(folder, ("text",), SIZES)
    assert all(report.state == "ok" for report in verify_bundle(folder))
    newer = Tokenizer.from_file(str(folder / TOKENIZER))
    assert newer.get_vocab() == older.get_vocab()
    assert newer.encode("red 🔥 shoes").ids == older.encode("red shoes").ids != older.encode("red 🔥 shoes").ids
