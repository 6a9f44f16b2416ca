"""Searching the running system: the posts, exemplars and micro-clusters in Redis that are nearest to a query."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np

from consumers.cells.evidence import evidence_of
from consumers.names import cluster_id
from consumers.state import codec
from consumers.state.codec import ClusterValue, EvidenceValue, MemberValue
from consumers.state.reading import read_labels
from models.cluster_features import cohesion
from models.policies import exemplars
from models.search import compare

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from numpy.typing import NDArray

    from consumers.state.codec import LabelValue
    from consumers.state.store import StateStore
    from models.fusion import FusionLayout
    from models.policies import Evidence

What = Literal["post", "exemplar", "cluster"]
CHUNK = 4096
COPIES = 16
"""An exemplar may stand in every cell."""


class Asked(NamedTuple):
    """A search.

    Attributes:
        vector: float32 (size,), the query's fused vector.
        within: the modality of posts that every part of the query is compared with; None: each with its like.
        limit: how many of each kind.
    """

    vector: NDArray[np.float32]
    within: str | None
    limit: int


@dataclass(frozen=True, slots=True)
class Hit:
    """Something that was found.

    Attributes:
        what: a `post` among the members that clusters keep, an `exemplar` or a `cluster`.
        name: its post_id or cluster_id.
        similarity, similarities: see models.search; a part that it lacks is None.
        cluster_id: it stands in; empty when that has just changed.
        labels: policy -> what is said of it: the label of the cluster, or `upheld` or `overturned` of an exemplar.
        place: of a post, `CELL:OFFSET` in the cell log.
        posts, cohesion: of a cluster.
        time: effective time in milliseconds: of a post, or when the cluster was last joined; 0 of an exemplar.
    """

    what: What
    name: str
    similarity: float
    similarities: dict[str, float | None]
    cluster_id: str
    labels: dict[str, str]
    place: str | None = None
    posts: int | None = None
    cohesion: float | None = None
    time: int = 0


Row = tuple["NDArray[np.float32]", Hit]
"""A vector, and what it is: with a similarity that is not known yet."""


def search(
    store: StateStore,
    layout: FusionLayout,
    asked: Asked,
    kinds: Collection[What],
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Iterator[Hit]:
    """The nearest of each kind, posts first, the nearest first.

    Args:
        progress: told the entries read and how many there are, now and then.

    Raises:
        StateUnavailable, CodecError: Redis does not answer as it should.
    """
    cells = range(store.cells)
    count, whole = 0, sum(store.sizes(cell)["members"][0] for cell in cells) if "post" in kinds else 0
    found: dict[What, list[Hit]] = {"post": [], "exemplar": [], "cluster": []}
    for rows in _chunks(chain.from_iterable(_rows(store, cell, layout.size, kinds) for cell in cells)):
        for hit in _nearest(layout, asked, rows):
            found[hit.what].append(hit)
        for what, hits in found.items():
            found[what] = _best(hits, asked.limit)
        count += len(rows)
        progress(count, max(whole, count))
    yield from chain.from_iterable(found.values())


def _best(hits: Iterable[Hit], limit: int) -> list[Hit]:
    """The nearest, each once: neighbouring cells hold copies of exemplars."""
    once: dict[tuple[object, ...], Hit] = {}
    for hit in sorted(hits, key=lambda hit: (-hit.similarity, hit.name)):
        once.setdefault((hit.name, *hit.labels.items()) if hit.what == "exemplar" else (hit.place, hit.name), hit)
    return list(islice(once.values(), limit))


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk


def _nearest(layout: FusionLayout, asked: Asked, rows: list[Row]) -> Iterator[Hit]:
    """Those of the rows that may be among the nearest of their kind."""
    compared = compare(layout, asked.vector, np.stack([vector for vector, _ in rows]), within=asked.within)
    left = Counter(dict.fromkeys(get_args(What), COPIES * asked.limit))
    for number in np.argsort(-compared.similarity, kind="stable").tolist():
        hit, similarity = rows[number][1], float(compared.similarity[number])
        if np.isnan(similarity):
            return  # it and all after it lack the part that is asked for
        if left[hit.what] > 0:
            left[hit.what] -= 1
            cosines = {name: float(values[number]) for name, values in compared.cosines.items()}
            told = {name: None if np.isnan(cosine) else cosine for name, cosine in cosines.items()}
            yield replace(hit, similarity=similarity, similarities=told)


def _rows(store: StateStore, cell: int, size: int, kinds: Collection[What]) -> Iterator[Row]:
    labels = read_labels(store, cell)
    homes: dict[str, str] = {}
    if "cluster" in kinds or "post" in kinds:
        for entry in store.entries(cell, "clusters"):
            value = codec.decode(ClusterValue, entry)
            homes.update(dict.fromkeys(map(str, value.members), entry.field))
            if "cluster" in kinds and len(codec.sums_of(value)) == size:
                yield _cluster(cell, entry.field, value, labels.get(entry.field, {}))
    if "exemplar" in kinds:
        yield from _exemplars(store, cell, size)
    if "post" in kinds:
        seen: set[str] = set()
        for entry in store.entries(cell, "members"):
            if entry.field not in seen:
                seen.add(entry.field)
                home = homes.get(entry.field)
                yield _post(cell, entry.field, codec.decode(MemberValue, entry), home, labels.get(home or "", {}))


def _cluster(cell: int, field: str, value: ClusterValue, labels: dict[str, LabelValue]) -> Row:
    sums = codec.sums_of(value)
    norm = float(np.linalg.norm(sums.astype(np.float64)))
    name = cluster_id(cell, int(field))
    hit = Hit(
        "cluster",
        name,
        0.0,
        {},
        name,
        _states(labels),
        posts=value.count,
        cohesion=cohesion(value.weight, value.squares, norm),
        time=value.seen,
    )
    return sums, hit


def _post(cell: int, field: str, value: MemberValue, home: str | None, labels: dict[str, LabelValue]) -> Row:
    vector = np.frombuffer(value.vector, dtype="<f2").astype(np.float32)
    cluster = "" if home is None else cluster_id(cell, int(home))
    hit = Hit("post", value.post_id, 0.0, {}, cluster, _states(labels), place=f"{cell}:{field}", time=value.time)
    return vector, hit


def _exemplars(store: StateStore, cell: int, size: int) -> Iterator[Row]:
    """The posts that verdicts uphold and those that they overturn, each once for a policy."""
    pieces: dict[tuple[int, str], dict[str, Evidence]] = {}
    for entry in store.entries(cell, "evidence"):
        value = codec.decode(EvidenceValue, entry)
        piece = evidence_of(entry.field, value, size)
        if piece is not None:
            pieces.setdefault((value.cluster, value.policy), {})[entry.field] = piece
    for (cluster, policy), found in pieces.items():
        for said, bank in zip(("upheld", "overturned"), exemplars(found.values(), len(found)), strict=True):
            for post_id, vector in zip(bank.post_ids, bank.vectors, strict=True):
                name = cluster_id(cell, cluster)
                yield vector.astype(np.float32), Hit("exemplar", post_id, 0.0, {}, name, {policy: said})


def _states(labels: dict[str, LabelValue]) -> dict[str, str]:
    return {policy: label.state for policy, label in labels.items()}
