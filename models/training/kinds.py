"""The kinds of parts a post has here, and the form of sound; light to import for processes that only need these."""

from __future__ import annotations

from typing import TypeAlias

Kind: TypeAlias = str
"""One of KINDS."""
KINDS: tuple[Kind, ...] = ("text", "image", "audio")

AUDIO_RATE = 16_000
AUDIO_WINDOW = 80_000
MAX_WINDOWS = 12
