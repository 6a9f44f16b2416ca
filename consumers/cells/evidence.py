"""The evidence of a cell: which verdicts count for which cluster, and the labels they give."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec
import numpy as np

from consumers.state.codec import EvidenceValue, LabelValue, encode
from consumers.steps.place import read_vector
from models.policies import Bank, Evidence, Label, PolicyRule, State, add, exemplars, weigh

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from consumers.contracts.fold_settings import FoldSettings
    from consumers.state.codec import StateChanges
    from models.fusion import FusionLayout

Permit = Literal["flag", "review", "capped"]

ROUNDING = 1e-3
"""More than a float32 product can be wrong: what comes this close is computed again, exactly."""


class Standing(NamedTuple):
    """A cluster under one policy: its label, and the exemplars upheld and overturned."""

    label: Label
    upheld: Bank
    benign: Bank


class Change(NamedTuple):
    """What counting a verdict changed.

    Attributes:
        clusters: whose evidence is another now.
        policies: under which it is.
        adds: whether an upheld post came and no other one went: then no flag has lost what upholds it.
    """

    clusters: set[int]
    policies: set[str]
    adds: bool


class EvidenceBook:
    """Evidence, labels and exemplars of a cell's clusters. Evidence is kept by cluster and policy.

    Attributes:
        events: labels given and taken back: `labelled`, `unlabelled`.
        refused: policy -> candidates that only their features kept from a flag.
    """

    def __init__(self, settings: FoldSettings, layout: FusionLayout) -> None:
        self.layout = layout
        self.events: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self._settings = settings
        self._rules: dict[str, PolicyRule] = {}
        self._evidence: dict[int, dict[str, list[Evidence]]] = {}
        self._standing: dict[int, dict[str, Standing]] = {}
        self._flags: Counter[tuple[int, str]] = Counter()
        self._cluster_of: dict[str, tuple[int, str]] = {}
        self._by_actor: dict[tuple[str, str, str], str] = {}
        self._alone: dict[str, set[int]] = {}
        self._blocks: dict[str, tuple[NDArray[np.int64], NDArray[np.float32]]] = {}

    def __contains__(self, cluster: object) -> bool:
        """Whether any verdict counts for the cluster."""
        return cluster in self._evidence

    def counts(self, verdict_id: str) -> bool:
        """Whether this verdict is among the evidence."""
        return verdict_id in self._cluster_of

    def __len__(self) -> int:
        """Clusters with evidence."""
        return len(self._evidence)

    def of(self, cluster: int) -> dict[str, Standing]:
        """The cluster's standing by policy."""
        return self._standing.get(cluster, {})

    def states(self, cluster: int) -> dict[str, State]:
        """The cluster's labels by policy, without those that say nothing."""
        found = {policy: standing.label.state for policy, standing in self.of(cluster).items()}
        return {policy: state for policy, state in found.items() if state != "none"}

    def rule(self, policy: str) -> PolicyRule:
        """The policy with all its thresholds."""
        found = self._rules.get(policy)
        if found is None:
            found = self._rules[policy] = self._settings.rule(policy)
        return found

    def alone(self, policy: str) -> bool:
        """Whether a policy looks at one modality alone."""
        return policy in self._alone

    def alone_near(self, vector: NDArray[np.float32]) -> Iterator[tuple[str, int]]:
        """Policies that look at one modality alone, with the clusters that have an exemplar near a post in it."""
        for policy in sorted(self._alone):
            clusters, blocks = self._blocks_of(policy)
            part = vector[self.layout.block(self.rule(policy).alone or "")]
            length = float(np.linalg.norm(part))
            if length > 0.0 and len(clusters):
                reached = blocks @ (part / length) >= self.rule(policy).exemplar - ROUNDING
                yield from ((policy, cluster) for cluster in sorted({int(found) for found in clusters[reached]}))

    def obey(self, settings: FoldSettings, changes: StateChanges) -> dict[str, set[int]]:
        """Weigh all evidence by other settings; gives policy -> the clusters whose label became another."""
        self._settings = settings
        self._rules.clear()
        self._alone.clear()
        self._blocks.clear()
        changed: dict[str, set[int]] = {}
        for cluster in sorted(self._evidence):
            for policy in sorted(self._evidence[cluster]):
                before = self._standing[cluster][policy].label.state
                self._weigh(cluster, policy, changes)
                if self._standing[cluster][policy].label.state != before:
                    changed.setdefault(policy, set()).add(cluster)
        return changed

    def take_refused(self) -> Counter[str]:
        """What has been refused since the last call."""
        refused, self.refused = self.refused, Counter()
        return refused

    def permit(self, cluster: int, policy: str, changes: StateChanges) -> Permit:
        """Count one more post that a label would flag: at most so many for each verdict, then a sample to review."""
        rule, standing = self.rule(policy), self._standing[cluster][policy]
        number = self._flags[cluster, policy]
        self._flags[cluster, policy] = number + 1
        self._put_label(cluster, policy, standing.label, changes)
        beyond = number - rule.flags_per_verdict * standing.label.upheld
        if beyond < 0:
            return "flag"
        return "review" if beyond % rule.sample == 0 else "capped"

    def count(self, cluster: int, new: Evidence, changes: StateChanges, *, supersedes: str | None = None) -> Change:
        """Count a verdict for a cluster.

        What the same actor said about the same post under this policy leaves, also from another cluster, and so does
        the verdict that it supersedes. Labels are weighed when all of it is done: saying the same again is no change.
        """
        touched, gone = {(cluster, new.policy)}, []
        for verdict_id in (self._by_actor.get((new.policy, new.actor, new.post)), supersedes):
            found = self._cluster_of.get(verdict_id or "")
            if verdict_id is not None and found is not None:
                gone += self._remove(verdict_id, *found, changes)
                touched.add(found)
        policies = self._evidence.setdefault(cluster, {})
        policies[new.policy], left = add(policies.get(new.policy, []), new)
        for piece in left:
            self._drop_from_indexes(piece)
            changes.delete("evidence", piece.verdict_id)
        self._enter(cluster, new)
        changes.set("evidence", new.verdict_id, _value(cluster, new))
        for changed, policy in sorted(touched):
            self._weigh(changed, policy, changes)
        lost = len(touched) > 1 or any(piece.upheld and piece.post != new.post for piece in [*gone, *left])
        clusters, names = zip(*touched, strict=True)
        return Change(set(clusters), set(names), new.upheld and not lost)

    def merge(self, kept: int, absorbed: int, changes: StateChanges) -> None:
        """Let the evidence of one cluster count for another."""
        standings = self._standing.pop(absorbed, {})
        for policy, pieces in self._evidence.pop(absorbed, {}).items():
            self._standing.setdefault(kept, {}).setdefault(policy, standings[policy])
            self._flags[kept, policy] += self._flags.pop((absorbed, policy), 0)
            self._not_alone(absorbed, policy)
            changes.delete("labels", _label_field(absorbed, policy))
            policies = self._evidence.setdefault(kept, {})
            for piece in pieces:
                self._drop_from_indexes(piece)
                changes.delete("evidence", piece.verdict_id)
            both = sorted([*policies.get(policy, []), *pieces], key=lambda piece: piece.offset)
            policies[policy] = []
            for piece in both:
                policies[policy], left = add(policies[policy], piece)
                self._enter(kept, piece)
                changes.set("evidence", piece.verdict_id, _value(kept, piece))
                for gone in left:
                    self._drop_from_indexes(gone)
                    changes.delete("evidence", gone.verdict_id)
            self._weigh(kept, policy, changes)

    def pieces(self, cluster: int | None = None) -> Iterator[tuple[int, Evidence]]:
        """The evidence that counts for a cluster, or for all of them, with the cluster."""
        for one in sorted(self._evidence) if cluster is None else [cluster]:
            for pieces in self._evidence.get(one, {}).values():
                yield from ((one, piece) for piece in pieces)

    def forget(self, found: Iterable[tuple[int, Evidence]], changes: StateChanges) -> None:
        """Take pieces of evidence away from their clusters, and weigh what is left."""
        touched = set()
        for cluster, piece in found:
            self._remove(piece.verdict_id, cluster, piece.policy, changes)
            touched.add((cluster, piece.policy))
        for cluster, policy in sorted(touched):
            self._weigh(cluster, policy, changes)

    def restore(
        self, evidence: Iterable[tuple[int, Evidence]], labels: Iterable[tuple[int, str, Label, int]]
    ) -> None:
        """Fill an empty book from what the store holds; a label comes with the number of posts that matched it."""
        for cluster, piece in sorted(evidence, key=lambda found: (found[1].offset, found[1].verdict_id)):
            self._evidence.setdefault(cluster, {}).setdefault(piece.policy, []).append(piece)
            self._enter(cluster, piece)
        for cluster, policy, label, flags in labels:
            pieces = self._evidence.get(cluster, {}).get(policy, [])
            self._flags[cluster, policy] = flags
            self._stand(cluster, policy, label, pieces)

    def _weigh(self, cluster: int, policy: str, changes: StateChanges) -> None:
        """Bring label and exemplars up to the evidence; the label remembers which side it came from."""
        pieces = self._evidence[cluster][policy]
        standings = self._standing.setdefault(cluster, {})
        before: State = standings[policy].label.state if policy in standings else "none"
        label = weigh(pieces, self.rule(policy), before)
        if (label.state == "violating") != (before == "violating"):
            self.events["unlabelled" if before == "violating" else "labelled"] += 1
        if pieces:
            self._stand(cluster, policy, label, pieces)
            self._put_label(cluster, policy, label, changes)
            return
        standings.pop(policy, None)
        self._flags.pop((cluster, policy), None)
        self._not_alone(cluster, policy)
        del self._evidence[cluster][policy]
        if not self._evidence[cluster]:
            del self._evidence[cluster], self._standing[cluster]
        changes.delete("labels", _label_field(cluster, policy))

    def _stand(self, cluster: int, policy: str, label: Label, pieces: list[Evidence]) -> None:
        standing = Standing(label, *exemplars(pieces, self._settings.exemplars))
        self._standing.setdefault(cluster, {})[policy] = standing
        if self.rule(policy).alone in self.layout.names:
            self._alone.setdefault(policy, set()).add(cluster)
            self._blocks.pop(policy, None)

    def _not_alone(self, cluster: int, policy: str) -> None:
        self._alone.get(policy, set()).discard(cluster)
        self._blocks.pop(policy, None)

    def _blocks_of(self, policy: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The clusters of all exemplars under a policy, and the exemplars' unit vectors in its one modality."""
        found = self._blocks.get(policy)
        if found is None:
            banks = [
                (cluster, bank.vectors[:, self.layout.block(self.rule(policy).alone or "")])
                for cluster in sorted(self._alone[policy])
                for bank in self._standing[cluster][policy][1:]
                if bank.post_ids
            ]
            clusters = np.repeat([cluster for cluster, _ in banks], [len(rows) for _, rows in banks]).astype(np.int64)
            rows = np.concatenate([rows for _, rows in banks] or [np.empty((0, self.layout.dimension))])
            lengths = np.linalg.norm(rows, axis=1, keepdims=True)
            blocks = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0.0).astype(np.float32)
            found = self._blocks[policy] = (clusters, blocks)
        return found

    def _put_label(self, cluster: int, policy: str, label: Label, changes: StateChanges) -> None:
        flags = self._flags[cluster, policy]
        value = LabelValue(label.state, label.bound, label.upheld, label.overturned, flags)
        changes.set("labels", _label_field(cluster, policy), encode(value))

    def _remove(self, verdict_id: str, cluster: int, policy: str, changes: StateChanges) -> list[Evidence]:
        """Take a verdict out of a cluster's evidence; gives what that was."""
        pieces = self._evidence[cluster][policy]
        gone = [piece for piece in pieces if piece.verdict_id == verdict_id]
        for piece in gone:
            self._drop_from_indexes(piece)
        self._evidence[cluster][policy] = [piece for piece in pieces if piece.verdict_id != verdict_id]
        changes.delete("evidence", verdict_id)
        return gone

    def _enter(self, cluster: int, piece: Evidence) -> None:
        self._cluster_of[piece.verdict_id] = (cluster, piece.policy)
        self._by_actor[piece.policy, piece.actor, piece.post] = piece.verdict_id

    def _drop_from_indexes(self, piece: Evidence) -> None:
        self._cluster_of.pop(piece.verdict_id, None)
        key = (piece.policy, piece.actor, piece.post)
        if self._by_actor.get(key) == piece.verdict_id:
            del self._by_actor[key]


def evidence_of(verdict_id: str, value: EvidenceValue, size: int) -> Evidence | None:
    """The evidence in a value of the store; None when its vector is none of this bundle."""
    vector = read_vector(value.vector, size)
    if vector is None:
        return None
    fields = msgspec.structs.asdict(value)
    del fields["cluster"], fields["vector"]
    return Evidence(verdict_id=verdict_id, vector=vector, **fields)


def _value(cluster: int, piece: Evidence) -> bytes:
    return encode(
        EvidenceValue(
            cluster=cluster,
            policy=piece.policy,
            actor=piece.actor,
            upheld=piece.upheld,
            post=piece.post,
            post_id=piece.post_id,
            offset=piece.offset,
            time=piece.time,
            vector=piece.vector.astype("<f2").tobytes(),
            features=dict(piece.features),
        )
    )


def _label_field(cluster: int, policy: str) -> str:
    return f"{cluster}:{policy}"
