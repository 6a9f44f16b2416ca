"""What the encoders made of posts and of altered copies of them, item by item: a post may hold several images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from models.fusion import FusionLayout

REPEAT = 0.95
"""Posts of this cosine are taken for one thing posted twice, whatever else is known of them."""
_BLOCK = 1_024


@dataclass(frozen=True, eq=False)
class PostRows:
    """Posts, each seen as it is (view 0) and as altered copies (views 1, 2, ...).

    Attributes:
        post_ids: of n posts.
        items: modality -> float32 (items, width), unit rows: post by post, and of a post view by view.
        counts: modality -> int64 (n, views), how many items each view has; 0 where it lacks the modality.
        groups: int64 (n,); posts of one number show one thing.
    """

    post_ids: tuple[str, ...]
    items: dict[str, NDArray[np.float32]]
    counts: dict[str, NDArray[np.int64]]
    groups: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.post_ids)

    @property
    def views(self) -> int:
        """Of every post."""
        return int(next(iter(self.counts.values())).shape[1])

    def of(self, posts: NDArray[np.int64]) -> PostRows:
        """Some of the posts."""
        items = {}
        for name in self.items:
            chosen = np.repeat(posts, self.views)
            rows, _ = self.places(name, chosen, np.tile(np.arange(self.views), len(posts)))
            items[name] = self.items[name][rows]
        counts = {name: counts[posts] for name, counts in self.counts.items()}
        return PostRows(tuple(self.post_ids[post] for post in posts), items, counts, self.groups[posts])

    def of_views(self, views: tuple[int, ...]) -> PostRows:
        """Some of the views of every post."""
        chosen, seen = np.repeat(np.arange(len(self)), len(views)), np.tile(np.array(views), len(self))
        items = {name: rows[self.places(name, chosen, seen)[0]] for name, rows in self.items.items()}
        counts = {name: counts[:, list(views)] for name, counts in self.counts.items()}
        return PostRows(self.post_ids, items, counts, self.groups)

    def with_modalities(self, names: Iterable[str]) -> PostRows:
        """The same posts, of which only these modalities are looked at."""
        chosen = tuple(names)
        items = {name: self.items[name] for name in chosen}
        counts = {name: self.counts[name] for name in chosen}
        return PostRows(self.post_ids, items, counts, self.groups)

    def with_items(self, items: dict[str, NDArray[np.float32]]) -> PostRows:
        """The same posts with other vectors of the same items."""
        return PostRows(self.post_ids, items, self.counts, self.groups)

    def places(
        self, name: str, posts: NDArray[np.int64], views: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where the items of m views are in `items[name]`, and for each item which of the m it belongs to."""
        counts = self.counts[name]
        starts = (np.cumsum(counts) - counts.ravel()).reshape(counts.shape)[posts, views]
        many = counts[posts, views]
        owner = np.repeat(np.arange(len(posts)), many)
        within = np.arange(len(owner)) - np.repeat(np.cumsum(many) - many, many)
        return starts[owner] + within, owner

    def present(self, name: str) -> NDArray[np.bool_]:
        """Which views have the modality: bool (n, views)."""
        return self.counts[name] > 0

    def embeddings(self, name: str) -> NDArray[np.float32]:
        """One unit row a view, as consumers average items: float32 (n, views, width), zeros where it is absent."""
        rows, counts = self.items[name], self.counts[name]
        owner = np.repeat(np.arange(counts.size), counts.ravel())
        sums = np.zeros((counts.size, rows.shape[1]), dtype=np.float32)
        np.add.at(sums, owner, rows)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        return np.asarray(sums / np.maximum(lengths, 1e-6), dtype=np.float32).reshape(*counts.shape, -1)

    def fused(self, layout: FusionLayout) -> NDArray[np.float32]:
        """Fused vectors of all views: float32 (n, views, size)."""
        flat = {name: self.embeddings(name).reshape(len(self) * self.views, -1) for name in self.items}
        present = {name: self.present(name).ravel() for name in self.items}
        return layout.fuse(flat, present).reshape(len(self), self.views, layout.size)


def group_posts(rows: PostRows, layout: FusionLayout, told: Mapping[str, str]) -> NDArray[np.int64]:
    """The group of each post: as it is told, and posts that are all but equal together.

    A post that reaches REPEAT with an earlier post is in the group of the first such post.

    Args:
        rows: n posts; their own groups are not looked at.
        layout: fuses them.
        told: post_id -> what it shows, where that is known.

    Returns:
        int64 (n,).
    """
    numbers: dict[str, int] = {}
    known = [told.get(post_id) for post_id in rows.post_ids]
    vectors = rows.fused(layout)[:, 0]
    groups = np.arange(len(rows), dtype=np.int64)
    for start in range(0, len(rows), _BLOCK):
        near = vectors[start : start + _BLOCK] @ vectors[: start + _BLOCK].T >= REPEAT
        for number, line in enumerate(near, start):
            name = known[number]
            if name is not None:
                groups[number] = numbers.setdefault(name, number)
            elif line[:number].any():
                groups[number] = groups[int(line[:number].argmax())]
    return groups
