"""The evidence of a cell: which verdicts count for which cluster, and the labels they give."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from consumers.state.codec import EvidenceValue, LabelValue, encode
from consumers.steps.place import read_vector
from models.fusion import FusionLayout
from models.policies import Bank, Evidence, Label, PolicyRule, State, add, exemplars, weigh

if TYPE_CHECKING:
    from collections.abc import Iterable

    from consumers.settings import Settings
    from consumers.state.codec import StateChanges
    from models.manifest import Manifest


class Standing(NamedTuple):
    """A cluster under one policy: its label, and the exemplars upheld and overturned."""

    label: Label
    upheld: Bank
    benign: Bank


class EvidenceBook:
    """Evidence, labels and exemplars of a cell's clusters. Evidence is kept by cluster and policy.

    Attributes:
        events: labels given and taken back: `labelled`, `unlabelled`.
    """

    def __init__(self, settings: Settings, manifest: Manifest) -> None:
        self.layout = FusionLayout.of(manifest)
        self.events: Counter[str] = Counter()
        self._settings = settings
        self._manifest = manifest
        self._rules: dict[str, PolicyRule] = {}
        self._evidence: dict[int, dict[str, list[Evidence]]] = {}
        self._standing: dict[int, dict[str, Standing]] = {}
        self._cluster_of: dict[str, tuple[int, str]] = {}
        self._by_actor: dict[tuple[str, str, str], str] = {}

    def __contains__(self, cluster: object) -> bool:
        """Whether any verdict counts for the cluster."""
        return cluster in self._evidence

    def of(self, cluster: int) -> dict[str, Standing]:
        """The cluster's standing by policy."""
        return self._standing.get(cluster, {})

    def states(self, cluster: int) -> dict[str, State]:
        """The cluster's labels by policy, without those that say nothing."""
        found = {policy: standing.label.state for policy, standing in self.of(cluster).items()}
        return {policy: state for policy, state in found.items() if state != "none"}

    def rule(self, policy: str) -> PolicyRule:
        """The policy with all its thresholds: the settings', else the bundle's."""
        found = self._rules.get(policy)
        if found is None:
            found = self._rules[policy] = policy_rule(self._settings, self._manifest, policy)
        return found

    def count(self, cluster: int, new: Evidence, changes: StateChanges, *, supersedes: str | None = None) -> set[int]:
        """Count a verdict for a cluster; gives the clusters whose evidence changed.

        What the same actor said about the same post under this policy leaves, also from another cluster, and so does
        the verdict that it supersedes. Labels are weighed when all of it is done: saying the same again is no change.
        """
        touched = {(cluster, new.policy)}
        for verdict_id in (self._by_actor.get((new.policy, new.actor, new.post)), supersedes):
            found = self._cluster_of.get(verdict_id or "")
            if verdict_id is not None and found is not None:
                self._remove(verdict_id, *found, changes)
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
        return {changed for changed, _ in touched}

    def merge(self, kept: int, absorbed: int, changes: StateChanges) -> None:
        """Let the evidence of one cluster count for another."""
        standings = self._standing.pop(absorbed, {})
        for policy, pieces in self._evidence.pop(absorbed, {}).items():
            self._standing.setdefault(kept, {}).setdefault(policy, standings[policy])
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

    def restore(self, evidence: Iterable[tuple[int, Evidence]], labels: Iterable[tuple[int, str, Label]]) -> None:
        """Fill an empty book from what the store holds."""
        for cluster, piece in sorted(evidence, key=lambda found: (found[1].offset, found[1].verdict_id)):
            self._evidence.setdefault(cluster, {}).setdefault(piece.policy, []).append(piece)
            self._enter(cluster, piece)
        for cluster, policy, label in labels:
            pieces = self._evidence.get(cluster, {}).get(policy, [])
            banks = exemplars(pieces, self._settings.assign.exemplars)
            self._standing.setdefault(cluster, {})[policy] = Standing(label, *banks)

    def _weigh(self, cluster: int, policy: str, changes: StateChanges) -> None:
        """Bring label and exemplars up to the evidence; the label remembers which side it came from."""
        pieces = self._evidence[cluster][policy]
        standings = self._standing.setdefault(cluster, {})
        before: State = standings[policy].label.state if policy in standings else "none"
        label = weigh(pieces, self.rule(policy), before)
        if (label.state == "violating") != (before == "violating"):
            self.events["unlabelled" if before == "violating" else "labelled"] += 1
        if pieces:
            standings[policy] = Standing(label, *exemplars(pieces, self._settings.assign.exemplars))
            value = LabelValue(label.state, label.bound, label.upheld, label.overturned)
            changes.set("labels", _label_field(cluster, policy), encode(value))
            return
        standings.pop(policy, None)
        del self._evidence[cluster][policy]
        if not self._evidence[cluster]:
            del self._evidence[cluster], self._standing[cluster]
        changes.delete("labels", _label_field(cluster, policy))

    def _remove(self, verdict_id: str, cluster: int, policy: str, changes: StateChanges) -> None:
        pieces = self._evidence[cluster][policy]
        for piece in pieces:
            if piece.verdict_id == verdict_id:
                self._drop_from_indexes(piece)
        self._evidence[cluster][policy] = [piece for piece in pieces if piece.verdict_id != verdict_id]
        changes.delete("evidence", verdict_id)

    def _enter(self, cluster: int, piece: Evidence) -> None:
        self._cluster_of[piece.verdict_id] = (cluster, piece.policy)
        self._by_actor[piece.policy, piece.actor, piece.post] = piece.verdict_id

    def _drop_from_indexes(self, piece: Evidence) -> None:
        self._cluster_of.pop(piece.verdict_id, None)
        key = (piece.policy, piece.actor, piece.post)
        if self._by_actor.get(key) == piece.verdict_id:
            del self._by_actor[key]


def policy_rule(settings: Settings, manifest: Manifest, name: str) -> PolicyRule:
    """A policy with all its thresholds: what the settings leave open comes from the bundle."""
    policy, bundle = settings.policy(name), manifest.thresholds
    return PolicyRule(
        name=name,
        promote=policy.promote,
        demote=policy.demote,
        centroid=bundle.centroid if policy.centroid is None else policy.centroid,
        exemplar=bundle.exemplar if policy.exemplar is None else policy.exemplar,
        cohesion=bundle.cohesion if policy.cohesion is None else policy.cohesion,
        modality=bundle.modality,
        together=policy.together,
    )


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
        )
    )


def _label_field(cluster: int, policy: str) -> str:
    return f"{cluster}:{policy}"
