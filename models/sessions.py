"""Graphs opened by onnxruntime: where they run, and whether they take and give what the manifest says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import onnxruntime

from models.bound_session import BoundSession
from models.encoders.batches import FEATURES, OUTPUT
from models.manifest import BundleError
from models.providers import (
    CPU,
    NAMES,
    REQUIRED,
    TENSORRT,
    Gpu,
    Provider,
    left_on_cpu,
    left_out,
    placed,
    told_counts,
    with_engine_options,
    without_cuda_graphs,
)
from models.verification import GIVEN_BY_GRAPHS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from models.manifest import AudioInput, ImageInput, Manifest, Modality, Verification

FATAL_ONLY = 4

# what goes wrong is raised as well; a machine without CUDA libraries is no news in `auto`
onnxruntime.set_default_logger_severity(FATAL_ONLY)


class OpenGraph(NamedTuple):
    """A graph that is open.

    Attributes:
        session: an InferenceSession on a CPU, a BoundSession on a GPU.
        provider: the execution provider that it really runs on.
        remarks: what is not as it was asked for, and why.
    """

    path: Path
    session: Any
    provider: str
    remarks: tuple[str, ...] = ()


def open_modality(
    folder: Path,
    manifest: Manifest,
    modality: Modality,
    *,
    wanted: Provider,
    providers: list[Any],
    intra_op_threads: int,
    gpu: Gpu,
) -> OpenGraph:
    """Open the graph of a modality that has one, on the best of `providers`, and see where its work is done.

    With `auto`, a graph that the GPU cannot run goes to the CPU as a whole, and a remark says so.

    Raises:
        BundleError: it cannot be opened, is not as the manifest says, or does not run where it must.
    """
    on_cpu = folder / str(modality.graph)
    if providers == [CPU]:
        session = _opened(on_cpu, manifest, modality, providers, intra_op_threads)
        return OpenGraph(on_cpu, session, provider_in_use(on_cpu, session, wanted))
    path = folder / (manifest.gpu_graphs.get(modality.name) or str(modality.graph))
    try:
        return _open_on_gpu(path, manifest, modality, wanted, providers, intra_op_threads, gpu)
    except BundleError as error:
        if wanted in REQUIRED:
            raise
        session = _opened(on_cpu, manifest, modality, [CPU], intra_op_threads)
        return OpenGraph(on_cpu, session, CPU, (f"{modality.name} runs on the CPU: {error}",))


def _open_on_gpu(
    path: Path, manifest: Manifest, modality: Modality, wanted: Provider, providers: list[Any], threads: int, gpu: Gpu
) -> OpenGraph:
    variant = manifest.variant_of(path.name)
    given = with_engine_options(
        providers, {name: shape for name, (_, shape) in _inputs(modality).items()}, modality, gpu, variant
    )
    remarks: list[str] = []
    graphs = gpu.cuda_graphs
    try:
        session = _opened(path, manifest, modality, given, threads)
    except BundleError as error:
        if not graphs:
            raise
        session = _opened(path, manifest, modality, without_cuda_graphs(given), threads)
        remarks.append(f"{modality.name} runs without CUDA graphs: {error}")
        graphs = False
    provider = provider_in_use(path, session, wanted)
    if provider == CPU:
        raise BundleError(f"{path}: no GPU provider could be opened for it; check driver and CUDA libraries")
    placement = placed(session)
    behind = left_on_cpu(placement)
    if behind:
        raise BundleError(
            f"{path}: {provider} leaves computing operators on the CPU ({told_counts(behind)}); take a variant in "
            "fp16, bf16 or fp32 for the GPU (shoal export), or set encode.provider to cpu"
        )
    if provider == TENSORRT and (apart := left_on_cpu({CPU: placement.get(NAMES["cuda"], [])})):
        remarks.append(
            f"{modality.name}: TensorRT leaves {told_counts(apart)} to CUDA; export with --plain-attention, "
            "TensorRT does not know onnxruntime's own operators"
        )
    return OpenGraph(path, BoundSession(session, "cuda", gpu.buckets, graphs=graphs), provider, tuple(remarks))


def _opened(path: Path, manifest: Manifest, modality: Modality, providers: list[Any], threads: int) -> Any:
    """A session whose graph is as the manifest says."""
    session = open_graph(path, providers, threads, manifest.variant_of(path.name))
    check_graph(path, modality, session, manifest.dimension, manifest.verification.get(modality.name))
    return session


def open_graph(path: Path, providers: list[Any], intra_op_threads: int, variant: str = "fp32") -> Any:
    """An onnxruntime InferenceSession of the graph in `path`; 0 threads let onnxruntime choose.

    Raises:
        BundleError: it is no graph.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = FATAL_ONLY
    options.intra_op_num_threads = intra_op_threads
    options.inter_op_num_threads = 1
    # a worker shares its cores with decoding: threads that wait must sleep, not spin
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    try:
        return onnxruntime.InferenceSession(
            str(path), options, providers=providers, disabled_optimizers=left_out(variant, providers)
        )
    except Exception as error:  # onnxruntime raises its own classes, which share no public base
        reason = str(error).splitlines()[0]
        raise BundleError(f"{path}: onnxruntime cannot open it: {reason}") from error


def provider_in_use(path: Path, session: Any, wanted: Provider) -> str:
    """The execution provider that a session really runs on: onnxruntime falls back to the CPU silently.

    Raises:
        BundleError: a GPU's is wanted and it is another.
    """
    provider = str(session.get_providers()[0])
    if wanted in REQUIRED and provider != NAMES[wanted]:
        raise BundleError(
            f"{path}: encode.provider is {wanted} and it runs on {provider}; check driver and "
            f"{'TensorRT' if wanted == 'tensorrt' else 'CUDA'} libraries"
        )
    return provider


def check_graph(
    path: Path, modality: Modality, session: Any, dimension: int, verification: Verification | None = None
) -> None:
    """Compare what a graph takes and gives with its modality in the manifest.

    Raises:
        BundleError: they differ.
    """
    wanted = _inputs(modality)
    given = {value.name: (value.type, value.shape) for value in session.get_inputs()}
    fits = wanted.keys() == given.keys() and all(
        given[name][0] == type_ and _shape_fits(shape, given[name][1]) for name, (type_, shape) in wanted.items()
    )
    if not fits:
        raise BundleError(
            f"{path}: by the manifest it takes {_told(wanted)}, it takes {_told(given)}; make the bundle anew"
        )
    shapes = {value.name: value.shape for value in session.get_outputs()}
    if not _shape_fits([None, dimension], shapes.get(OUTPUT, [])):
        raise BundleError(f"{path}: must give `{OUTPUT}` [any, {dimension}], gives {shapes}; make the bundle anew")
    if verification is None or verification.layout not in GIVEN_BY_GRAPHS:
        return
    sides = [verification.height, verification.width]
    types = {value.name: value.type for value in session.get_outputs()}
    if types.get(FEATURES) != "tensor(uint8)" or not _shape_fits([None, *sides], shapes[FEATURES]):
        raise BundleError(f"{path}: must give `{FEATURES}` uint8 [any, {sides[0]}, {sides[1]}]; make the bundle anew")


def _inputs(modality: Modality) -> dict[str, tuple[str, list[int | None]]]:
    """Name -> type and shape of what a graph of this modality takes; None for a size that varies."""
    if modality.image is not None:
        return _image_inputs(modality.image)
    if modality.audio is not None:
        return _audio_inputs(modality.audio)
    if modality.vector is not None:
        return {"vector": ("tensor(float)", [None, modality.vector.size])}
    return {name: ("tensor(int64)", [None, None]) for name in ("input_ids", "attention_mask")}


def _image_inputs(form: ImageInput) -> dict[str, tuple[str, list[int | None]]]:
    if form.patch is None:
        return {"pixels": ("tensor(uint8)", [None, form.size, form.size, 3])}
    row = ("tensor(uint8)", [None, form.patches, form.patch * form.patch * 3])
    return {"pixels": row, "shapes": ("tensor(int64)", [None, 2])}


def _audio_inputs(form: AudioInput) -> dict[str, tuple[str, list[int | None]]]:
    inputs: dict[str, tuple[str, list[int | None]]] = {"waveform": ("tensor(float)", [None, form.window])}
    if form.lengths:
        inputs["samples"] = ("tensor(int64)", [None])
    return inputs


def _shape_fits(wanted: Sequence[int | None], given: Sequence[int | str | None]) -> bool:
    """Whether a graph's sizes, where names and None vary, allow the wanted ones."""
    return len(wanted) == len(given) and all(
        not isinstance(size, int) or size == want for want, size in zip(wanted, given, strict=True)
    )


def _told(values: dict[str, tuple[str, Any]]) -> str:
    return ", ".join(
        f"{name} {type_} [{', '.join('any' if size is None else str(size) for size in shape)}]"
        for name, (type_, shape) in sorted(values.items())
    )
