"""How fast micro-clusters grow that no moderator has looked at: an outbreak shows here first."""

from __future__ import annotations

import time
from collections import Counter, deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WINDOW_SECONDS = 600.0
SLICES = 10
"""The window moves on by a tenth of itself."""


class Growth:
    """Posts of the last ten minutes by micro-cluster, for one cell; a new owner starts at 0.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._slices: deque[tuple[float, Counter[str]]] = deque()
        self._posts: Counter[str] = Counter()

    def add(self, clusters: Sequence[str]) -> None:
        """A post has joined, or opened, each of these micro-clusters: one that several did stands there so often."""
        now = self._clock()
        if not self._slices or now - self._slices[-1][0] >= WINDOW_SECONDS / SLICES:
            self._slices.append((now, Counter()))
        self._slices[-1][1].update(clusters)
        self._posts.update(clusters)

    def fastest(self, ignored: Callable[[str], bool]) -> int:
        """Posts of the window in the micro-cluster that took the most of them, without those to be ignored."""
        oldest = self._clock() - WINDOW_SECONDS
        while self._slices and self._slices[0][0] <= oldest:
            self._posts -= self._slices.popleft()[1]
        most = 0
        for cluster, posts in self._posts.items():
            if posts > most and not ignored(cluster):
                most = posts
        return most
