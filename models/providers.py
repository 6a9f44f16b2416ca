"""Execution providers: which there are, how they are asked for, and on which one a graph really runs."""

from __future__ import annotations

import contextlib
import ctypes
import io
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import onnxruntime

from models.encoders.buckets import GPU_BUCKETS, Buckets, widths_of
from models.manifest import BundleError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from models.manifest import Modality

Provider = Literal["auto", "cuda", "tensorrt", "cpu"]
REQUIRED: tuple[Provider, ...] = ("cuda", "tensorrt")
"""Those that are asked for by name: without a GPU they fail."""

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"
NAMES: dict[str, str] = {"cuda": CUDA, "tensorrt": TENSORRT, "cpu": CPU}

COMPUTING = {
    *("MatMul", "Gemm", "FusedMatMul", "FusedGemm", "GemmFastGelu", "MatMulInteger", "QLinearMatMul", "Einsum"),
    *("Conv", "FusedConv", "NhwcConv", "NhwcFusedConv", "ConvInteger", "QLinearConv", "ConvTranspose", "STFT"),
    *("Attention", "MultiHeadAttention", "GroupQueryAttention", "PackedMultiHeadAttention", "LSTM", "GRU"),
}
"""Operators in which the time of an encoder goes. Others may stay on the CPU: onnxruntime puts shapes there."""


class Gpu(NamedTuple):
    """How graphs are run where they run on a GPU.

    Attributes:
        buckets: the shapes of calls.
        cuda_graphs: capture each of them as a CUDA graph.
        engine_cache: folder where TensorRT keeps its engines; None builds them at every start.
    """

    buckets: Buckets = GPU_BUCKETS
    cuda_graphs: bool = False
    engine_cache: Path | None = None


def choose_providers(wanted: Provider, *, cuda_graphs: bool = False) -> list[Any]:
    """The execution providers to open graphs with, the best first; TensorRT's options go with each graph.

    Raises:
        BundleError: a GPU is wanted and there is none, or the installed onnxruntime lacks the provider.
    """
    if wanted == "cpu":
        return [CPU]
    available = onnxruntime.get_available_providers()
    if wanted in REQUIRED and NAMES[wanted] not in available:
        raise BundleError(
            f"encode.provider is {wanted} and the installed onnxruntime has no {NAMES[wanted]} (it has "
            f"{', '.join(available)}); install onnxruntime-gpu without onnxruntime, or set it to auto or cpu"
        )
    if CUDA in available and _gpu_present():
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does not find
            onnxruntime.preload_dlls()
        # the exhaustive search, its default, would stop for every new batch size
        options = {"cudnn_conv_algo_search": "HEURISTIC"}
        if cuda_graphs and wanted != "tensorrt":  # which captures by itself
            options["enable_cuda_graph"] = "1"
        return [*([TENSORRT] if wanted == "tensorrt" else []), (CUDA, options), CPU]
    if wanted in REQUIRED:
        raise BundleError(
            f"encode.provider is {wanted} and there is no usable GPU; install its driver, or set it to auto or cpu"
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


def without_cuda_graphs(providers: list[Any]) -> list[Any]:
    """The same providers, and nothing is captured."""
    return [
        (one[0], {name: value for name, value in one[1].items() if "cuda_graph" not in name})
        if isinstance(one, tuple)
        else one
        for one in providers
    ]


def with_engine_options(
    providers: list[Any], shapes: Mapping[str, list[int | None]], modality: Modality, gpu: Gpu, variant: str
) -> list[Any]:
    """The providers, TensorRT with the options of one graph: its profile covers all buckets, so one engine does.

    Args:
        shapes: of the graph's inputs, None where a size varies: the first is the rows, the second the tokens.
        variant: of the graph: fp32, fp16, bf16 or int8.
    """
    if TENSORRT not in providers:
        return providers
    widths = [0] if modality.text is None else widths_of(modality.text, gpu.buckets)
    rows = gpu.buckets.rows
    options: dict[str, str] = {
        "trt_profile_min_shapes": _profile(shapes, rows[0], widths[0]),
        "trt_profile_opt_shapes": _profile(shapes, rows[-1], widths[len(widths) // 2]),
        "trt_profile_max_shapes": _profile(shapes, rows[-1], widths[-1]),
        "trt_fp16_enable": str(int(variant == "fp16")),
        "trt_bf16_enable": str(int(variant == "bf16")),
        "trt_cuda_graph_enable": str(int(gpu.cuda_graphs)),
    }
    if gpu.engine_cache is not None:
        folder = str(gpu.engine_cache)
        options |= {"trt_engine_cache_enable": "1", "trt_engine_cache_path": folder}
        options |= {"trt_timing_cache_enable": "1", "trt_timing_cache_path": folder}
    return [(TENSORRT, options) if one == TENSORRT else one for one in providers]


def _profile(shapes: Mapping[str, list[int | None]], rows: int, tokens: int) -> str:
    """As `input_ids:1x16,attention_mask:1x16`."""
    varying = (rows, tokens)
    return ",".join(
        f"{name}:" + "x".join(str(varying[place] if size is None else size) for place, size in enumerate(sizes))
        for name, sizes in shapes.items()
    )


def left_out(variant: str, providers: Sequence[Any] = ()) -> list[str]:
    """Optimizers that graphs of a variant are opened without on these providers.

    The one that reorders convolutions for the CPU ends the process on some graphs in float16 (onnxruntime 1.31). The
    one that joins a sum and the normalisation after it makes one kernel of three on a GPU; with the CPU's a product,
    sum and normalisation took 1.9 times as long as without (of 192 numbers), and 1.2 times (of 768).
    """
    broken = ["NchwcTransformer"] if variant == "fp16" else []
    return broken + (["SkipLayerNormFusion"] if list(providers) == [CPU] else [])


def placed(session: Any) -> dict[str, list[str]]:
    """Execution provider -> the operators that onnxruntime has put on it, one for each node."""
    found: dict[str, list[str]] = {}
    for part in session.get_provider_graph_assignment_info():
        found.setdefault(str(part.ep_name), []).extend(str(node.op_type) for node in part.get_nodes())
    return found


def left_on_cpu(placement: Mapping[str, list[str]]) -> dict[str, int]:
    """The computing operators that a placement leaves on the CPU, with their number."""
    names = [name for name in placement.get(CPU, []) if name in COMPUTING]
    return {name: names.count(name) for name in sorted(set(names))}


def told_counts(counts: Mapping[str, int]) -> str:
    """As `24 MatMul, 1 Conv`."""
    return ", ".join(f"{count} {name}" for name, count in counts.items())
