"""One cell's state in memory: micro-clusters, recent members, evidence and marks, and what changed of them."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import numpy as np

from consumers.cells.evidence import EvidenceBook
from consumers.cells.flagged import FlaggedPosts
from consumers.cells.fold_settings import check_fold
from consumers.cells.missing import MissingVerdicts
from consumers.cells.waiting import WaitingVerdicts
from consumers.state import codec
from consumers.state.codec import (
    ClusterValue,
    Entry,
    ErasedValue,
    FlaggedValue,
    LabelValue,
    MemberValue,
    MissingValue,
    SettingsValue,
    StateChanges,
    UnfinishedValue,
    WaitingValue,
    damaged,
)
from consumers.state.tables import AT_ONCE, evidence_in, insert_clusters, number_of, numbers_of, resolve
from models.cluster_table import ClusterTable
from models.fusion import FusionLayout
from models.lists import Lists
from models.policies import Label

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from consumers.contracts.fold_settings import FoldSettings
    from consumers.state.codec import Kind
    from consumers.steps.judge import Trails
    from models.manifest import Manifest

MOST_VERDICT_IDS = 10_000
MOST_ERASE_IDS = 100
MOST_REDIRECTS = 10_000
"""Merged clusters that a verdict can still name by their old id; the oldest are forgotten first."""


class CellState:
    """Everything the fold of a cell knows. Clusters are named by the log offset that opened them.

    Attributes:
        settings: in force now.
        clock: the highest effective time folded, in milliseconds.
        flagged: posts whose flags may still be retracted.
        waiting: verdicts on posts not known yet.
        unfinished: what verdicts still have to reach, by the name of the cause.
        changes: what changed since `take_changes`; the clusters' features, marks and the clock are added by it, once.
        events: what happened to clusters since then.
    """

    def __init__(self, settings: FoldSettings, manifest: Manifest, cell: int) -> None:
        check_fold(settings)
        self.settings = settings
        self.cell = cell
        self.bundle = manifest.bundle_id
        self.layout = FusionLayout.of(manifest)
        self.book = EvidenceBook(settings, self.layout)
        self.clusters = ClusterTable(
            self.layout,
            half_life=1000.0 * settings.half_life_seconds,
            join=settings.join,
            cohesion=settings.cohesion,
            attention=settings.attention,
            lists=_lists(settings, self.layout.size),
        )
        self.clock = 0
        self.flagged = FlaggedPosts(self.bundle, self.resolve, self.layout.size)
        self.waiting = WaitingVerdicts()
        self.missing = MissingVerdicts()
        self.unfinished: dict[str, UnfinishedValue] = {}
        self.changes = StateChanges()
        self.events: Counter[str] = Counter()
        self.members: dict[int, MemberValue] = {}
        self.verdicts: dict[str, int] = {}
        self.settings_offset = -1
        self._members_of: dict[int, list[int]] = {}
        self._cluster_of_member: dict[int, int] = {}
        self._by_post: dict[str, list[int]] = {}
        self._marks: dict[str, int] = {}
        self._redirects: dict[int, int] = {}
        self._rivals: set[tuple[int, int]] = set()
        self._erased: dict[str, int] = {}
        self._touched: set[int] = set()
        self._marked: set[str] = set()
        self._clock_written = 0

    @property
    def size(self) -> int:
        """Length of the fused vectors."""
        return self.layout.size

    def trails(self, before: int | None = None) -> Trails:
        """The latest flagged posts of each cluster and policy; those before a log offset only."""
        most = self.settings.exemplars
        return lambda cluster, policy: self.flagged.trail(cluster, policy, most, before)

    def obey(self, settings: FoldSettings, offset: int) -> dict[str, set[int]]:
        """Go on under other settings; gives policy -> the clusters whose label became another.

        Raises:
            OtherFold.
        """
        check_fold(settings)
        self.settings, self.settings_offset = settings, offset
        self.note_settings()
        self.clusters.retune(
            half_life=1000.0 * settings.half_life_seconds,
            join=settings.join,
            cohesion=settings.cohesion,
            attention=settings.attention,
            clock=self.clock,
            lists=_lists(settings, self.layout.size),
        )
        self._touched.update(self.clusters)
        return self.book.obey(settings, self.changes)

    def note_settings(self) -> None:
        """Keep the settings in force with the state."""
        self.changes.set("settings", "settings", codec.encode(SettingsValue(self.settings_offset, self.settings)))

    def advance(self, time: int) -> int:
        """Move the clock to a record's effective time if that is later; gives the clock."""
        self.clock = max(self.clock, time)
        return self.clock

    def is_new(self, mark: str, offset: int) -> bool:
        """Whether a source record has not been folded before; from now on it has."""
        if offset <= self._marks.get(mark, -1):
            return False
        self._marks[mark] = offset
        self._marked.add(mark)
        return True

    def resolve(self, cluster: int) -> int | None:
        """The cluster that is now where `cluster` was; None when it is gone."""
        return resolve(self._redirects, self.clusters, cluster)

    def add_member(self, cluster: int, offset: int, member: MemberValue) -> None:
        """Keep a post with its cluster; the oldest beyond the limit is dropped."""
        self._enter_member(cluster, offset, member)
        self.changes.set("members", str(offset), codec.encode(member))
        self._touched.add(cluster)
        self._shorten(cluster)

    def members_of(self, cluster: int) -> list[int]:
        """Log offsets of the members kept, oldest first."""
        return self._members_of.get(cluster, [])

    def cluster_of_member(self, offset: int) -> int:
        """The cluster of a kept member."""
        return self._cluster_of_member[offset]

    def member_by_post(self, post_id: str) -> int | None:
        """Log offset of the latest kept member with this post_id."""
        offsets = self._by_post.get(post_id)
        return max(offsets) if offsets else None

    def take_member(self, offset: int) -> tuple[int, MemberValue]:
        """Stop keeping a member, whose vector stays in its cluster's sum; gives the cluster and what was kept."""
        cluster, member = self._cluster_of_member[offset], self.members[offset]
        self._members_of[cluster].remove(offset)
        self._drop_member(offset)
        self._touched.add(cluster)
        return cluster, member

    def note_erased(self, erase_id: str, offset: int, entries: int) -> None:
        """Note how many entries held a post that was erased; the oldest note beyond the limit goes."""
        self._erased[erase_id] = offset
        self.changes.set("erased", erase_id, codec.encode(ErasedValue(offset, entries)))
        if len(self._erased) > MOST_ERASE_IDS:
            oldest = min(self._erased, key=self._erased.__getitem__)
            del self._erased[oldest]
            self.changes.delete("erased", oldest)

    def touch(self, cluster: int) -> None:
        """Note that a cluster changed."""
        self._touched.add(cluster)

    def add_rivals(self, one: int, two: int, offset: int) -> None:
        """Note that the post at `offset` could have joined either; maintenance asks whether they are twins."""
        pair = (min(one, two), max(one, two))
        if pair not in self._rivals:
            self._rivals.add(pair)
            self.changes.set("rivals", f"{pair[0]}:{pair[1]}", codec.encode(offset))

    def remember_verdict(self, verdict_id: str, offset: int) -> None:
        """Note that a verdict has been folded; the oldest beyond the limit is forgotten."""
        self.verdicts[verdict_id] = offset
        self.changes.set("verdicts", verdict_id, codec.encode(offset))
        if len(self.verdicts) > MOST_VERDICT_IDS:
            first = self.verdicts[next(iter(self.verdicts))]
            oldest = min(itertools.takewhile(lambda known: self.verdicts[known] == first, self.verdicts))
            del self.verdicts[oldest]
            self.changes.delete("verdicts", oldest)

    def evidence_changed(self, cluster: int) -> None:
        """A cluster with evidence is watched and does not fade; without, it fades again."""
        if cluster in self.book:
            self.clusters.watch(cluster, self.clock)
        else:
            self.clusters.unwatch(cluster, self.clock)
        self._touched.add(cluster)

    def finish(self, cause: str, value: UnfinishedValue | None) -> None:
        """Note what a verdict still has to reach; None when it has reached everything."""
        if value is None:
            self.unfinished.pop(cause, None)
            self.changes.delete("unfinished", cause)
        else:
            self.unfinished[cause] = value
            self.changes.set("unfinished", cause, codec.encode(value))

    def evict(self, cluster: int) -> None:
        """Forget a cluster without evidence, and its members."""
        self.clusters.remove(cluster)
        for offset in self._members_of.pop(cluster, []):
            self._drop_member(offset)
        self.changes.delete("clusters", str(cluster))
        self.flagged.clusters_changed()
        self.events["evicted"] += 1

    def maintain(self) -> None:
        """Merge twins, then evict what has faded and what is too much."""
        self._merge_twins()
        gone = self.clusters.faded(self.clock, self.settings.fade_weight)
        for cluster in gone:
            self.evict(cluster)
        excess = len(self.clusters) - len(self.book) - self.settings.maximum_clusters
        for cluster in self.clusters.faintest(excess):
            self.evict(cluster)
        if gone or excess > 0:
            self._forget_redirects()
        earliest = self.clock - int(1000 * self.settings.retraction_seconds)
        self.flagged.expire(earliest, self.settings.flagged_posts, self.changes)

    def take_changes(self) -> tuple[StateChanges, Counter[str]]:
        """The changes and events since the last call."""
        touched = [cluster for cluster in self._touched if cluster in self.clusters]
        for cluster, value in zip(touched, self._cluster_values(touched), strict=True):
            self.changes.set("clusters", str(cluster), codec.encode(value))
        for mark in self._marked:
            self.changes.set("marks", mark, codec.encode(self._marks[mark]))
        if self.clock > self._clock_written:
            self.changes.set("clock", "clock", codec.encode(self.clock))
        self._clock_written = self.clock
        self._marked.clear()
        changes, events = self.changes, self.events + self.book.events
        self.book.events.clear()
        self.changes, self.events, self._touched = StateChanges(), Counter(), set()
        return changes, events

    def restore(self, entries: Iterable[Entry], clusters: int = 0) -> None:
        """Fill an empty state from what the store holds; an entry may come twice.

        Args:
            clusters: about how many will come: room is made for them at once.

        Raises:
            CodecError: an entry cannot be read, or is of another bundle. OtherFold.
        """
        # room that is not used costs no memory, and without any the next post would have all of it copied
        self.clusters.reserve(clusters + clusters // 8)
        found: defaultdict[Kind, list[Entry]] = defaultdict(list)
        for entry in entries:
            held = found[entry.kind]
            held.append(entry)
            if entry.kind == "settings":
                self._restore_settings(codec.decode(SettingsValue, entry))
            elif len(held) >= AT_ONCE and entry.kind in {"clusters", "members"}:
                self._restore_large(entry.kind, held)
                held.clear()
        for kind in ("members", "clusters"):
            self._restore_large(kind, found.pop(kind, []))
        self._settle_members()
        self._restore_small({kind: {entry.field: entry for entry in held} for kind, held in found.items()})
        with_evidence = {cluster for cluster, _ in self.book.pieces()}
        self.clusters.watched_before(cluster for cluster in sorted(with_evidence) if cluster in self.clusters)

    def _restore_small(self, found: dict[Kind, dict[str, Entry]]) -> None:
        """Everything of which there is little."""

        def all_of(kind: Kind) -> Iterable[Entry]:
            return found.get(kind, {}).values()

        self._marks = {entry.field: codec.decode(int, entry) for entry in all_of("marks")}
        self.clock = next((codec.decode(int, entry) for entry in all_of("clock")), self.clock)
        self._clock_written = self.clock
        self._redirects = {number_of(entry): codec.decode(int, entry) for entry in all_of("redirects")}
        self._rivals = {_pair(entry) for entry in all_of("rivals")}
        folded = [(codec.decode(int, entry), entry.field) for entry in all_of("verdicts")]
        self.verdicts = {verdict_id: offset for offset, verdict_id in sorted(folded)}
        evidence = [evidence_in(entry, self.size) for entry in all_of("evidence")]
        self.book.restore(evidence, [_label(entry) for entry in all_of("labels")])
        self.flagged.restore({number_of(one): codec.decode(FlaggedValue, one) for one in all_of("flagged")})
        self.waiting.restore([codec.decode(WaitingValue, one) for one in all_of("waiting")])
        self.missing.restore({one.field: codec.decode(MissingValue, one) for one in all_of("missing")})
        self._erased = {one.field: codec.decode(ErasedValue, one).offset for one in all_of("erased")}
        self.unfinished = {one.field: codec.decode(UnfinishedValue, one) for one in all_of("unfinished")}

    def _restore_settings(self, value: SettingsValue) -> None:
        """Before anything else: a state is read under the settings it was written under."""
        check_fold(value.settings)
        self.settings, self.settings_offset = value.settings, value.offset
        self.book = EvidenceBook(value.settings, self.layout)
        self.clusters.retune(
            half_life=1000.0 * value.settings.half_life_seconds,
            join=value.settings.join,
            cohesion=value.settings.cohesion,
            attention=value.settings.attention,
            clock=0,
            lists=_lists(value.settings, self.layout.size),
        )

    def _merge_twins(self) -> None:
        for pair in sorted(self._rivals):
            self.changes.delete("rivals", f"{pair[0]}:{pair[1]}")
            one, two = self.resolve(pair[0]), self.resolve(pair[1])
            if one is None or two is None or one == two:
                continue
            if self.clusters.are_twins(one, two, self.settings.twin, self.clock):
                self._merge(one, two)
        self._rivals.clear()

    def _merge(self, one: int, two: int) -> None:
        """Twins become one unless both have evidence and their labels differ; evidence first, then age survives."""
        if one in self.book and two in self.book and self.book.states(one) != self.book.states(two):
            return
        kept, absorbed = sorted((one, two), key=lambda cluster: (cluster not in self.book, cluster))
        self.clusters.merge(kept, absorbed, self.clock)
        self.book.merge(kept, absorbed, self.changes)
        moved = self._members_of.pop(absorbed, [])
        for offset in moved:
            self._cluster_of_member[offset] = kept
        self._members_of[kept] = sorted([*self._members_of.get(kept, []), *moved])
        self._shorten(kept)
        self._redirects[absorbed] = kept
        self.changes.set("redirects", str(absorbed), codec.encode(kept))
        self.changes.delete("clusters", str(absorbed))
        if len(self._redirects) > MOST_REDIRECTS:
            self._forget_redirect(min(self._redirects))
        self.flagged.clusters_changed()
        self.evidence_changed(kept)
        self.events["merged"] += 1

    def _forget_redirects(self) -> None:
        for cluster in sorted(self._redirects):
            if self.resolve(cluster) is None:
                self._forget_redirect(cluster)

    def _forget_redirect(self, cluster: int) -> None:
        del self._redirects[cluster]
        self.changes.delete("redirects", str(cluster))

    def _enter_member(self, cluster: int, offset: int, member: MemberValue) -> None:
        self.members[offset] = member
        self._members_of.setdefault(cluster, []).append(offset)
        self._cluster_of_member[offset] = cluster
        self._by_post.setdefault(member.post_id, []).append(offset)

    def _shorten(self, cluster: int) -> None:
        offsets = self._members_of[cluster]
        excess = len(offsets) - self.settings.members
        if excess > 0:
            for offset in offsets[:excess]:
                self._drop_member(offset)
            del offsets[:excess]

    def _drop_member(self, offset: int) -> None:
        member = self.members.pop(offset)
        del self._cluster_of_member[offset]
        others = self._by_post[member.post_id]
        others.remove(offset)
        if not others:
            del self._by_post[member.post_id]
        self.changes.delete("members", str(offset))

    def _cluster_values(self, clusters: Sequence[int]) -> Iterator[ClusterValue]:
        rows = zip(*self.clusters.many(clusters), strict=True)
        for cluster, row, weight, squares, time, count, opened, seen in rows:
            sums, half = codec.pack_sums(row, count)
            members = tuple(self.members_of(cluster))
            yield ClusterValue(weight, squares, sums, time, count, opened, seen, members, half)

    def _restore_large(self, kind: Kind, entries: Sequence[Entry]) -> None:
        """Some members or clusters. What a cell moves in is the time that this takes for all of them."""
        if kind == "members":
            self.members.update(zip(numbers_of(entries), codec.decode_many(MemberValue, entries), strict=True))
            return
        values = insert_clusters(self.clusters, entries, self.size)
        self._members_of.update((key, list(value.members)) for key, value in values.items())

    def _settle_members(self) -> None:
        """Once all are there: whose members they are, by their offsets; those of no cluster are forgotten."""
        owned = {offset: cluster for cluster, offsets in self._members_of.items() for offset in offsets}
        missing = owned.keys() - self.members.keys()
        if missing:
            cluster = owned[min(missing)]
            raise damaged(Entry("clusters", str(cluster), b""), "members are missing")
        self._cluster_of_member = owned
        self.members = {offset: self.members[offset] for offset in sorted(owned)}
        for offset, member in self.members.items():
            self._by_post.setdefault(member.post_id, []).append(offset)


def _lists(settings: FoldSettings, size: int) -> Lists | None:
    """The lists of the settings, for vectors of this size."""
    found = settings.lists
    if found is None:
        return None
    directions = np.frombuffer(found.directions, dtype="<f2").astype(np.float32)
    return Lists(directions.reshape(-1, size), found.probes)


def _pair(entry: Entry) -> tuple[int, int]:
    one, _, two = entry.field.partition(":")
    try:
        return int(one), int(two)
    except ValueError as error:
        raise damaged(entry, "not two log offsets") from error


def _label(entry: Entry) -> tuple[int, str, Label, int]:
    cluster, _, policy = entry.field.partition(":")
    if not cluster.isdigit():
        raise damaged(entry, "not a log offset and a policy")
    value = codec.decode(LabelValue, entry)
    return int(cluster), policy, Label(value.state, value.bound, value.upheld, value.overturned), value.flags
