"""Libraries that find near vectors and take updates, behind one interface: for tests.benchmarks.index.

None of them is a dependency of ours: `uv pip install usearch hnswlib voyager faiss-cpu` in an environment of its own.
"""

from __future__ import annotations

import math
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Keys = NDArray[np.int64]

LINKS, BUILDING = 16, 128
"""Of a graph: links a vector, and candidates looked at when one is added."""

CANDIDATES: tuple[float, ...] = (32, 64, 128, 256, 512, 1024, 2048)
"""Efforts of a search in a graph."""

SHARES: tuple[float, ...] = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
"""Efforts of a search in lists: the share of the lists that are looked through."""


class Index(Protocol):
    """Vectors under the keys 0, 1, 2 ...

    Attributes:
        efforts: of a search, ascending, as `found` takes them.
    """

    efforts: tuple[float, ...]

    def found(self, units: Vectors, effort: float) -> Keys:
        """The key of the vector of the greatest product with each of these: int64 (n,)."""

    def move(self, key: int, row: Vectors) -> None:
        """Another vector under a key."""


class Usearch:
    """The graph of usearch. A vector that moves is removed and added."""

    efforts = CANDIDATES

    def __init__(self, rows: Vectors) -> None:
        made = import_module("usearch.index").Index
        self._index: Any = made(
            ndim=rows.shape[1], metric="ip", dtype="f32", connectivity=LINKS, expansion_add=BUILDING
        )
        self._index.add(np.arange(len(rows), dtype=np.uint64), rows, threads=1)

    def found(self, units: Vectors, effort: float) -> Keys:
        """See Index."""
        self._index.expansion_search = int(effort)
        return np.asarray(self._index.search(units, 1, threads=1).keys.reshape(-1), dtype=np.int64)

    def move(self, key: int, row: Vectors) -> None:
        """See Index."""
        self._index.remove(key)
        self._index.add(key, row, threads=1)


class Hnswlib:
    """The graph of hnswlib, which updates in place."""

    efforts = CANDIDATES

    def __init__(self, rows: Vectors) -> None:
        self._index: Any = import_module("hnswlib").Index(space="ip", dim=rows.shape[1])
        self._index.init_index(max_elements=len(rows), M=LINKS, ef_construction=BUILDING)
        self._index.set_num_threads(1)
        self._index.add_items(rows, np.arange(len(rows)))

    def found(self, units: Vectors, effort: float) -> Keys:
        """See Index."""
        self._index.set_ef(int(effort))
        return np.asarray(self._index.knn_query(units, 1)[0].reshape(-1), dtype=np.int64)

    def move(self, key: int, row: Vectors) -> None:
        """See Index."""
        self._index.add_items(row[None], [key])


class Voyager:
    """The graph of voyager, which updates in place."""

    efforts = CANDIDATES

    def __init__(self, rows: Vectors) -> None:
        library = import_module("voyager")
        self._index: Any = library.Index(
            library.Space.InnerProduct, rows.shape[1], M=LINKS, ef_construction=BUILDING, max_elements=len(rows)
        )
        self._index.add_items(rows, list(range(len(rows))), num_threads=1)

    def found(self, units: Vectors, effort: float) -> Keys:
        """See Index."""
        keys, _ = self._index.query(units, 1, num_threads=1, query_ef=int(effort))
        return np.asarray(keys.reshape(-1), dtype=np.int64)

    def move(self, key: int, row: Vectors) -> None:
        """See Index."""
        self._index.add_item(row, key)


class Lists:
    """The inverted lists of faiss (IVF) over whole vectors, which update in place; its graph cannot remove."""

    efforts = SHARES

    def __init__(self, rows: Vectors) -> None:
        library = import_module("faiss")
        library.omp_set_num_threads(1)
        self._count = 4 * math.isqrt(len(rows))
        inner = library.METRIC_INNER_PRODUCT
        self._coarse = library.IndexFlatIP(rows.shape[1])
        self._index: Any = library.IndexIVFFlat(self._coarse, rows.shape[1], self._count, inner)
        self._index.cp.niter = 10
        self._index.train(rows[: 64 * self._count])
        self._index.add(rows)
        self._index.set_direct_map_type(library.DirectMap.Array)

    def found(self, units: Vectors, effort: float) -> Keys:
        """See Index."""
        self._index.nprobe = max(1, round(effort * self._count))
        return np.asarray(self._index.search(units, 1)[1].reshape(-1), dtype=np.int64)

    def move(self, key: int, row: Vectors) -> None:
        """See Index."""
        self._index.update_vectors(np.array([key]), row[None])


INDEXES: dict[str, Callable[[Vectors], Index]] = {
    "usearch": Usearch,
    "hnswlib": Hnswlib,
    "voyager": Voyager,
    "faiss-lists": Lists,
}
