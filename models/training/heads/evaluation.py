"""How well parts of posts that nothing was trained on find each other, and their altered copies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.fusion import FusionLayout

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from models.post_rows import PostRows

RANK = 10


def retrieval(rows: PostRows, means: Mapping[str, NDArray[np.float32]]) -> dict[str, float]:
    """Recall at 10 between modalities, and from copies to originals within one; each among all that have the part.

    Args:
        rows: posts in the joint space.
        means: by modality; taken away before cosines, as `shoal search --in` does.

    Returns:
        By direction, as "text to image" and "copies of text".
    """
    names = tuple(rows.items)
    layout = FusionLayout(
        names, len(means[names[0]]), np.ones(len(names), dtype=np.float32), np.stack([means[n] for n in names])
    )
    parts = {}
    for name in names:
        flat = rows.embeddings(name).reshape(len(rows) * rows.views, -1)
        unit = layout.fuse({name: flat}, {name: rows.present(name).ravel()})[:, layout.block(name)]
        parts[name] = unit.reshape(len(rows), rows.views, -1)
    found = {}
    for asked in names:
        for answer in names:
            both = np.flatnonzero(rows.present(asked)[:, 0] & rows.present(answer)[:, 0])
            if asked != answer and len(both) > RANK:
                cosines = parts[asked][both, 0] @ parts[answer][both, 0].T
                found[f"{asked} to {answer}"] = found_at(cosines, rows.groups[both])
    for name in names if rows.views > 1 else ():
        both = np.flatnonzero(rows.present(name)[:, :2].all(axis=1))
        if len(both) > RANK:
            cosines = parts[name][both, 1] @ parts[name][both, 0].T
            found[f"copies of {name}"] = found_at(cosines, rows.groups[both])
    return found


def found_at(cosines: NDArray[np.float32], groups: NDArray[np.int64], rank: int = RANK) -> float:
    """Share of the queries with something of their own group among the first `rank` answers.

    Args:
        cosines: (n, n), of queries and answers.
        groups: int64 (n,), of both.
    """
    same = groups[:, None] == groups[None, :]
    best = np.where(same, cosines, -np.inf).max(axis=1)
    ahead = ((cosines > best[:, None]) & ~same).sum(axis=1)
    return float((ahead < rank).mean())
