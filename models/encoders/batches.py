"""Running a graph on many rows: batches of bounded size, one at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

MOST_ROWS = 32
"""Rows of one call: more bring nothing on a CPU core, and memory grows with them."""

OUTPUT = "embedding"


def run_rows(session: Any, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """Run `session` on all rows of its inputs, at most MOST_ROWS at once.

    Args:
        session: an onnxruntime InferenceSession with one output called `embedding`.
        inputs: name -> array with one row an item; all have the same number of rows, at least one.

    Returns:
        float32 (rows, dimension).
    """
    count = len(next(iter(inputs.values())))
    parts = [
        session.run([OUTPUT], {name: rows[start : start + MOST_ROWS] for name, rows in inputs.items()})[0]
        for start in range(0, count, MOST_ROWS)
    ]
    return np.concatenate(parts).astype(np.float32, copy=False)
