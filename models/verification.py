"""Small features of a post's parts, and how well those of two posts agree: what a flag asks beside cosines.

Features are small maps: grey pictures of an image part, the loudness of a sound by band and time, the letters of a
text row by row. They say of themselves what they are, so whoever holds two can compare them, and those of different
layouts or sizes never meet.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from models import alignment, letter_runs, registration

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

Layout = Literal["image", "sound", "text"]

MOST_MAPS = 4
"""Images of a post, or windows of its recording, that are compared, each with each of the other post."""

LEAST_SIDE = 16
"""Of a map: of less nothing is left to compare."""

GIVEN_BY_GRAPHS: frozenset[Layout] = frozenset({"image"})
"""Layouts whose maps are an output of the graph. Those of the others are made of what the graph takes."""


class _Kind(NamedTuple):
    """A layout: its code in features, and how well two maps of (height, width) agree, enough of which is enough."""

    code: int
    score: Callable[[bytes, bytes, tuple[int, int], float], float]


_KINDS: dict[Layout, _Kind] = {
    "image": _Kind(
        1, lambda one, two, shape, enough: registration.score(one, two, shape, registration.IMAGE, enough=enough)
    ),
    "sound": _Kind(
        2, lambda one, two, shape, enough: alignment.score(one, two, shape, alignment.SOUND, enough=enough)
    ),
    "text": _Kind(3, lambda one, two, _shape, _enough: letter_runs.score(one, two)),
}
_SCORES = {kind.code: kind.score for kind in _KINDS.values()}
_HEADER = struct.Struct("<BBB")


def pack(maps: NDArray[np.uint8], layout: Layout) -> bytes:
    """The first MOST_MAPS of some maps, uint8 (n, height, width), neither side above 255, as one string."""
    given = np.ascontiguousarray(maps[:MOST_MAPS], dtype=np.uint8)
    return _HEADER.pack(_KINDS[layout].code, *given.shape[1:]) + given.tobytes()


def unpack(features: bytes) -> tuple[int, tuple[int, int], list[bytes]] | None:
    """The layout's code, height and width, and the maps row by row; None when these are no features."""
    if len(features) <= _HEADER.size:
        return None
    code, height, width = _HEADER.unpack_from(features)
    size, held = height * width, len(features) - _HEADER.size
    if code not in _SCORES or min(height, width) < LEAST_SIDE or held % size:
        return None
    if held > MOST_MAPS * size:
        return None
    starts = range(_HEADER.size, len(features), size)
    return code, (height, width), [features[start : start + size] for start in starts]


def pairs(one: bytes, two: bytes) -> int:
    """The pairs of maps that `agreement` compares at most; 0 when it gives None."""
    first, second = unpack(one), unpack(two)
    if first is None or second is None or first[:2] != second[:2]:
        return 0
    return len(first[2]) * len(second[2])


@lru_cache(maxsize=4096)
def agreement(one: bytes, two: bytes, enough: float = 2.0) -> float | None:
    """How well the features of one part of two posts agree, from -1 to 1: that of the two maps that agree best.

    Where it reaches `enough` it is the first found to do so. None when they cannot be compared: one of them is none,
    or they are of different layouts.
    """
    first, second = unpack(one), unpack(two)
    if first is None or second is None or first[:2] != second[:2]:
        return None
    code, shape, _ = first
    best = -1.0
    for mine in first[2]:
        for other in second[2]:
            best = max(best, _SCORES[code](mine, other, shape, enough))
            if best >= enough:
                return best
    return best
