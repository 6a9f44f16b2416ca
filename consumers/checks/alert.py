"""Can moderators be told? What can be known without telling them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from consumers.checks.findings import Finding

if TYPE_CHECKING:
    from consumers.alerting.settings import Channel
    from consumers.settings import Settings


def check_alert(settings: Settings) -> list[Finding]:
    """A finding for each channel; none without channels. `shoal alert test` really sends something."""
    return [_check(channel) for channel in settings.alert.channels]


def _check(channel: Channel) -> Finding:
    subject = f"alert {channel.name}"
    if channel.webhook is None:
        from consumers.alerting.chat import is_known_url  # noqa: PLC0415  # Apprise takes half a second to import

        if not is_known_url(channel):
            return Finding(subject, "bad", "Apprise does not know such a URL", "mend the channel's apprise")
        return Finding(subject, "good", "a URL that Apprise knows; shoal alert test sends something")
    parts = urlsplit(channel.webhook.get_secret_value())
    where = f"a webhook of {parts.hostname}"
    if parts.scheme == "http":
        return Finding(subject, "hint", f"{where}, not encrypted", "use https:// outside of a trusted network")
    if not channel.secrets and channel.format == "shoal":
        return Finding(subject, "hint", f"{where}, not signed", "give the channel secrets")
    return Finding(subject, "good", f"{where}; shoal alert test sends something")
