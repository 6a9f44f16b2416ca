"""The cells of the vector space: nested spherical k-means, each level halving the cells of the one above."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVELS = (2, 4, 8, 16)


def nested_cells(vectors: NDArray[np.float32], rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
    """Centres for 2, 4, 8 and 16 cells; cell c of one level is a child of cell c // 2 of the level above.

    Args:
        vectors: (n, d) unit rows, at least a few hundred for each of the 16 cells.
        rng: picks the first centres.

    Returns:
        `cells_2` ... `cells_16`, each float32 (cells, d) with unit rows.
    """
    owner = np.zeros(len(vectors), dtype=np.int64)
    levels: dict[str, NDArray[np.float32]] = {}
    for count in LEVELS:
        centres = np.zeros((count, vectors.shape[1]), dtype=np.float32)
        finer = np.zeros_like(owner)
        for parent in range(count // 2):
            inside = np.flatnonzero(owner == parent)
            members = vectors[inside] if len(inside) >= 2 else vectors
            halves, side = split(members, rng)
            centres[2 * parent : 2 * parent + 2] = halves
            if len(inside) >= 2:
                finer[inside] = 2 * parent + side
        owner = finer
        levels[f"cells_{count}"] = centres
    return levels


def split(
    vectors: NDArray[np.float32], rng: np.random.Generator, rounds: int = 25
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Two unit centres that halve the rows: every round the half nearer to each centre is its side.

    Halving by rank instead of by the nearest centre keeps cells equally loaded while they are learned.

    Returns:
        (2, d) centres and the side, 0 or 1, of each row.
    """
    first, second = rng.integers(len(vectors), size=2)
    direction = np.subtract(vectors[first], vectors[second])
    if not direction.any():
        direction = np.asarray(rng.standard_normal(vectors.shape[1]), dtype=np.float32)
    side = np.zeros(len(vectors), dtype=np.int64)
    for _ in range(rounds):
        preference = vectors @ direction
        previous = side
        side = (preference > np.median(preference)).astype(np.int64)
        centres = np.stack([_centre(vectors, side == which, rng) for which in (0, 1)])
        direction = centres[1] - centres[0]
        if (side == previous).all():
            break
    return centres, (vectors @ direction > 0).astype(np.int64)


def _centre(vectors: NDArray[np.float32], chosen: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float32]:
    total = vectors[chosen].sum(axis=0) if chosen.any() else vectors[rng.integers(len(vectors))]
    return np.asarray(total / max(float(np.linalg.norm(total)), 1e-12), dtype=np.float32)
