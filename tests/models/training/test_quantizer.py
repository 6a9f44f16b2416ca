import numpy as np
from numpy.typing import NDArray

from models.training.quantizer import LEVELS, nested_cells, split


def rows(count: int, size: int, seed: int) -> NDArray[np.float32]:
    made = np.random.default_rng(seed).standard_normal((count, size)).astype(np.float32)
    unit: NDArray[np.float32] = made / np.linalg.norm(made, axis=1, keepdims=True)
    return unit


def test_every_level_has_its_cells_as_unit_rows() -> None:
    cells = nested_cells(rows(800, 24, 1), np.random.default_rng(2))
    assert list(cells) == [f"cells_{count}" for count in LEVELS]
    for count in LEVELS:
        assert cells[f"cells_{count}"].shape == (count, 24)
        assert np.allclose(np.linalg.norm(cells[f"cells_{count}"], axis=1), 1.0, atol=1e-5)


def test_cells_are_children_of_the_level_above() -> None:
    vectors = rows(2000, 8, 3)
    cells = nested_cells(vectors, np.random.default_rng(4))
    for count in LEVELS[1:]:
        parents, children = cells[f"cells_{count // 2}"], cells[f"cells_{count}"]
        nearest = np.argmax(children @ parents.T, axis=1)
        assert (nearest == np.arange(count) // 2).mean() >= 0.75


def test_two_groups_are_split_apart_and_evenly_loaded() -> None:
    vectors = rows(400, 16, 5) * np.float32(0.2)
    vectors[:200, 0] += 1.0
    vectors[200:, 0] -= 1.0
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    _, side = split(vectors, np.random.default_rng(6))
    assert len(set(side[:200])) == len(set(side[200:])) == 1
    assert side[0] != side[200]


def test_vectors_that_are_all_equal_still_give_cells() -> None:
    cells = nested_cells(np.tile(rows(1, 8, 7), (64, 1)), np.random.default_rng(8))
    assert all(np.isfinite(level).all() for level in cells.values())
