"""Graphs opened by onnxruntime: where they run, and whether they take and give what the manifest says."""

from __future__ import annotations

import contextlib
import ctypes
import io
from typing import TYPE_CHECKING, Any, Literal

import onnxruntime

from models.encoders.batches import FEATURES, OUTPUT
from models.manifest import BundleError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from models.manifest import AudioInput, ImageInput, Modality, Verification

Provider = Literal["auto", "cuda", "cpu"]

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
FATAL_ONLY = 4

# what goes wrong is raised as well; a machine without CUDA libraries is no news in `auto`
onnxruntime.set_default_logger_severity(FATAL_ONLY)


def choose_providers(wanted: Provider) -> list[Any]:
    """The execution providers to open graphs with, the best first.

    Raises:
        BundleError: `cuda` is wanted and there is no GPU.
    """
    if wanted == "cpu":
        return [CPU]
    if CUDA in onnxruntime.get_available_providers() and _gpu_present():
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does not find
            onnxruntime.preload_dlls()
        # the exhaustive search, its default, would stop for every new batch size
        return [(CUDA, {"cudnn_conv_algo_search": "HEURISTIC"}), CPU]
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


def open_graph(path: Path, providers: list[Any], intra_op_threads: int) -> Any:
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
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime raises its own classes, which share no public base
        reason = str(error).splitlines()[0]
        raise BundleError(f"{path}: onnxruntime cannot open it: {reason}") from error


def provider_in_use(path: Path, session: Any, wanted: Provider) -> str:
    """The execution provider that a session really runs on: onnxruntime falls back to the CPU silently.

    Raises:
        BundleError: `cuda` is wanted and it is another.
    """
    provider = str(session.get_providers()[0])
    if wanted == "cuda" and provider != CUDA:
        raise BundleError(
            f"{path}: encode.provider is cuda and it runs on {provider}; check driver and CUDA libraries"
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
    if verification is None:
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
