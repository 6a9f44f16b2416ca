"""Bundles: a folder of ONNX graphs with one manifest, verified and opened."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from models.bound_session import BoundSession
from models.encoders.audio import AudioEncoder
from models.encoders.batches import OUTPUT
from models.encoders.buckets import widths_of
from models.encoders.image import ImageEncoder
from models.encoders.text import TextEncoder, padded
from models.encoders.vector import VectorEncoder
from models.fusion import FusionLayout
from models.manifest import BundleError, Manifest, Modality, read_manifest, sha256_of
from models.providers import Gpu, Provider, choose_providers
from models.quantizer import Quantizer
from models.sessions import open_modality

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from models.encoders.batches import Looked
    from models.manifest import Verification

UNIT_TOLERANCE = 0.01
WARM_UP_SECONDS = 240.0
"""For all shapes of all graphs on a GPU: well within the ten minutes that the chart gives a worker to start."""


class Encoder(Protocol):
    """Turns what a post holds of one modality into embeddings. Used by one thread at a time."""

    kind: str

    def embed(self, items: Sequence[Any]) -> NDArray[np.float32]:
        """Embed n items (n >= 1): float32 (n, d), unit rows."""

    def look(self, items: Sequence[Any]) -> Looked:
        """Embed n items, with their features where the bundle has such."""

    def example(self) -> Any:
        """An item that every working encoder of this kind can embed."""


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
        sessions: modality -> the session of its graph: plain on a CPU, with buffers of its own on a GPU.
        graphs: modality -> the file of that graph.
        remarks: what is not as it was asked for: a graph on the CPU, without CUDA graphs, a shape that is not warm.
        quantizers: `cells_n` -> the centres of n cells, float32 (n, fused dimension), unit rows.
        lock: held by whoever uses the encoders.
    """

    folder: Path
    manifest: Manifest
    encoders: dict[str, Encoder]
    providers: dict[str, str]
    sessions: dict[str, Any] = field(default_factory=dict, repr=False)
    graphs: dict[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    quantizers: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    @property
    def bundle_id(self) -> str:
        """Names everything that was made with these vectors."""
        return self.manifest.bundle_id

    @cached_property
    def layout(self) -> FusionLayout:
        """How fused vectors are put together."""
        return FusionLayout.of(self.manifest)

    def quantizer(self, cells: int) -> Quantizer | None:
        """The quantizer of so many cells; None for one, which needs none.

        Raises:
            BundleError: the bundle has no quantizer for so many cells.
        """
        if cells == 1:
            return None
        centres = self.quantizers.get(f"cells_{cells}")
        if centres is None:
            known = ", ".join(sorted(self.quantizers)) or "none"
            raise BundleError(
                f"{self.folder}: no quantizer for {cells} cells (it has: {known}); set assign.cells to 1"
            )
        return Quantizer(centres)

    def cell_of(self, vectors: NDArray[np.float32], cells: int) -> NDArray[np.int32]:
        """The cells, of `cells` in all, of fused vectors (n, D): int32 (n,).

        Raises:
            BundleError: the bundle has no quantizer for so many cells.
        """
        quantizer = self.quantizer(cells)
        return np.zeros(len(vectors), dtype=np.int32) if quantizer is None else quantizer.cell_of(vectors)


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


def open_bundle(
    folder: Path, *, provider: Provider = "auto", intra_op_threads: int = 0, gpu: Gpu | None = None
) -> Bundle:
    """Verify the bundle in `folder`, open its graphs, check where they run, and warm them up.

    Args:
        provider: `auto` takes the GPU where there is one, `cuda` and `tensorrt` fail without, `cpu` never uses it.
        intra_op_threads: threads of one encoder call; 0 lets onnxruntime choose.
        gpu: how graphs run where they run on a GPU; None as by default.

    Raises:
        ManifestError, BundleError: one line that says which file is wrong and what to do.
    """
    manifest = read_manifest(folder)
    _require_files(folder, manifest)
    for report in verify_bundle(folder):
        if report.state != "ok":
            raise BundleError(f"{folder / report.name}: {report.state}; restore the bundle from where it came")
    gpu = gpu or Gpu()
    wanted = choose_providers(provider, cuda_graphs=gpu.cuda_graphs)
    encoders: dict[str, Encoder] = {}
    sessions, used, graphs = {}, {}, {}
    remarks: list[str] = []
    for modality in manifest.modalities:
        session = None
        if modality.graph is not None:
            opened = open_modality(
                folder,
                manifest,
                modality,
                wanted=provider,
                providers=wanted,
                intra_op_threads=intra_op_threads,
                gpu=gpu,
            )
            session = sessions[modality.name] = opened.session
            used[modality.name], graphs[modality.name] = opened.provider, opened.path.name
            remarks += opened.remarks
        asked = manifest.verification.get(modality.name)
        encoders[modality.name] = make_encoder(folder, modality, session, verification=asked)
    deadline = time.monotonic() + WARM_UP_SECONDS
    for modality in manifest.modalities:
        _check_unit_rows(folder, modality.name, encoders[modality.name])
        remarks += _warm_up(modality, encoders[modality.name], sessions.get(modality.name), deadline)
    return Bundle(folder, manifest, encoders, used, sessions, graphs, tuple(remarks), _quantizers(folder, manifest))


def _require_files(folder: Path, manifest: Manifest) -> None:
    used = {m.graph for m in manifest.modalities if m.graph} | {
        m.text.tokenizer for m in manifest.modalities if m.text
    }
    used |= set(manifest.gpu_graphs.values())
    used |= {manifest.quantizer} if manifest.quantizer else set()
    for name in sorted(used - manifest.files.keys()):
        raise BundleError(f"{folder}: {name} is used and has no digest in the manifest; make the bundle anew")
    for name in manifest.files:
        if "/" in name or "\\" in name or name.startswith("."):
            raise BundleError(f"{folder}: file {name!r} is not directly in the bundle's folder")


def _quantizers(folder: Path, manifest: Manifest) -> dict[str, NDArray[np.float32]]:
    if manifest.quantizer is None:
        return {}
    path = folder / manifest.quantizer
    try:
        centres = load_file(path)
    except (SafetensorError, OSError) as error:
        raise BundleError(f"{path}: not a safetensors file: {error}") from error
    for name, rows in centres.items():
        if rows.ndim != 2 or name != f"cells_{len(rows)}" or rows.shape[1] != manifest.fused_dimension:
            raise BundleError(
                f"{path}: {name} is {list(rows.shape)}, cells_n must be [n, {manifest.fused_dimension}]; "
                "make the bundle anew"
            )
    return centres


def make_encoder(
    folder: Path, modality: Modality, session: Any, *, verification: Verification | None = None
) -> Encoder:
    """The encoder of a modality around the session of its graph.

    Args:
        folder: of the bundle.
        modality: as its manifest has it.
        session: of its graph.
        verification: which features are wanted too; None for none.

    Raises:
        BundleError: the bundle's folder lacks what it needs.
    """
    if modality.text is not None:
        try:
            return TextEncoder(session, folder / modality.text.tokenizer, modality.text, verification)
        except Exception as error:  # tokenizers raises plain Exception
            raise BundleError(f"{folder / modality.text.tokenizer}: not a tokenizer: {error}") from error
    if modality.image is not None:
        return ImageEncoder(session, modality.image, features=verification is not None)
    if modality.audio is not None:
        return AudioEncoder(session, modality.audio, verification)
    if modality.vector is None:
        raise BundleError(f"{folder}: modality {modality.name!r} has no input")
    return VectorEncoder(session, modality.vector.size)


def _check_unit_rows(folder: Path, name: str, encoder: Encoder) -> None:
    """Run an encoder once, for its allocations and kernel choices, and look at what it gives."""
    try:
        rows = encoder.embed([encoder.example()] * 2)
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise BundleError(f"{folder}: the {name} graph does not run: {reason}") from error
    lengths = np.linalg.norm(rows, axis=1)
    if not np.allclose(lengths, 1, rtol=0, atol=UNIT_TOLERANCE):
        raise BundleError(f"{folder}: the {name} graph must give vectors of length 1, gives {lengths.tolist()}")


def _warm_up(modality: Modality, encoder: Encoder, session: Any, deadline: float) -> list[str]:
    """Run every shape that a graph on a GPU is called with: its buffers, kernels and CUDA graph are made there.

    Largest first, so that memory that does not suffice is noticed at once. What is not warm by the deadline is made
    when it is first called, and named in a remark.
    """
    if not isinstance(session, BoundSession):
        return []
    rows = sorted(session.buckets.rows, reverse=True)
    widths = [0] if modality.text is None else sorted(widths_of(modality.text, session.buckets), reverse=True)
    for place, (width, size) in enumerate((width, size) for width in widths for size in rows):
        if time.monotonic() > deadline:
            late = len(rows) * len(widths) - place
            return [f"{modality.name}: {late} shapes are not warm after {WARM_UP_SECONDS:.0f} s; set fewer of them"]
        if modality.text is None:
            encoder.look([encoder.example()] * size)
        else:
            # tokens that count: with a mask of nothing, kernels may do nothing
            session.run([OUTPUT], padded([[modality.text.padding] * width] * size, modality.text, width))
    return []
