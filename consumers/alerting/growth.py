"""How many flags a campaign had lately, in a few numbers."""

from __future__ import annotations

SLOTS = 12
"""A window is counted in so many parts, so a count is that of a window up to a twelfth shorter."""

Growth = dict[int, int]
"""Part of time -> flags in it; parts that have left the window are dropped."""


def grown(growth: Growth, time_ms: int, window_ms: int) -> Growth:
    """One more flag at `time_ms`; one that is older than the window counts for nothing."""
    slot = time_ms * SLOTS // window_ms
    latest = max([slot, *growth])
    counted = growth | {slot: growth.get(slot, 0) + 1}
    return {one: count for one, count in counted.items() if one > latest - SLOTS}


def recent(growth: Growth, now_ms: int, window_ms: int) -> int:
    """Flags in the window that ends at `now_ms`."""
    oldest = now_ms * SLOTS // window_ms - SLOTS
    return sum(count for slot, count in growth.items() if slot > oldest)
