"""The flagged posts of a cell that may still be retracted, and how a verdict finds them."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING, Any

import numpy as np

from consumers.contracts.source import flag_id
from consumers.state import codec
from consumers.state.codec import FlaggedValue
from consumers.steps.place import read_vectors
from models.exact import lengths
from models.policies import Bank

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumers.state.codec import MemberValue, StateChanges


class FlaggedPosts:
    """Flagged posts by log offset.

    A flag remembers the cluster whose label gave it. Clusters merge: `resolve` says which it is now.
    """

    def __init__(self, bundle: str, resolve: Callable[[int], int | None], size: int) -> None:
        self._bundle = bundle
        self._resolve = resolve
        self._size = size
        self._posts: dict[int, FlaggedValue] = {}
        self._by_flag: dict[str, int] = {}
        self._by_post: dict[str, list[int]] = {}
        self._by_cluster: dict[tuple[int, str], set[int]] = {}
        self._homes: dict[tuple[int, str], list[int]] | None = None
        self._trails: dict[tuple[int, str], tuple[int, Bank]] = {}

    def __len__(self) -> int:
        """Posts kept."""
        return len(self._posts)

    def get(self, offset: int) -> FlaggedValue | None:
        """The flagged post at a log offset."""
        return self._posts.get(offset)

    def by_flag(self, flag: str) -> int | None:
        """Log offset of the post with this flag."""
        return self._by_flag.get(flag)

    def by_post(self, post_id: str) -> int | None:
        """Log offset of the latest flagged post with this post_id."""
        offsets = self._by_post.get(post_id)
        return max(offsets) if offsets else None

    def every(self, post_id: str) -> list[int]:
        """Log offsets of all flagged posts with this post_id."""
        return list(self._by_post.get(post_id, ()))

    def flagged_by(self, clusters: set[int], policies: tuple[str, ...]) -> set[int]:
        """Log offsets of the posts that have a flag of these clusters' labels."""
        found: set[int] = set()
        for (cluster, policy), offsets in self._by_cluster.items():
            if policy in policies and self._resolve(cluster) in clusters:
                found |= offsets
        return found

    def trail(self, cluster: int, policy: str, most: int, before: int | None = None) -> Bank:
        """The latest posts, at most so many, that a cluster's label has flagged; those before a log offset only."""
        offsets = self._by_home().get((cluster, policy), [])
        if before is not None:
            return self._bank(offsets[: bisect_left(offsets, before)][-most:])
        known = self._trails.get((cluster, policy))
        if known is None or known[0] != most:
            known = self._trails[cluster, policy] = (most, self._bank(offsets[-most:]))
        return known[1]

    def clusters_changed(self) -> None:
        """Clusters have merged or are gone: look anew for which cluster is whose."""
        self._homes = None
        self._trails.clear()

    def add(
        self,
        offset: int,
        member: MemberValue | FlaggedValue,
        policy: str,
        cluster: int,
        changes: StateChanges,
        *,
        followed: bool = False,
    ) -> None:
        """Note a flag of a post; `followed`: a trail gave it."""
        known = self._posts.get(offset)
        policies = {policy: cluster} if known is None else {**known.policies, policy: cluster}
        trails = (*(() if known is None else known.followed), *((policy,) if followed else ()))
        value = FlaggedValue(
            member.post_id, member.source, member.time, member.vector, policies, member.features, trails
        )
        if known is not None:
            self._leave(offset, known)
        self._enter(offset, value)
        changes.set("flagged", str(offset), codec.encode(value))

    def retract(self, offset: int, policy: str, changes: StateChanges) -> None:
        """Note that a flag has been taken back."""
        value = self._posts[offset]
        self._leave(offset, value)
        left = {name: cluster for name, cluster in value.policies.items() if name != policy}
        if not left:
            changes.delete("flagged", str(offset))
            return
        followed = tuple(name for name in value.followed if name != policy)
        kept = FlaggedValue(value.post_id, value.source, value.time, value.vector, left, value.features, followed)
        self._enter(offset, kept)
        changes.set("flagged", str(offset), codec.encode(kept))

    def expire(self, earliest: int, most: int, changes: StateChanges) -> None:
        """Drop posts of before `earliest` (effective time), and the oldest beyond `most`."""
        old = [offset for offset, post in self._posts.items() if post.time < earliest]
        for offset in old:
            self.drop(offset, changes)
        for offset in sorted(self._posts)[: max(len(self._posts) - most, 0)]:
            self.drop(offset, changes)

    def drop(self, offset: int, changes: StateChanges) -> None:
        """Forget a flagged post."""
        self._leave(offset, self._posts[offset])
        changes.delete("flagged", str(offset))

    def restore(self, posts: dict[int, FlaggedValue]) -> None:
        """Fill an empty collection from what the store holds."""
        for offset in sorted(posts):
            self._enter(offset, posts[offset])

    def _enter(self, offset: int, value: FlaggedValue) -> None:
        self._posts[offset] = value
        self._by_post.setdefault(value.post_id, []).append(offset)
        for policy, cluster in value.policies.items():
            self._by_flag[flag_id(self._bundle, value.source, policy)] = offset
            self._by_cluster.setdefault((cluster, policy), set()).add(offset)
            self._enter_home(cluster, policy, offset)

    def _leave(self, offset: int, value: FlaggedValue) -> None:
        del self._posts[offset]
        _remove(self._by_post, value.post_id, offset)
        for policy, cluster in value.policies.items():
            self._by_flag.pop(flag_id(self._bundle, value.source, policy), None)
            _remove(self._by_cluster, (cluster, policy), offset)
            self._leave_home(cluster, policy, offset)

    def _by_home(self) -> dict[tuple[int, str], list[int]]:
        """Log offsets, ascending, by the cluster that the label belongs to now."""
        if self._homes is None:
            self._homes = {}
            for (cluster, policy), offsets in self._by_cluster.items():
                for offset in offsets:
                    self._enter_home(cluster, policy, offset)
        return self._homes

    def _enter_home(self, cluster: int, policy: str, offset: int) -> None:
        home = self._resolve(cluster)
        if self._homes is not None and home is not None:
            insort(self._homes.setdefault((home, policy), []), offset)
            self._trails.pop((home, policy), None)

    def _leave_home(self, cluster: int, policy: str, offset: int) -> None:
        home = self._resolve(cluster)
        if self._homes is not None and home is not None:
            _remove(self._homes, (home, policy), offset)
            self._trails.pop((home, policy), None)

    def _bank(self, offsets: list[int]) -> Bank:
        if not offsets:
            return Bank((), np.empty((0, 0)), ())
        posts = [self._posts[offset] for offset in offsets]
        vectors, usable = read_vectors([post.vector for post in posts], self._size)
        posts = [post for post, right in zip(posts, usable.tolist(), strict=True) if right]
        rows = vectors[usable]
        return Bank(
            tuple(post.post_id for post in posts),
            rows / lengths(rows)[:, None],
            tuple(post.features for post in posts),
        )


def _remove(index: dict[Any, Any], key: object, offset: int) -> None:
    """Take an offset out of an index; a key without any goes."""
    index[key].remove(offset)
    if not index[key]:
        del index[key]
