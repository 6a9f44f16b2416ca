"""Micro-clusters of unit vectors in arrays, and exact assignment to them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from models.candidates import BLOCK, CHUNK, EVERYWHERE, Candidates, find_candidates, find_listed, places_of, slack
from models.cluster_features import ClusterFeature, cohesion, decay
from models.exact import dot, lengths, log2, square

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from models.fusion import FusionLayout
    from models.lists import Lists

FEW = 4
"""So many clusters near a post are all computed exactly."""

STRAYS = 0.25
"""When more of the clusters than this stand apart from their list, all are put in order again. It takes about as long
as gathering that many once."""

COLUMNS = 64
"""Numbers of each row that are moved at a time: all at once would need the memory of the sums twice."""

NOTHING = 1e-4
"""A cluster of less weight than this holds nobody."""


class Nearby(NamedTuple):
    """A watched cluster near a post, as it was just before the post was placed."""

    cluster: int
    similarity: float
    shares: NDArray[np.float64]
    cohesion: float


class Placement(NamedTuple):
    """Where a post went.

    Attributes:
        cluster: key of its cluster.
        opened: whether the post opened it.
        similarity: cosine to the cluster's centroid before the post joined; to itself when it opened the cluster.
        shares: float64 (modalities,), they sum to `similarity`.
        watched: the watched clusters near it.
        rival: the nearest other cluster it could have joined.
    """

    cluster: int
    opened: bool
    similarity: float
    shares: NDArray[np.float64]
    watched: tuple[Nearby, ...]
    rival: int | None


class ManyClusters(NamedTuple):
    """Clusters as they were: what `insert` is told of one, for n at once.

    Attributes:
        keys: not in use yet, each another.
        sums: float32 (n, size).
        weights, squares: float64 (n,), or as Python has them; times, counts, opened, seen likewise, whole.
    """

    keys: Sequence[int]
    sums: NDArray[np.float32]
    weights: Sequence[float]
    squares: Sequence[float]
    times: Sequence[int]
    counts: Sequence[int]
    opened: Sequence[int]
    seen: Sequence[int]


class _Near(NamedTuple):
    similarity: float
    key: int
    slot: int
    shares: NDArray[np.float64]


class _Faded(msgspec.Struct, frozen=True, gc=False):
    """The numbers of a cluster after it has faded by a factor."""

    factor: float
    weight: float
    squares: float
    norm: float

    def cohesion_with(self, similarity: float) -> float:
        """Its cohesion once a unit vector of this similarity has joined."""
        longer = math.sqrt(max(self.norm * self.norm + 2.0 * self.norm * similarity + 1.0, 0.0))
        return cohesion(self.weight + 1.0, self.squares + 1.0, longer)


class ClusterTable:
    """Micro-clusters under integer keys, with their sums in one contiguous array; a centroid is sum over norm.

    A search multiplies a chunk of posts with all sums in float32, and proposes; every similarity that decides
    something is then computed again in float64, pair by pair (models.exact). So the results do not depend on how a
    stream is cut into batches, on the order in which the clusters stand in memory, nor on the processor. Equal
    similarities go to the smaller key.

    With lists, a post can join the clusters that are in the lists it looks into, and is told of all watched ones.

    Args:
        layout: of the vectors.
        half_life: milliseconds after which a weight has halved.
        join: a post joins the nearest cluster at this cosine or above,
        cohesion: unless the cluster's cohesion would fall below this.
        attention: a watched cluster is reported at this cosine or above.
        lists: None compares each post with all clusters.
    """

    _sums: NDArray[np.float32]

    def __init__(
        self,
        layout: FusionLayout,
        *,
        half_life: float,
        join: float,
        cohesion: float,
        attention: float,
        lists: Lists | None = None,
    ) -> None:
        self.layout = layout
        self.half_life = half_life
        self.join = join
        self.cohesion = cohesion
        self.attention = attention
        self._slots: dict[int, int] = {}
        self._lists = lists
        self._moved: set[int] = set()
        self._edges = _no_edges(lists)
        self._free: list[int] = []
        self._watched = np.empty(0, dtype=np.intp)
        self._size = 0
        self._keys = np.empty(0, dtype=np.int64)
        self._allocate(2 * CHUNK)

    def __len__(self) -> int:
        """Number of clusters."""
        return len(self._slots)

    def __contains__(self, key: object) -> bool:
        return key in self._slots

    def __iter__(self) -> Iterator[int]:
        return iter(self._slots)

    def learn_many(self, vectors: NDArray[np.float32], keys: Sequence[int], clocks: Sequence[int]) -> list[Placement]:
        """Place posts one after another: the second can join the cluster that the first opened.

        Args:
            vectors: float32 (n, size), unit norm up to the rounding of float16; these very numbers are added.
            keys: of the clusters they would open; not in use yet.
            clocks: not falling, milliseconds.
        """
        placements: list[Placement] = []
        for start in range(0, len(keys), CHUNK):
            part = slice(start, start + CHUNK)
            placements += self._learn_chunk(vectors[part], keys[part], clocks[part])
        return placements

    def predict_one(self, vector: NDArray[np.float32]) -> tuple[int, float] | None:
        """The nearest cluster that a post could join by its cosine, and that cosine; changes nothing."""
        unit = _unit(vector[None])[0]
        found = self._exact(unit, self._most_near(unit, 1, self.join))
        return (found[0].key, found[0].similarity) if found and found[0].similarity >= self.join else None

    def near(self, vector: NDArray[np.float32]) -> tuple[Nearby, ...]:
        """The watched clusters near a vector; changes nothing."""
        return self.near_many(vector[None])[0]

    def near_many(self, vectors: NDArray[np.float32]) -> list[tuple[Nearby, ...]]:
        """The watched clusters near each of some vectors (n, size); changes nothing."""
        units = _unit(vectors)
        slots = self._watched[self._norms[self._watched] > 0.0]
        least = self._norms[slots] * (self.attention - slack(self.layout.size))
        reached = units @ self._sums[slots].T >= least
        return [self._nearby(self._exact(unit, slots[row])) for unit, row in zip(units, reached, strict=True)]

    def measure(self, vector: NDArray[np.float32], keys: Sequence[int]) -> list[Nearby]:
        """How near these clusters are to a vector, nearest first, by the numbers that decide; changes nothing."""
        found = self._exact(_unit(vector[None])[0], np.array([self._slots[key] for key in keys], dtype=np.intp))
        return [Nearby(near.key, near.similarity, near.shares, self._cohesion_of(near.slot)) for near in found]

    def cohesion_with(self, key: int, similarity: float, clock: int) -> float:
        """The cohesion that a cluster would have if a unit vector of this similarity joined it; changes nothing."""
        return self._faded(self._slots[key], clock).cohesion_with(similarity)

    def nearest(self, vector: NDArray[np.float32], most: int, least: float) -> list[int]:
        """Keys of the at most so many clusters nearest to a unit vector, at this cosine or above; changes nothing."""
        unit = _unit(vector[None])[0]
        found = self._exact(unit, self._most_near(unit, most, least))
        return [near.key for near in found if near.similarity >= least][:most]

    def open(self, key: int, vector: NDArray[np.float32], clock: int) -> None:
        """A new cluster of one vector."""
        feature = ClusterFeature(1.0, 1.0, vector, clock)
        self.insert(key, feature, count=1, opened=clock, seen=clock, watched=False)

    def insert(self, key: int, feature: ClusterFeature, *, count: int, opened: int, seen: int, watched: bool) -> None:
        """A cluster as it was: what the other methods tell of it is exactly what was told before.

        Raises:
            ValueError: the key is in use.
        """
        if key in self._slots:
            raise ValueError(f"cluster {key} exists")
        slot = self._free.pop() if self._free else self._size
        if slot == self._size:
            self.reserve(1)
            self._size += 1
        self._slots[key] = slot
        self._keys[slot] = key
        self._counts[slot], self._opened[slot], self._seen[slot] = count, opened, seen
        self._sums[slot] = feature.sums
        self._settle(slot, feature.weight, feature.squares, feature.time)
        if watched:
            self._watched = np.append(self._watched, slot)
            self._is_watched[slot] = True

    def insert_many(self, found: ManyClusters) -> None:
        """Many clusters as they were, none of them watched: bit for bit what `insert` makes of one after another.

        Raises:
            ValueError: a key is in use.
        """
        first, count = self._size, len(found.keys)
        if len(set(found.keys)) < count or not self._slots.keys().isdisjoint(found.keys):
            raise ValueError("one of the clusters exists")
        self._slots.update(zip(found.keys, range(first, first + count), strict=True))
        self.reserve(count)
        self._size += count
        part = slice(first, first + count)
        self._keys[part], self._sums[part], self._norms[part] = found.keys, found.sums, lengths(found.sums)
        self._weights[part], self._squares[part], self._times[part] = found.weights, found.squares, found.times
        self._counts[part], self._opened[part], self._seen[part] = found.counts, found.opened, found.seen
        self._note_moved(range(first, first + count))

    def watched_before(self, keys: Iterable[int]) -> None:
        """Watch clusters that were watched when they were as they were inserted: nothing else of them changes."""
        slots = np.array([self._slots[key] for key in keys], dtype=np.intp)
        self._is_watched[slots] = True
        self._watched = np.append(self._watched, slots)

    def reserve(self, count: int) -> None:
        """Make room for so many more clusters at once: growing on the way copies what is there again and again."""
        if self._size + count > len(self._keys):
            old = self._arrays()
            self._allocate(max(2 * len(self._keys), self._size + count))
            for new, previous in zip(self._arrays(), old, strict=True):
                new[: self._size] = previous[: self._size]

    def retune(
        self,
        *,
        half_life: float,
        join: float,
        cohesion: float,
        attention: float,
        clock: int,
        lists: Lists | None = None,
    ) -> None:
        """Go on under other settings; what has faded until now has faded at the old half-life."""
        stay = lists is not None and self._lists is not None and lists.same_directions(self._lists)
        self._lists = lists
        if not stay:
            self._edges = _no_edges(lists)
            self._note_moved(self._slots.values())
        if half_life != self.half_life:
            slots = list(self._slots.values())
            for slot in slots:
                self._align(slot, clock)
            self.half_life = half_life
        self.join, self.cohesion, self.attention = join, cohesion, attention

    def subtract(self, key: int, vector: NDArray[np.float32], joined: int, faded: int | None = None) -> bool:
        """Take a vector that joined at this clock out again; False, and no change, when nothing would be left.

        Args:
            faded: the clock until which the cluster has faded, of one that was watched since then.
        """
        slot = self._slots[key]
        until = int(self._times[slot])
        factor = decay(joined, until if faded is None else min(faded, until), self.half_life)
        weight = float(self._weights[slot]) - factor
        if weight <= NOTHING:
            return False
        self._sums[slot] -= vector * np.float32(factor)
        self._settle(slot, weight, max(float(self._squares[slot]) - factor * factor, 0.0), int(self._times[slot]))
        return True

    def replace(self, key: int, vectors: NDArray[np.float32], clock: int) -> None:
        """Put unit vectors (n, size) in the place of all that a cluster holds; its history stays."""
        slot = self._slots[key]
        self._sums[slot] = 0.0
        for vector in vectors:
            self._sums[slot] += vector  # one after another: the order of the additions is part of the result
        self._settle(slot, float(len(vectors)), float(len(vectors)), max(int(self._times[slot]), clock))

    def remove(self, key: int) -> None:
        """Forget a cluster; its place is used again."""
        slot = self._slots.pop(key)
        self._unwatch_slot(slot)
        self._moved.discard(slot)
        self._keys[slot] = -1
        self._norms[slot] = 0.0
        self._free.append(slot)

    def watch(self, key: int, clock: int) -> None:
        """Stop its fading, and report it to posts near it."""
        slot = self._slots[key]
        if not self._is_watched[slot]:
            self._align(slot, clock)
            self._is_watched[slot] = True
            self._watched = np.append(self._watched, slot)

    def unwatch(self, key: int, clock: int) -> None:
        """Let it fade again, from now on."""
        slot = self._slots[key]
        if self._is_watched[slot]:
            self._align(slot, clock)
            self._unwatch_slot(slot)

    def merge(self, kept: int, absorbed: int, clock: int) -> None:
        """Make two clusters one, under the key `kept`."""
        one, two = self._slots[kept], self._slots[absorbed]
        self._align(one, clock)
        self._align(two, clock)
        weight = float(self._weights[one] + self._weights[two])
        squares = float(self._squares[one] + self._squares[two])
        self._sums[one] += self._sums[two]
        self._settle(one, weight, squares, int(self._times[one]))
        self._counts[one] += self._counts[two]
        self._opened[one] = min(self._opened[one], self._opened[two])
        self._seen[one] = max(self._seen[one], self._seen[two])
        watched = self._is_watched[two]
        self.remove(absorbed)
        if watched:
            self.watch(kept, clock)

    def are_twins(self, one: int, two: int, twin: float, clock: int) -> bool:
        """Whether the centroids' cosine is at least `twin` and both together stay cohesive."""
        here, there = self._slots[one], self._slots[two]
        cosine = float(dot(self._sums[here], self._sums[there]))
        if cosine < twin * float(self._norms[here] * self._norms[there]):
            return False
        together = self._aligned_feature(here, clock).merged(self._aligned_feature(there, clock), self.half_life)
        return together.cohesion >= self.cohesion

    def faded(self, clock: int, least: float) -> list[int]:
        """Keys of clusters, not watched, whose weight at `clock` is below `least`, ascending."""
        if least <= 0.0:
            return []
        slots = self._fading()
        limit = clock + self.half_life * float(log2(np.array([least]))[0])
        return sorted(self._keys[slots[self._brightness(slots) < limit]].tolist())

    def faintest(self, count: int) -> list[int]:
        """Keys of the `count` clusters, not watched, of the least weight at any one time; faintest first."""
        if count <= 0:
            return []
        slots = self._fading()
        order = np.lexsort((self._keys[slots], self._brightness(slots)))
        return [int(key) for key in self._keys[slots[order[:count]]]]

    def feature(self, key: int) -> ClusterFeature:
        """The cluster feature; `sums` is a view of float32 that later posts change."""
        slot = self._slots[key]
        return ClusterFeature(
            float(self._weights[slot]), float(self._squares[slot]), self._sums[slot], int(self._times[slot])
        )

    def many(self, keys: Sequence[int]) -> ManyClusters:
        """Clusters as they are, for `insert_many`: a copy."""
        slots = [self._slots[key] for key in keys]
        weights, squares, times = (
            self._weights[slots].tolist(),
            self._squares[slots].tolist(),
            self._times[slots].tolist(),
        )
        counts, opened, seen = self._counts[slots].tolist(), self._opened[slots].tolist(), self._seen[slots].tolist()
        return ManyClusters(keys, self._sums[slots], weights, squares, times, counts, opened, seen)

    def history(self, key: int) -> tuple[int, int, int]:
        """Posts that ever joined, the clock when it opened, the clock when it was joined last."""
        slot = self._slots[key]
        return int(self._counts[slot]), int(self._opened[slot]), int(self._seen[slot])

    def centroid(self, key: int) -> NDArray[np.float32]:
        """The centroid (size,), unit norm; a copy."""
        slot = self._slots[key]
        norm = float(self._norms[slot])
        return np.asarray(self._sums[slot] / (norm if norm > 0.0 else 1.0), dtype=np.float32)

    def widen(self, layout: FusionLayout) -> None:
        """The same clusters in a space of more dimensions, in which they all are 0."""
        self._sums = np.pad(self._sums, ((0, 0), (0, layout.size - self.layout.size)))
        self.layout = layout

    def _learn_chunk(
        self, vectors: NDArray[np.float32], keys: Sequence[int], clocks: Sequence[int]
    ) -> list[Placement]:
        self.reserve(len(keys))
        units = _unit(vectors)
        if self._lists is None:
            candidates = find_candidates(units, vectors, self._sums[: self._size], self._bounds())
        else:
            homes = self._listed(self._lists)
            candidates = find_listed(
                units,
                vectors,
                self._sums[: self._size],
                self._bounds(),
                homes,
                self._lists.reached(units),
                self._edges,
            )
        return [self._place(vectors[n], units[n], n, candidates, keys[n], clocks[n]) for n in range(len(keys))]

    def _place(
        self,
        vector: NDArray[np.float32],
        unit: NDArray[np.float32],
        n: int,
        candidates: Candidates,
        key: int,
        clock: int,
    ) -> Placement:
        near = self._exact(unit, self._worth(*candidates.near(n)))
        watched = self._nearby(found for found in near if self._is_watched[found.slot]) if self._watched.size else ()
        within = [found for found in near[:2] if found.similarity >= self.join]
        if within:
            own = within[0]
            slot = own.slot
            faded = self._faded(slot, clock)
            before = self._norms.item(slot)
            if faded.cohesion_with(own.similarity) >= self.cohesion:
                sums, norm = self._add(slot, vector, faded, clock)
                bound, home = self._bound(slot), self._home(slot)
                candidates.joined(n, slot, faded.factor, sums, before=before, norm=norm, bound=bound, home=home)
                rival = within[1].key if len(within) > 1 else None
                return Placement(own.key, False, own.similarity, own.shares, watched, rival)  # noqa: FBT003
        self.open(key, vector, clock)
        slot = self._slots[key]
        candidates.opened(n, slot, self._bound(slot), self._home(slot))
        shares = self.layout.shares(unit, unit[None])[0]
        rival = within[0].key if within else None
        return Placement(key, True, _total(shares), shares, watched, rival)  # noqa: FBT003

    def _listed(self, lists: Lists) -> NDArray[np.int32]:
        """The list of the cluster in each place, those that have moved sorted in; watched ones are in all."""
        moved = np.array(sorted(self._moved), dtype=np.intp)
        for start in range(0, len(moved), BLOCK):
            part = moved[start : start + BLOCK]
            self._homes[part] = lists.homes(self._sums[part])
        self._moved.clear()
        strays = (self._homes[: self._size] != places_of(self._edges, self._size)) & (self._keys[: self._size] >= 0)
        if int(np.count_nonzero(strays)) > int(STRAYS * self._size) + CHUNK:
            self._stand_by_list(len(lists))
        homes = self._homes[: self._size].copy()
        homes[self._watched] = EVERYWHERE
        return homes

    def _stand_by_list(self, lists: int) -> None:
        """Let the clusters of a list stand side by side in memory, in the order of the lists."""
        live = np.flatnonzero(self._keys[: self._size] >= 0)
        order = live[np.argsort(self._homes[live], kind="stable")]
        place = np.empty(self._size, dtype=np.intp)
        place[order] = np.arange(len(order))
        for array in self._arrays():
            rows = array.reshape(len(array), -1)
            for start in range(0, rows.shape[1], COLUMNS):
                part = slice(start, start + COLUMNS)
                rows[: len(order), part] = rows[order, part]
        self._keys[len(order) : self._size], self._norms[len(order) : self._size] = -1, 0.0
        self._is_watched[len(order) : self._size] = False
        before = np.fromiter(self._slots.values(), dtype=np.intp, count=len(self._slots))
        self._slots = dict(zip(self._slots, place[before].tolist(), strict=True))
        self._watched = place[self._watched]
        self._size, self._free = len(order), []
        self._edges = np.searchsorted(self._homes[: self._size], np.arange(lists + 1))

    def _home(self, slot: int) -> int:
        """The list of the cluster in this place, which has moved just now."""
        if self._lists is None:
            return EVERYWHERE
        self._moved.discard(slot)
        home = self._homes[slot] = self._lists.homes(self._sums[slot : slot + 1])[0]
        return EVERYWHERE if self._is_watched[slot] else int(home)

    def _note_moved(self, slots: Iterable[int]) -> None:
        """The sums in these places are others now: their lists are looked for before they are needed."""
        if self._lists is not None:
            self._moved.update(slots)

    def _bounds(self) -> NDArray[np.float32]:
        """The product with a cluster's sum from which it is worth a look; infinite for places that are free."""
        norms = self._norms[: self._size]
        bounds = norms * (self.join - slack(self.layout.size))
        if self._watched.size:
            bounds[self._watched] = norms[self._watched] * self._least(watched=True)
        return np.where(norms > 0.0, bounds, np.inf).astype(np.float32)

    def _bound(self, slot: int) -> float:
        norm = self._norms.item(slot)
        return norm * self._least(watched=self._is_watched.item(slot)) if norm > 0.0 else math.inf

    def _least(self, *, watched: bool) -> float:
        """The cosine from which a cluster is worth a look."""
        return (min(self.join, self.attention) if watched else self.join) - slack(self.layout.size)

    def _worth(self, slots: NDArray[np.intp], products: NDArray[np.float32]) -> NDArray[np.intp]:
        """Of the slots near a post those that matter: the watched ones, and the two nearest."""
        if slots.size <= FEW:
            return slots
        cosines = products / self._norms[slots]
        second = float(np.partition(cosines, -2)[-2])
        return np.asarray(slots[self._is_watched[slots] | (cosines >= second - slack(self.layout.size))])

    def _most_near(self, unit: NDArray[np.float32], most: int, least: float) -> NDArray[np.intp]:
        """Slots that may be among the `most` nearest clusters at a cosine of `least` or more."""
        norms = self._norms[: self._size]
        cosines = np.divide(self._sums[: self._size] @ unit, norms, out=np.full(self._size, -np.inf), where=norms > 0)
        slots = np.flatnonzero(cosines >= least - slack(self.layout.size))
        if slots.size > most:
            slots = slots[cosines[slots] >= np.partition(cosines[slots], -most)[-most] - slack(self.layout.size)]
        return slots

    def _exact(self, unit: NDArray[np.float32], slots: NDArray[np.intp]) -> list[_Near]:
        """The clusters in these slots, nearest first."""
        if slots.size == 0:
            return []
        shares = self.layout.shares(unit, self._sums[slots]) / self._norms[slots, None]
        found = [
            _Near(_total(row), int(self._keys[slot]), slot, row)
            for row, slot in zip(shares, slots.tolist(), strict=True)
        ]
        if len(found) > 1:
            found.sort(key=lambda near: (-near.similarity, near.key))
        return found

    def _nearby(self, found: Iterable[_Near]) -> tuple[Nearby, ...]:
        return tuple(
            Nearby(near.key, near.similarity, near.shares, self._cohesion_of(near.slot))
            for near in found
            if near.similarity >= self.attention
        )

    def _cohesion_of(self, slot: int) -> float:
        return cohesion(float(self._weights[slot]), float(self._squares[slot]), float(self._norms[slot]))

    def _faded(self, slot: int, clock: int) -> _Faded:
        factor = self._factor(slot, clock)
        return _Faded(
            factor,
            self._weights.item(slot) * factor,
            self._squares.item(slot) * factor * factor,
            self._norms.item(slot) * factor,
        )

    def _factor(self, slot: int, clock: int) -> float:
        return 1.0 if self._is_watched.item(slot) else decay(self._times.item(slot), clock, self.half_life)

    def _aligned_feature(self, slot: int, clock: int) -> ClusterFeature:
        factor = self._factor(slot, clock)
        weight, squares = float(self._weights[slot]) * factor, float(self._squares[slot]) * factor * factor
        return ClusterFeature(weight, squares, self._sums[slot] * np.float32(factor), clock)

    def _align(self, slot: int, clock: int) -> None:
        factor = self._factor(slot, clock)
        if factor != 1.0:
            self._sums[slot] *= np.float32(factor)
        weight, squares = float(self._weights[slot]) * factor, float(self._squares[slot]) * factor * factor
        self._settle(slot, weight, squares, max(int(self._times[slot]), clock))

    def _add(
        self, slot: int, vector: NDArray[np.float32], faded: _Faded, clock: int
    ) -> tuple[NDArray[np.float32], float]:
        """Let a post join a cluster that has faded until `clock`; gives its sums now, and their length."""
        sums = self._sums[slot]
        if faded.factor != 1.0:
            sums *= np.float32(faded.factor)
        sums += vector
        time = max(self._times.item(slot), clock)
        norm = self._settle(slot, faded.weight + 1.0, faded.squares + 1.0, time, sums)
        self._counts[slot] += 1
        self._seen[slot] = clock
        return sums, norm

    def _settle(
        self, slot: int, weight: float, squares: float, time: int, sums: NDArray[np.float32] | None = None
    ) -> float:
        """Set the feature of a slot whose sums are in place, and what follows from it; gives the sums' length."""
        norm = self._norms[slot] = math.sqrt(square(self._sums[slot] if sums is None else sums))
        self._weights[slot], self._squares[slot], self._times[slot] = weight, squares, time
        if self._lists is not None:
            self._moved.add(slot)
        return norm

    def _fading(self) -> NDArray[np.intp]:
        """Slots of the clusters that are not watched."""
        return np.flatnonzero(~self._is_watched[: self._size] & (self._keys[: self._size] >= 0))

    def _brightness(self, slots: NDArray[np.intp]) -> NDArray[np.float64]:
        """The weight at time t is 2 ** ((brightness - t) / half-life): one number orders clusters for all times."""
        weights = self._weights[slots]
        logarithms = np.full(len(slots), -np.inf)
        logarithms[weights > 0.0] = log2(weights[weights > 0.0])
        return np.asarray(self._times[slots] + self.half_life * logarithms)

    def _unwatch_slot(self, slot: int) -> None:
        self._is_watched[slot] = False
        self._watched = self._watched[self._watched != slot]

    def _allocate(self, capacity: int) -> None:
        self._sums = np.zeros((capacity, self.layout.size), dtype=np.float32)
        self._weights, self._squares = np.zeros(capacity), np.zeros(capacity)
        self._norms = np.zeros(capacity)
        self._times, self._counts = np.zeros(capacity, dtype=np.int64), np.zeros(capacity, dtype=np.int64)
        self._opened, self._seen = np.zeros(capacity, dtype=np.int64), np.zeros(capacity, dtype=np.int64)
        self._keys = np.full(capacity, -1, dtype=np.int64)
        self._is_watched = np.zeros(capacity, dtype=np.bool_)
        self._homes = np.zeros(capacity, dtype=np.int32)

    def _arrays(self) -> tuple[NDArray[np.generic], ...]:
        return (
            self._sums, self._weights, self._squares, self._norms, self._times, self._counts, self._opened,
            self._seen, self._keys, self._is_watched, self._homes,
        )  # fmt: skip


def _no_edges(lists: Lists | None) -> NDArray[np.intp]:
    """That no cluster stands with those of its list."""
    return np.zeros(1 if lists is None else len(lists) + 1, dtype=np.intp)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit norm again after the rounding to float16, each row on its own."""
    return np.asarray(vectors / lengths(vectors)[:, None], dtype=np.float32)


def _total(shares: NDArray[np.float64]) -> float:
    """Their sum in the order in which anybody would add them, so that it can be checked to the last bit."""
    return float(sum(shares.tolist()))
