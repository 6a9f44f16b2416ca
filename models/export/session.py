"""Exported graphs as sessions on the CPU; free of torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnxruntime

from models.providers import CPU, left_out

if TYPE_CHECKING:
    from pathlib import Path

OUTPUT = "embedding"
"""Name of every graph's output."""


def open_session(
    path: Path, threads: int = 1, *, optimized: bool = True, variant: str = "fp32"
) -> onnxruntime.InferenceSession:
    """Open a graph of a variant on the CPU; without optimizing, it computes exactly what stands in it."""
    options = onnxruntime.SessionOptions()
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        str(path), options, providers=[CPU], disabled_optimizers=left_out(variant, [CPU])
    )


def session_of(graph: bytes) -> onnxruntime.InferenceSession:
    """Open a graph that is in memory, on one thread of the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=[CPU])
