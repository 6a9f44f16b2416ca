"""Which clusters may be near which posts of a chunk: products, kept up to date while the posts are placed.

All clusters are multiplied with all posts, or, where there are lists (models.lists), those of each list with the
posts that look into it; a post that does not has a product of minus infinity with them.

Nothing here decides anything. A product in float32 is wrong by little, in another way on every processor; so what is
proposed reaches a bound that is lower by more than that, and the caller computes each proposal again, exactly.
"""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 2048
"""Clusters multiplied at a time: the products of a chunk of posts with them stay in the processor's cache."""


CHUNK = 256
"""Posts in a chunk, at most."""

EVERYWHERE = -1
"""The list of clusters that every post looks at."""

NOBODY = -2
"""Whose the places are that are no list's."""


@lru_cache
def slack(size: int) -> float:
    """More than two cosines found here, over vectors of so many numbers, can be wrong together.

    In whichever order it is added up, the float32 product of two vectors is wrong by at most `size` roundings (2 **
    -24) of the product of their lengths. A post that joins a cluster adds its own product to the cluster's: of each
    such step at most four roundings remain, of the sum of the lengths of all that was added, which is at most twice
    the length of the sum (Candidates.joined sees to that).
    """
    return 4.0 * (size + 4.0 * CHUNK + 16.0) * 2.0**-24


class Candidates:
    """The clusters near any post of a chunk, with the product of each one's sum and every post.

    Args:
        units: float32 (n, size), the posts.
        vectors: float32 (n, size): what the posts add to the sum that they join.
        slots: of the clusters near any of them.
        products: float32 (n, len(slots)).
        bounds: float32 (len(slots),): from this product on a cluster is near.
        homes: (len(slots),) the list of each; EVERYWHERE for those that all posts look at.
        reached: bool (n, lists), which lists each post looks into; None where there are no lists.
    """

    def __init__(  # the columns of a table
        self,
        units: NDArray[np.float32],
        vectors: NDArray[np.float32],
        slots: NDArray[np.intp],
        products: NDArray[np.float32],
        bounds: NDArray[np.float32],
        homes: NDArray[np.int32] | None = None,
        reached: NDArray[np.bool_] | None = None,
    ) -> None:
        count, known = products.shape
        self._units = units
        self._among = vectors @ units.T
        self._slots = np.empty(known + count, dtype=np.intp)
        self._products = np.empty((count, known + count), dtype=np.float32)
        self._bounds = np.empty(known + count, dtype=np.float32)
        self._slots[:known], self._products[:, :known], self._bounds[:known] = slots, products, bounds
        self._columns = {slot: column for column, slot in enumerate(slots.tolist())}
        self._spans: dict[int, float] = {}
        self._homes = {} if homes is None else dict(enumerate(homes.tolist()))
        self._reached = reached
        self._length = known

    def near(self, n: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        """Slots of all clusters that may be near post `n`, and their products with it."""
        products = self._products[n, : self._length]
        columns = np.flatnonzero(products >= self._bounds[: self._length])
        return self._slots[columns], products[columns]

    def opened(self, n: int, slot: int, bound: float, home: int = EVERYWHERE) -> None:
        """Post `n` has opened a cluster in this slot, and in this list."""
        column = self._columns[slot] = self._length
        self._length += 1
        self._slots[column], self._bounds[column] = slot, bound
        self._products[n + 1 :, column] = self._among[n, n + 1 :]
        self._spans[column] = 1.0
        self._hide(n, column, home)

    def joined(  # what a post does to a cluster
        self,
        n: int,
        slot: int,
        factor: float,
        sums: NDArray[np.float32],
        *,
        before: float,
        norm: float,
        bound: float,
        home: int = EVERYWHERE,
    ) -> None:
        """Post `n` has joined the cluster in this slot.

        Args:
            factor: by which the cluster's sum had faded before.
            sums: the sum now, (size,).
            before, norm: the sum's length, before that, and now.
            bound: from this product on the cluster is near.
            home: its list now.
        """
        column = self._columns[slot]
        self._bounds[column] = bound
        later = self._products[n + 1 :, column]
        span = self._spans[column] = self._spans.get(column, before) * factor + 1.0
        if span <= 2.0 * norm and home == self._homes.get(column, EVERYWHERE):
            if factor != 1.0:
                later *= np.float32(factor)
            later += self._among[n, n + 1 :]
        else:
            later[:] = self._units[n + 1 :] @ sums
            self._spans[column] = norm
            self._hide(n, column, home)

    def _hide(self, n: int, column: int, home: int) -> None:
        """A cluster is in this list now: of the posts after `n`, those that do not look into it do not see it."""
        self._homes[column] = home
        if self._reached is not None and home != EVERYWHERE:
            self._products[n + 1 :, column][~self._reached[n + 1 :, home]] = -np.inf


def find_candidates(
    units: NDArray[np.float32], vectors: NDArray[np.float32], sums: NDArray[np.float32], bounds: NDArray[np.float32]
) -> Candidates:
    """The clusters near any of these posts.

    Args:
        units: float32 (n, size), the posts.
        vectors: float32 (n, size): what the posts add to the sum that they join.
        sums: float32 (m, size), the clusters.
        bounds: float32 (m,): from this product on a cluster is near.
    """
    slots: list[NDArray[np.intp]] = []
    products: list[NDArray[np.float32]] = []
    for start in range(0, len(sums), BLOCK):
        part = slice(start, start + BLOCK)
        found = units @ sums[part].T
        columns = np.flatnonzero(found.max(axis=0) >= bounds[part])
        slots.append(columns + start)
        products.append(found[:, columns])
    everything = np.concatenate(slots or [np.empty(0, dtype=np.intp)])
    return Candidates(
        units,
        vectors,
        everything,
        np.concatenate(products or [np.empty((len(units), 0), dtype=np.float32)], axis=1),
        bounds[everything],
    )


def find_listed(  # the columns of a table
    units: NDArray[np.float32],
    vectors: NDArray[np.float32],
    sums: NDArray[np.float32],
    bounds: NDArray[np.float32],
    homes: NDArray[np.int32],
    reached: NDArray[np.bool_],
    edges: NDArray[np.intp],
) -> Candidates:
    """The clusters near any of these posts that look into their lists.

    Args:
        units, vectors, sums, bounds: as `find_candidates` takes them.
        homes: (m,) the list of each cluster, or EVERYWHERE; of places that are free, whatever it is.
        reached: bool (n, lists), which lists each post looks into.
        edges: (lists + 1,) places: from one to the next stand mostly clusters of that list. These are read as they
            stand; those that stand elsewhere are gathered first, which takes longer than their product.
    """
    lists = reached.shape[1]
    at_home = homes == places_of(edges, len(homes))
    elsewhere = np.flatnonzero(~at_home)
    elsewhere = elsewhere[np.argsort(homes[elsewhere], kind="stable")]
    cuts = np.searchsorted(homes[elsewhere], np.arange(EVERYWHERE, lists + 1)).tolist()
    there = np.where(at_home, bounds, np.float32(np.inf))
    found = _Found(units, sums)
    found.look(np.arange(len(units)), elsewhere[: cuts[1]], bounds[elsewhere[: cuts[1]]])
    for home, (start, end) in enumerate(itertools.pairwise(edges.tolist())):
        posts = np.flatnonzero(reached[:, home])
        found.look(posts, slice(start, end), there[start:end])
        strays = elsewhere[cuts[home + 1] : cuts[home + 2]]
        found.look(posts, strays, bounds[strays])
    slots = np.concatenate(found.slots or [np.empty(0, dtype=np.intp)])
    table = np.concatenate(found.products or [np.empty((len(units), 0), dtype=np.float32)], axis=1)
    return Candidates(units, vectors, slots, table, bounds[slots], homes[slots], reached)


def places_of(edges: NDArray[np.intp], count: int) -> NDArray[np.int32]:
    """Whose each of the first `count` places is: a list's, as `find_listed` takes the edges, or nobody's."""
    places = np.full(count, NOBODY, dtype=np.int32)
    places[: edges[-1]] = np.repeat(np.arange(len(edges) - 1, dtype=np.int32), np.diff(edges))
    return places


class _Found:
    """Clusters near posts, gathered part by part: their slots, and the products of all posts with them.

    Args:
        units: float32 (n, size), the posts.
        sums: float32 (m, size), the clusters.
    """

    def __init__(self, units: NDArray[np.float32], sums: NDArray[np.float32]) -> None:
        self.slots: list[NDArray[np.intp]] = []
        self.products: list[NDArray[np.float32]] = []
        self._units = units
        self._sums = sums

    def look(self, posts: NDArray[np.intp], places: slice | NDArray[np.intp], bounds: NDArray[np.float32]) -> None:
        """Add the clusters in these places that are near any of these posts; the others do not see them."""
        if not posts.size or not bounds.size:
            return
        found = self._units[posts] @ self._sums[places].T
        columns = np.flatnonzero(found.max(axis=0) >= bounds)
        if columns.size:
            seen = np.full((len(self._units), columns.size), -np.inf, dtype=np.float32)
            seen[posts] = found[:, columns]
            self.slots.append(columns + places.start if isinstance(places, slice) else places[columns])
            self.products.append(seen)
