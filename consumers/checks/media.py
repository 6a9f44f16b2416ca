"""Can the prefixes that media may be read from be used?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumers.checks.findings import Finding
from consumers.settings import SettingsError
from consumers.stores import store_of

if TYPE_CHECKING:
    from consumers.settings import Settings


def check_media(settings: Settings) -> list[Finding]:
    """A finding for each prefix. What a store needs from the network is asked when a post names a file in it."""
    findings = []
    for prefix in settings.media.prefixes:
        try:
            store_of(prefix, settings.media)
        except SettingsError as error:
            findings.append(Finding("media", "bad", str(error), "mend media.prefixes and media.options"))
        else:
            findings.append(Finding("media", "good", f"may be read below {prefix}"))
    allowed = {prefix.rstrip("/") for prefix in settings.media.prefixes}
    findings += [
        Finding("media", "bad", f"media.options has {prefix!r}, which is no prefix", "add it to media.prefixes")
        for prefix in settings.media.options
        if prefix.rstrip("/") not in allowed
    ]
    return findings
