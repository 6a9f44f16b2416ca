from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import onnxruntime
import pytest
from safetensors.numpy import save_file

from models import providers
from models.bundle import open_bundle, verify_bundle
from models.manifest import BundleError, ImageInput, Manifest, ManifestError, read_manifest, sha256_of, write_manifest
from models.providers import CPU, CUDA, choose_providers
from tests.bundles import CELLS, DIMENSION, IMAGE_SIZE, VECTOR_SIZE, write_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from models.bundle import Bundle

ALL = ("text", "image", "audio", "sensor")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "tiny"
    write_tiny_bundle(folder, ALL)
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "tiny")


@pytest.fixture(scope="module")
def bundle(original: Path) -> Bundle:
    return open_cpu(original)


def open_cpu(folder: Path) -> Bundle:
    return open_bundle(folder, provider="cpu", intra_op_threads=1)


def rewrite(folder: Path, **changes: Any) -> Manifest:
    """Change the manifest, and let its digests agree with the files."""
    manifest = msgspec.structs.replace(read_manifest(folder), **changes)
    files = {name: sha256_of(folder / name) for name in manifest.files if (folder / name).is_file()}
    changed = msgspec.structs.replace(manifest, files=files)
    write_manifest(folder, changed)
    return changed


def complaint(folder: Path) -> str:
    with pytest.raises(ManifestError) as caught:
        open_cpu(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_modality_is_opened_on_the_provider_that_it_runs_on(bundle: Bundle) -> None:
    assert list(bundle.encoders) == list(ALL)
    assert bundle.providers == dict.fromkeys(ALL, CPU)
    assert bundle.layout.names == ALL
    assert bundle.bundle_id == bundle.manifest.bundle_id


def test_equal_parts_embed_alike_and_different_parts_do_not(bundle: Bundle) -> None:
    rng = np.random.default_rng(0)
    form = bundle.manifest.modalities[2].audio
    assert form is not None
    items: dict[str, list[Any]] = {
        "text": ["a walk in the park", "cheap pills here"],
        "image": list(rng.integers(0, 255, (2, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)),
        "audio": [np.sin(np.arange(form.window) / pace).astype(np.float32) for pace in (2, 9)],
        "sensor": list(rng.standard_normal((2, VECTOR_SIZE)).astype(np.float32)),
    }
    for name, (one, other) in items.items():
        rows = bundle.encoders[name].embed([one, other, one])
        assert rows.shape == (3, DIMENSION)
        assert rows.dtype == np.float32
        assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)
        assert rows[0] @ rows[2] == pytest.approx(1, abs=1e-5)
        assert rows[0] @ rows[1] < 0.8, name


def test_a_whole_bundle_verifies(folder: Path) -> None:
    assert {report.state for report in verify_bundle(folder)} == {"ok"}


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "nothing") in complaint(tmp_path / "nothing")


@pytest.mark.parametrize("name", ["image.onnx", "tokenizer.json", "quantizer.safetensors"])
def test_a_tampered_file_is_named(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    assert f"{folder / name}: changed" in complaint(folder)
    assert [report.name for report in verify_bundle(folder) if report.state == "changed"] == [name]


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "audio.onnx").unlink()
    assert f"{folder / 'audio.onnx'}: missing" in complaint(folder)


def test_a_file_without_a_digest_is_refused(folder: Path) -> None:
    manifest = read_manifest(folder)
    files = {name: digest for name, digest in manifest.files.items() if name != "text.onnx"}
    write_manifest(folder, msgspec.structs.replace(manifest, files=files))
    assert "text.onnx" in complaint(folder)


@pytest.mark.parametrize("name", ["../outside.onnx", "a/b.onnx", ".hidden", "..\\outside.onnx"])
def test_a_file_outside_the_folder_is_refused(folder: Path, name: str) -> None:
    manifest = read_manifest(folder)
    write_manifest(folder, msgspec.structs.replace(manifest, files=manifest.files | {name: "0" * 64}))
    assert repr(name) in complaint(folder)


@pytest.mark.parametrize("content", [b"", b"{", b'{"schema": "shoal.bundle/9"}', b"[]", b"\xff\xfe"])
def test_what_is_no_manifest_is_refused(folder: Path, content: bytes) -> None:
    (folder / "manifest.json").write_bytes(content)
    assert str(folder / "manifest.json") in complaint(folder)


def test_a_manifest_of_an_unknown_version_says_so(folder: Path) -> None:
    text = (folder / "manifest.json").read_text(encoding="utf-8")
    (folder / "manifest.json").write_text(text.replace("shoal.bundle/1", "shoal.bundle/9"), encoding="utf-8")
    assert "shoal.bundle/9" in complaint(folder)


@pytest.mark.parametrize("name", ["text.onnx", "tokenizer.json", "quantizer.safetensors"])
def test_a_file_that_is_not_what_its_name_says_is_named(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"rubbish")
    rewrite(folder)
    assert str(folder / name) in complaint(folder)


def test_a_graph_of_another_size_than_the_manifest_says_is_refused(folder: Path) -> None:
    modalities = read_manifest(folder).modalities
    image = msgspec.structs.replace(modalities[1], image=ImageInput(size=IMAGE_SIZE * 2))
    rewrite(folder, modalities=(modalities[0], image, *modalities[2:]))
    told = complaint(folder)
    assert "image.onnx" in told
    assert "pixels tensor(uint8) [any, 32, 32, 3]" in told


def test_a_graph_of_another_kind_is_refused(folder: Path) -> None:
    shutil.copy(folder / "sensor.onnx", folder / "audio.onnx")
    rewrite(folder)
    assert "audio.onnx: by the manifest it takes waveform" in complaint(folder)


def test_a_graph_of_another_dimension_is_refused(folder: Path) -> None:
    modalities = tuple(
        msgspec.structs.replace(modality, mean=modality.mean[: DIMENSION // 2])
        for modality in read_manifest(folder).modalities
    )
    rewrite(folder, dimension=DIMENSION // 2, modalities=modalities, quantizer=None)
    assert f"must give `embedding` [any, {DIMENSION // 2}]" in complaint(folder)


def test_a_quantizer_of_another_dimension_is_refused(folder: Path) -> None:
    save_file({"cells_2": np.zeros((2, 3), dtype=np.float32)}, str(folder / "quantizer.safetensors"))
    rewrite(folder)
    assert "quantizer.safetensors: cells_2" in complaint(folder)


def test_a_graph_whose_vectors_are_not_of_unit_length_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Half:
        kind = "image"

        def __init__(self, *_: object, **__: object) -> None:
            pass

        def example(self) -> int:
            return 0

        def embed(self, items: list[int]) -> NDArray[np.float32]:
            return np.full((len(items), 4), 0.25, dtype=np.float32)

    monkeypatch.setattr("models.bundle.ImageEncoder", Half)
    assert "length 1" in complaint(folder)


def test_a_required_gpu_that_is_absent_is_one_clear_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "_gpu_present", lambda: False)
    with pytest.raises(BundleError, match="no usable GPU"):
        open_bundle(folder, provider="cuda", intra_op_threads=1)


def test_a_required_gpu_on_which_the_graph_does_not_run_is_one_clear_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Onnxruntime goes on with the CPU and does not say so."""
    monkeypatch.setattr("models.bundle.choose_providers", lambda *_, **__: [CPU])
    with pytest.raises(BundleError, match="runs on CPUExecutionProvider"):
        open_bundle(folder, provider="cuda", intra_op_threads=1)


def test_auto_takes_the_gpu_only_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    monkeypatch.setattr(providers, "_gpu_present", lambda: False)
    assert choose_providers("auto") == [CPU]
    monkeypatch.setattr(providers, "_gpu_present", lambda: True)
    assert choose_providers("auto")[0][0] == CUDA
    assert choose_providers("cpu") == [CPU]


def test_opening_prints_nothing(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    open_bundle(folder, provider="auto", intra_op_threads=1)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("cells", CELLS)
def test_a_vector_belongs_to_the_cell_with_the_nearest_centre(bundle: Bundle, cells: int) -> None:
    centres = bundle.quantizers[f"cells_{cells}"]
    assert bundle.cell_of(centres, cells).tolist() == list(range(cells))
    assert bundle.cell_of(centres, cells).dtype == np.int32


def test_one_cell_holds_everything(bundle: Bundle) -> None:
    assert bundle.cell_of(np.ones((3, DIMENSION * 4), dtype=np.float32), 1).tolist() == [0, 0, 0]


def test_a_number_of_cells_without_a_quantizer_is_refused(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="no quantizer for 3 cells"):
        bundle.cell_of(np.ones((1, DIMENSION * 4), dtype=np.float32), 3)


def test_two_writings_of_a_bundle_have_one_id(tmp_path: Path) -> None:
    assert write_tiny_bundle(tmp_path / "a").bundle_id == write_tiny_bundle(tmp_path / "b").bundle_id


def test_a_manifest_changed_from_another_has_its_own_id(bundle: Bundle) -> None:
    known = bundle.manifest.bundle_id
    changed = msgspec.structs.replace(bundle.manifest, dimension=2 * bundle.manifest.dimension)
    assert changed.bundle_id != known
    assert bundle.manifest.bundle_id == known


def test_a_graph_for_gpus_changes_the_id_and_its_file_is_checked(folder: Path) -> None:
    before = read_manifest(folder).bundle_id
    shutil.copyfile(folder / "image.onnx", folder / "image.gpu.onnx")
    files = {**read_manifest(folder).files, "image.gpu.onnx": ""}
    changed = rewrite(folder, files=files, gpu_graphs={"image": "image.gpu.onnx"})
    assert changed.bundle_id != before
    assert open_cpu(folder).graphs["image"] == "image.onnx"
    (folder / "image.gpu.onnx").unlink()
    assert "missing" in complaint(folder)


def test_a_graph_for_gpus_of_nothing_is_refused(folder: Path) -> None:
    rewrite(folder, gpu_graphs={"smell": "image.onnx"})
    assert "gpu_graphs of 'smell'" in complaint(folder)
