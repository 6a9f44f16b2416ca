"""How near posts, exemplars and micro-clusters are to a query, part by part."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.fusion import FusionLayout


class Compared(NamedTuple):
    """Rows beside a query.

    Attributes:
        similarity: float32 (n,), the mean of the cosines below, each by its modality's weight; a part that a row
            lacks counts as 0. NaN where it lacks all of them.
        cosines: of each part of the query: float32 (n,), NaN where a row lacks the part that it is compared with.
    """

    similarity: NDArray[np.float32]
    cosines: dict[str, NDArray[np.float32]]


def compare(
    layout: FusionLayout, query: NDArray[np.float32], rows: NDArray[np.float32], *, within: str | None = None
) -> Compared:
    """Compare the parts of a query with those of other fused vectors.

    Unlike the similarity that decides, this one is not lowered by parts that only a row has: a text finds the posts
    with this text, whatever else they hold.

    Args:
        query: float32 (size,).
        rows: float32 (n, size); centroids too.
        within: compare every part of the query with this modality of the rows, across modalities. By default each
            part is compared with its like.

    Raises:
        ValueError: there is no such modality.
    """
    names = [name for name, there in zip(layout.names, layout.present(query[None])[0], strict=True) if there]
    cosines = {name: _cosines(query[layout.block(name)], rows[:, layout.block(within or name)]) for name in names}
    weights = np.array([layout.weights[layout.names.index(name)] for name in names])
    stacked = np.stack([cosines[name] for name in names])
    missing = np.isnan(stacked)
    similarity = weights @ np.where(missing, np.float32(0.0), stacked) / weights.sum()
    similarity[missing.all(axis=0)] = np.nan
    return Compared(similarity.astype(np.float32), cosines)


def _cosines(part: NDArray[np.float32], rows: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(part)
    products: NDArray[np.float32] = rows @ part
    found = np.full_like(products, np.nan)
    np.divide(products, norms, out=found, where=norms > 0.0)
    return found
