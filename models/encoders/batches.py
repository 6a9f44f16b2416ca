"""Running a graph on many rows: batches of bounded size, one at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

CPU_ROWS = 16
GPU_ROWS = 128

OUTPUT = "embedding"


def most_rows(session: Any) -> int:
    """Rows of one call: on a CPU more bring nothing but padding and memory, a GPU wants to be filled."""
    return CPU_ROWS if session.get_providers()[0] == "CPUExecutionProvider" else GPU_ROWS


def run_rows(session: Any, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """Run `session` on all rows of its inputs, no more at once than is good for its device.

    Args:
        session: an onnxruntime InferenceSession with one output called `embedding`.
        inputs: name -> array with one row an item; all have the same number of rows, at least one.

    Returns:
        float32 (rows, dimension).
    """
    count, most = len(next(iter(inputs.values()))), most_rows(session)
    parts = [
        session.run([OUTPUT], {name: rows[start : start + most] for name, rows in inputs.items()})[0]
        for start in range(0, count, most)
    ]
    return np.concatenate(parts).astype(np.float32, copy=False)
