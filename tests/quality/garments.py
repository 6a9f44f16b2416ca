"""Photographs of images/test that show one and the same garment, and so may match."""

from __future__ import annotations

SAME: tuple[tuple[str, ...], ...] = ()
"""Groups of file names without their ending. The 48 pairs that are most alike by compact, by PDQ, and by small grey
copies were looked at side by side: none shows one garment twice."""
