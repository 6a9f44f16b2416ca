"""The object stores that the settings name: media and bundles are read from them, snapshots are kept in one."""

from __future__ import annotations

import os
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from obstore.exceptions import BaseError
from obstore.store import from_url

from consumers.settings import BundleStore, Media, SettingsError

if TYPE_CHECKING:
    from consumers.settings import Snapshots

SCHEMES = ("file", "s3", "gs", "az")
BUNDLE_SCHEMES = (*SCHEMES, "https", "http")
"""Where a bundle may come from: its digests are checked, wherever it was."""

MOST_RETRIES = 2

CLIENT_OPTIONS = frozenset(
    (
        "allow_http",
        "allow_invalid_certificates",
        "connect_timeout",
        "http1_only",
        "http2_only",
        "pool_idle_timeout",
        "pool_max_idle_per_host",
        "proxy_ca_certificate",
        "proxy_excludes",
        "proxy_url",
        "user_agent",
    )
)
"""Options of the HTTP client: obstore takes them apart from the store's own."""

VARIABLES = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_"}
"""How the variables begin that the clouds' own tools use."""

_stores: dict[tuple[str, type, float, frozenset[tuple[str, str]]], Any] = {}
_opening = threading.Lock()


def store_of(prefix: str, settings: Media | Snapshots | BundleStore) -> Any:
    """The obstore store of a prefix; opened once, and then kept. A folder for snapshots is made if it is not there.

    Raises:
        SettingsError: one line: the prefix or its options cannot be used.
    """
    options = frozenset(options_of(prefix, settings.options).items())
    key = (prefix, type(settings), settings.timeout_seconds, options)
    with _opening:
        if key not in _stores:
            _stores[key] = _open(prefix, settings)
        return _stores[key]


def _open(prefix: str, settings: Media | Snapshots | BundleStore) -> Any:
    scheme = urlsplit(prefix).scheme
    setting, schemes, reads = _purpose(settings)
    if scheme not in schemes:
        raise SettingsError(f"{setting}: {prefix!r} must start with {', '.join(f'{s}://' for s in schemes)}")
    given = options_of(prefix, settings.options)
    options: dict[str, Any] = {name: value for name, value in given.items() if name not in CLIENT_OPTIONS}
    if scheme == "file":
        options |= {} if reads else {"mkdir": True}
    else:
        client = {name: value for name, value in given.items() if name in CLIENT_OPTIONS}
        options["client_options"] = {"timeout": f"{settings.timeout_seconds}s"} | _client_variables(scheme) | client
        options["retry_config"] = {
            "max_retries": MOST_RETRIES,
            "retry_timeout": timedelta(seconds=settings.timeout_seconds),
        }
    try:
        return from_url(prefix, **options)
    except (BaseError, OSError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise SettingsError(f"{setting}: {prefix!r}: {reason}") from error


def _client_variables(scheme: str) -> dict[str, str]:
    """The HTTP client's options in the environment: obstore reads them only where it is given none at all."""
    found = {name: os.environ.get(f"{VARIABLES.get(scheme, '')}{name.upper()}") for name in CLIENT_OPTIONS}
    return {name: value for name, value in found.items() if value is not None} if scheme in VARIABLES else {}


def _purpose(settings: Media | Snapshots | BundleStore) -> tuple[str, tuple[str, ...], bool]:
    """What names the address, the schemes it may have, and whether it is only read."""
    if isinstance(settings, BundleStore):
        return "bundle", BUNDLE_SCHEMES, True
    return (
        ("media.prefixes", SCHEMES, True) if isinstance(settings, Media) else ("snapshots.location", SCHEMES, False)
    )


def options_of(prefix: str, options: dict[str, dict[str, str]]) -> dict[str, str]:
    """The options of the place that a prefix is, or lies in: of several, the nearest one's."""
    around = [place for place in options if f"{prefix.rstrip('/')}/".startswith(f"{place.rstrip('/')}/")]
    return options[max(around, key=lambda place: len(place.rstrip("/")))] if around else {}
