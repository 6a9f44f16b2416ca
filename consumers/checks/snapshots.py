"""Can snapshots be kept where the settings say?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumers.checks.findings import Finding
from consumers.recovery.snapshot_store import SnapshotStore, SnapshotStoreError
from consumers.settings import SettingsError
from consumers.stores import store_of

if TYPE_CHECKING:
    from consumers.settings import Settings


def check_snapshots(settings: Settings, bundle: str) -> list[Finding]:
    """One finding: the location is usable, is not, or does not answer now; none when there is no location."""
    location = settings.snapshots.location
    if location is None:
        return []
    try:
        store_of(location, settings.snapshots)
        count = len(SnapshotStore(settings, bundle, location).stored(0))
    except SettingsError as error:
        return [Finding("snapshots", "bad", str(error), "mend snapshots.location and snapshots.options")]
    except SnapshotStoreError as error:
        return [Finding("snapshots", "hint", str(error), "cells work on without snapshots until it answers")]
    return [Finding("snapshots", "good", f"kept in {location}; {count} of cell 0")]
