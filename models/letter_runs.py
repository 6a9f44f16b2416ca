"""How much of one text stands in another, by the runs of letters they share: a finer comparison than a cosine.

Runs of three letters, each as often as both have it, of the text that has fewer. So words may be moved, added and
left out around those that stay, and a mistyped letter costs the three runs it is in. That is MinHash's comparison (A.
Broder, "On the resemblance and containment of documents", 1997) counted out instead of estimated.

What a changed word means cannot be told by its letters: a text with one decisive word changed agrees.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

RUN = 3
FEWEST = 24
"""Runs that a text is taken to have at least, beside one that has as many: a few letters stand in any long text."""


def score(one: bytes, two: bytes) -> float:
    """The share of runs in common, from 0 to 1; -1 where one of them holds no letters.

    Args:
        one, two: as `models.folded_text.letter_maps` makes them.
    """
    first, second = _runs(one), _runs(two)
    fewer, more = sorted((first.total(), second.total()))
    if not fewer:
        return -1.0
    return (first & second).total() / max(fewer, min(more, FEWEST))


@lru_cache(maxsize=1024)
def _runs(letters: bytes) -> Counter[str]:
    text = letters.rstrip(b"\0").decode(errors="ignore")
    starts = range(max(len(text) - RUN + 1, min(len(text), 1)))
    return Counter(text[start : start + RUN] for start in starts)
