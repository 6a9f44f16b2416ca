"""Templates of the settings, filled with what a notice says."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping


def fill(template: str, fields: Mapping[str, str]) -> str:
    """A URL: every value is encoded, so that a post's id cannot lead elsewhere."""
    return template.format_map({name: quote(value, safe="") for name, value in fields.items()})
