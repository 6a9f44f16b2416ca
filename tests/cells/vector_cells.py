"""A fold of any bundle's cell, with a log that grows by one record at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumers.cells.fold import Fold, Folded
from consumers.cells.fold_settings import fold_settings

if TYPE_CHECKING:
    from consumers.contracts.cell_log import Record
    from consumers.settings import Settings
    from models.manifest import Manifest


class BundleCell:
    """Cell `number` of a bundle."""

    def __init__(self, settings: Settings, manifest: Manifest, number: int) -> None:
        self.fold = Fold(fold_settings(settings, manifest), manifest, number, position=0)

    def add(self, *records: Record) -> Folded:
        """Fold records that follow each other without a gap."""
        start = self.fold.position
        return self.fold.fold(list(enumerate(records, start)), position=start + len(records))
