"""Which micro-clusters of open campaigns belong together with a new one: merged into it, or near it."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np
import structlog

from consumers.bundles import find_bundle
from consumers.names import place_of_cluster
from consumers.state import codec
from consumers.state.codec import ClusterValue, CodecError
from consumers.state.store import StateStore, StateUnavailable
from models.manifest import ManifestError, read_manifest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from consumers.settings import Settings

MOST_CANDIDATES = 512
MOST_CENTROIDS = 2_048
MOST_REDIRECTS = 8

log = structlog.get_logger()


def open_relatives(settings: Settings) -> Relatives | None:
    """Those of the bundle in use; None when it cannot be read."""
    try:
        manifest = read_manifest(find_bundle(settings.bundle))
    except ManifestError as error:
        log.warning("campaigns are joined by their flags alone", reason=str(error))
        return None
    store = StateStore(settings.redis, manifest.bundle_id, settings.assign.cells)
    return Relatives(store, manifest.bundle_id, manifest.thresholds.exemplar)


class Relatives:
    """Reads centroids from the cells' state. What cannot be read is related to nothing, and alerting goes on.

    Args:
        bundle: whose cells these are; clusters of another one are related to nothing.
        least: cosine from which two centroids belong together.
    """

    def __init__(self, store: StateStore, bundle: str, least: float) -> None:
        self._store = store
        self._bundle = bundle
        self._least = least
        self._centroids: OrderedDict[str, NDArray[np.float32]] = OrderedDict()

    def of(self, bundle: str, cluster: str, candidates: Sequence[str]) -> list[str]:
        """Those of the candidates whose centroid is as near as exemplars must be, or into which it was merged."""
        if bundle != self._bundle or not candidates:
            return []
        try:
            own = self._centroid(cluster)
            if own is None:
                return []
            near = [(one, self._centroid(one)) for one in candidates[:MOST_CANDIDATES]]
        except (StateUnavailable, CodecError) as error:
            log.warning("the state does not tell which campaigns belong together", reason=str(error))
            return []
        return [one for one, centroid in near if centroid is not None and float(own @ centroid) >= self._least]

    def close(self) -> None:
        """Close the connections."""
        self._store.close()

    def _centroid(self, cluster: str) -> NDArray[np.float32] | None:
        """The centroid (unit norm) as it was when it was first asked for; that of the cluster it was merged into."""
        known = self._centroids.get(cluster)
        if known is not None:
            self._centroids.move_to_end(cluster)
            return known
        place = place_of_cluster(cluster)
        if place is None or place[0] >= self._store.cells:
            return None
        cell, offset = place
        for _ in range(MOST_REDIRECTS):
            found = self._store.some_entries(cell, "clusters", [str(offset)])
            if found:
                sums = codec.sums_of(codec.decode(ClusterValue, found[0]))
                self._centroids[cluster] = centroid = (sums / np.linalg.norm(sums)).astype(np.float32)
                if len(self._centroids) > MOST_CENTROIDS:
                    self._centroids.popitem(last=False)
                return centroid
            redirect = self._store.some_entries(cell, "redirects", [str(offset)])
            if not redirect:
                return None
            offset = codec.decode(int, redirect[0])
        return None
