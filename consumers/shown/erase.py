"""What became of a post that was erased, one line a cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumers.changes.erase import erase_post
from consumers.checks.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.settings import Settings


def erase_findings(settings: Settings, post_id: str, *, patience_seconds: float) -> Iterator[Finding]:
    """One finding a cell; a red one where no owner has come to the record in time.

    Raises:
        SettingsError: no post can have this id.
        Aborted: Kafka refused, and nothing was written. StateUnavailable: Redis does not answer.
    """
    for cell, entries in erase_post(settings, post_id, patience_seconds=patience_seconds):
        if entries is None:
            text = f"no owner has come to the record within {patience_seconds:g} s"
            remedy = "it counts as soon as one does (shoal run); then erase the post once more"
            yield Finding(f"cell {cell}", "bad", text, remedy)
        else:
            yield Finding(f"cell {cell}", "good", f"{entries} entries held the post, and are gone")
