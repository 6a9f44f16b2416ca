"""Running a graph on many rows: calls of bounded size, one at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from models.encoders.buckets import buckets_of, cut_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from models.verification import Layout

OUTPUT = "embedding"
FEATURES = "features"


class Looked(NamedTuple):
    """What an encoder makes of n items.

    Attributes:
        embeddings: float32 (n, d), unit rows.
        features: uint8 (n, height, width), of the layout that the manifest says; None where the bundle has none.
    """

    embeddings: NDArray[np.float32]
    features: NDArray[np.uint8] | None = None
    layout: Layout = "image"


def run_rows(session: Any, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """The embeddings that `look_at_rows` gives."""
    return look_at_rows(session, inputs).embeddings


def look_at_rows(session: Any, inputs: Mapping[str, NDArray[Any]], *, features: bool = False) -> Looked:
    """Run `session` on all rows of its inputs, no more at once than is good for its device.

    Args:
        session: an onnxruntime InferenceSession, or a BoundSession, with an output called `embedding`.
        inputs: name -> array with one row an item; all have the same number of rows, at least one.
        features: whether it has another one called `features`, which is wanted too.
    """
    wanted, parts, start = ([OUTPUT, FEATURES] if features else [OUTPUT]), [], 0
    for count in cut_rows(len(next(iter(inputs.values()))), buckets_of(session)):
        parts.append(session.run(wanted, {name: rows[start : start + count] for name, rows in inputs.items()}))
        start += count
    embeddings = np.concatenate([part[0] for part in parts]).astype(np.float32, copy=False)
    return Looked(embeddings, np.concatenate([part[1] for part in parts]) if features else None)
