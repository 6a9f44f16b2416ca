"""Bundles: a folder of ONNX graphs with one manifest, verified and opened."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import onnxruntime
from safetensors.numpy import load_file

from models.encoders.audio import AudioEncoder
from models.encoders.batches import OUTPUT
from models.encoders.image import ImageEncoder
from models.encoders.text import TextEncoder
from models.encoders.vector import VectorEncoder
from models.fusion import FusionLayout
from models.manifest import Manifest, ManifestError, Modality, read_manifest, sha256_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

Provider = Literal["auto", "cuda", "cpu"]

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
ERRORS_ONLY = 3

_INPUTS = {"text": {"input_ids", "attention_mask"}, "image": {"pixels"}, "audio": {"waveform"}, "vector": {"vector"}}


class BundleError(ManifestError):
    """A bundle that cannot be used; the message says which file, what is wrong and what to do."""


class Encoder(Protocol):
    """Turns what a post holds of one modality into embeddings. Used by one thread at a time."""

    kind: str

    def embed(self, items: Sequence[Any]) -> NDArray[np.float32]:
        """Embed n items (n >= 1): float32 (n, d), unit rows."""


@dataclass(frozen=True, slots=True)
class FileReport:
    """A file of a bundle: the sha256 its manifest gives, and that of what is there; None when it is missing."""

    name: str
    expected: str
    found: str | None

    @property
    def state(self) -> Literal["ok", "changed", "missing"]:
        """Whether the file is what the manifest says."""
        if self.found is None:
            return "missing"
        return "ok" if self.found == self.expected else "changed"


@dataclass(frozen=True)
class Bundle:
    """An open bundle.

    Attributes:
        encoders: modality -> its encoder.
        providers: modality -> the execution provider its graph really runs on.
    """

    folder: Path
    manifest: Manifest
    encoders: dict[str, Encoder]
    providers: dict[str, str]

    @property
    def bundle_id(self) -> str:
        """Names everything that was made with these vectors."""
        return self.manifest.bundle_id

    @cached_property
    def layout(self) -> FusionLayout:
        """How fused vectors are put together."""
        return FusionLayout.of(self.manifest)

    @cached_property
    def _quantizer(self) -> dict[str, NDArray[np.float32]]:
        return {} if self.manifest.quantizer is None else load_file(self.folder / self.manifest.quantizer)

    def cell_of(self, vectors: NDArray[np.float32], cells: int) -> NDArray[np.int32]:
        """The cells, of `cells` in all, of fused vectors (n, D): int32 (n,).

        Raises:
            BundleError: the bundle has no quantizer for so many cells.
        """
        if cells == 1:
            return np.zeros(len(vectors), dtype=np.int32)
        centres = self._quantizer.get(f"cells_{cells}")
        if centres is None:
            known = ", ".join(sorted(self._quantizer)) or "none"
            raise BundleError(
                f"{self.folder}: no quantizer for {cells} cells (it has: {known}); set assign.cells to 1"
            )
        nearest: NDArray[np.int32] = (vectors @ centres.T).argmax(axis=1).astype(np.int32)
        return nearest


def verify_bundle(folder: Path) -> list[FileReport]:
    """Compare every file of the bundle in `folder` with the digest in its manifest.

    Raises:
        ManifestError: the manifest cannot be read.
    """
    manifest = read_manifest(folder)
    return [
        FileReport(name, digest, sha256_of(folder / name) if (folder / name).is_file() else None)
        for name, digest in sorted(manifest.files.items())
    ]


def open_bundle(folder: Path, *, provider: Provider = "auto", intra_op_threads: int = 0) -> Bundle:
    """Verify the bundle in `folder`, open its graphs, check where they run, and warm them up.

    Args:
        provider: `auto` takes the GPU where there is one, `cuda` fails without, `cpu` never uses it.
        intra_op_threads: threads of one encoder call; 0 lets onnxruntime choose.

    Raises:
        ManifestError, BundleError: one line that says which file is wrong and what to do.
    """
    manifest = read_manifest(folder)
    _require_files(folder, manifest)
    for report in verify_bundle(folder):
        if report.state != "ok":
            raise BundleError(f"{folder / report.name}: {report.state}; restore the bundle from where it came")
    wanted = _providers(provider)
    encoders: dict[str, Encoder] = {}
    used: dict[str, str] = {}
    for modality in manifest.modalities:
        session = None if modality.graph is None else _open_graph(folder / modality.graph, wanted, intra_op_threads)
        if session is not None:
            used[modality.name] = _check_graph(folder, modality, session, manifest.dimension, provider)
        encoders[modality.name] = _encoder(folder, modality, session)
    bundle = Bundle(folder, manifest, encoders, used)
    _warm_up(bundle)
    return bundle


def _require_files(folder: Path, manifest: Manifest) -> None:
    used = {m.graph for m in manifest.modalities if m.graph} | {
        m.text.tokenizer for m in manifest.modalities if m.text
    }
    used |= {manifest.quantizer} if manifest.quantizer else set()
    for name in sorted(used - manifest.files.keys()):
        raise BundleError(f"{folder}: {name} is used and has no digest in the manifest; make the bundle anew")
    for name in manifest.files:
        if "/" in name or "\\" in name or name.startswith("."):
            raise BundleError(f"{folder}: file {name!r} is not directly in the bundle's folder")


def _providers(wanted: Provider) -> list[str]:
    if wanted == "cpu":
        return [CPU]
    if CUDA in onnxruntime.get_available_providers() and _gpu_present():
        onnxruntime.preload_dlls()
        return [CUDA, CPU]
    if wanted == "cuda":
        raise BundleError(
            "encode.provider is cuda and there is no usable GPU; install its driver, or set it to auto or cpu"
        )
    return [CPU]


def _gpu_present() -> bool:
    """Whether the driver counts a device: onnxruntime would only print errors and fall back."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int(0)
    return bool(driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0)


def _open_graph(path: Path, providers: list[str], intra_op_threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    options.intra_op_num_threads = intra_op_threads
    options.inter_op_num_threads = 1
    # a worker shares its cores with decoding: threads that wait must sleep, not spin
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime raises its own classes, which share no public base
        reason = str(error).splitlines()[0]
        raise BundleError(f"{path}: onnxruntime cannot open it: {reason}") from error


def _check_graph(folder: Path, modality: Modality, session: Any, dimension: int, wanted: Provider) -> str:
    """The provider a graph runs on, after checking that it takes and gives what the manifest says."""
    path = folder / str(modality.graph)
    inputs = {value.name for value in session.get_inputs()}
    if inputs != _INPUTS[modality.kind]:
        raise BundleError(
            f"{path}: a {modality.kind} graph takes {sorted(_INPUTS[modality.kind])}, this one {sorted(inputs)}"
        )
    shapes = {value.name: value.shape for value in session.get_outputs()}
    if OUTPUT not in shapes or shapes[OUTPUT][-1] != dimension:
        raise BundleError(f"{path}: must give `{OUTPUT}` of {dimension} numbers, gives {shapes}")
    provider = str(session.get_providers()[0])
    if wanted == "cuda" and provider != CUDA:
        raise BundleError(
            f"{path}: encode.provider is cuda and it runs on {provider}; check driver and CUDA libraries"
        )
    return provider


def _encoder(folder: Path, modality: Modality, session: Any) -> Encoder:
    if modality.text is not None:
        try:
            return TextEncoder(session, folder / modality.text.tokenizer, modality.text.max_tokens)
        except Exception as error:  # tokenizers raises plain Exception
            raise BundleError(f"{folder / modality.text.tokenizer}: not a tokenizer: {error}") from error
    if modality.image is not None:
        return ImageEncoder(session, modality.image.size)
    if modality.audio is not None:
        return AudioEncoder(session, modality.audio)
    if modality.vector is None:
        raise BundleError(f"{folder}: modality {modality.name!r} has no input")
    return VectorEncoder(session, modality.vector.size)


def _warm_up(bundle: Bundle) -> None:
    """Run every encoder once: allocations and kernel choices belong to the start."""
    for modality in bundle.manifest.modalities:
        item: Any = "warm up"
        if modality.image is not None:
            item = np.zeros((modality.image.size, modality.image.size, 3), dtype=np.uint8)
        elif modality.audio is not None:
            item = np.zeros(modality.audio.window, dtype=np.float32)
        elif modality.vector is not None:
            item = np.ones(modality.vector.size, dtype=np.float32)
        try:
            bundle.encoders[modality.name].embed([item])
        except Exception as error:
            raise BundleError(f"{bundle.folder}: the {modality.name} graph does not run: {error}") from error
