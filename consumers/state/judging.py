"""What judging needs of a cell, read from Redis while its owner works on: clusters, evidence, labels, settings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from consumers.cells.evidence import EvidenceBook
from consumers.cells.flagged import FlaggedPosts
from consumers.state import codec
from consumers.state.codec import FlaggedValue, SettingsValue
from consumers.state.reading import read_labels
from consumers.state.tables import AT_ONCE, evidence_in, insert_clusters, number_of, resolve
from models.cluster_table import ClusterTable
from models.fusion import FusionLayout
from models.policies import Label

if TYPE_CHECKING:
    from consumers.contracts.fold_settings import FoldSettings
    from consumers.state.codec import LabelValue
    from consumers.state.store import StateStore
    from models.manifest import Manifest
    from models.policies import Bank, Evidence


@dataclass(frozen=True, slots=True, eq=False)
class Judging:
    """A cell as far as it judges: the tables that its owner has, and nothing of what becomes of posts afterwards.

    Attributes:
        position: of the log when reading began.
        labels: cluster -> policy -> label with its count of flags.
    """

    cell: int
    position: int
    clock: int
    settings: FoldSettings
    clusters: ClusterTable
    book: EvidenceBook
    labels: dict[int, dict[str, LabelValue]]
    flagged: FlaggedPosts

    def trail(self, policy: str, cluster: int) -> Bank:
        """The latest posts that a cluster's label flagged."""
        return self.flagged.trail(cluster, policy, self.settings.exemplars)


def read_judging(store: StateStore, manifest: Manifest, cell: int) -> Judging | None:
    """The cell as Redis holds it now; None when it holds nothing of it.

    A batch may be written meanwhile; then some clusters are of before it, and some of after.

    Raises:
        StateUnavailable, StateVersionError, CodecError.
    """
    state = store.read(cell)
    found = store.some_entries(cell, "settings", ["settings"])
    if state is None or not found:
        return None
    settings, layout = codec.decode(SettingsValue, found[0]).settings, FusionLayout.of(manifest)
    book = EvidenceBook(settings, layout)
    labels = {int(cluster): given for cluster, given in read_labels(store, cell).items()}
    book.restore(
        _evidence(store, cell, layout.size),
        [
            (cluster, policy, Label(one.state, one.bound, one.upheld, one.overturned), one.flags)
            for cluster, given in labels.items()
            for policy, one in given.items()
        ],
    )
    clock = store.some_entries(cell, "clock", ["clock"])
    clusters = _clusters(store, cell, settings, layout, book)
    return Judging(
        cell=cell,
        position=state.position,
        clock=codec.decode(int, clock[0]) if clock else 0,
        settings=settings,
        clusters=clusters,
        book=book,
        labels=labels,
        flagged=_flagged(store, cell, manifest, clusters),
    )


def _flagged(store: StateStore, cell: int, manifest: Manifest, clusters: ClusterTable) -> FlaggedPosts:
    redirects = {number_of(entry): codec.decode(int, entry) for entry in store.entries(cell, "redirects")}
    flagged = FlaggedPosts(manifest.bundle_id, partial(resolve, redirects, clusters), manifest.fused_dimension)
    flagged.restore({number_of(entry): codec.decode(FlaggedValue, entry) for entry in store.entries(cell, "flagged")})
    return flagged


def _evidence(store: StateStore, cell: int, size: int) -> list[tuple[int, Evidence]]:
    return list({entry.field: evidence_in(entry, size) for entry in store.entries(cell, "evidence")}.values())


def _clusters(
    store: StateStore, cell: int, settings: FoldSettings, layout: FusionLayout, book: EvidenceBook
) -> ClusterTable:
    table = ClusterTable(
        layout,
        half_life=1000.0 * settings.half_life_seconds,
        join=settings.join,
        cohesion=settings.cohesion,
        attention=settings.attention,
    )
    table.reserve(store.sizes(cell)["clusters"][0])
    entries = store.entries(cell, "clusters")
    while some := list(islice(entries, AT_ONCE)):
        insert_clusters(table, some, layout.size)
    table.watched_before(cluster for cluster in sorted({cluster for cluster, _ in book.pieces()}) if cluster in table)
    return table
