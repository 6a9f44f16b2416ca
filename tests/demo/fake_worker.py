"""A worker made of the truth: posts of one original join one cluster, labels follow verdicts at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from consumers.contracts.decision import Decision
from consumers.contracts.flag import Flag, NearestExemplar
from consumers.contracts.source import Source, decision_id, flag_id
from consumers.demo.tally import Given, Sent, Tally
from models.synthetic.posts import Truth

if TYPE_CHECKING:
    from consumers.demo.moderator import Opinion

BUNDLE = "fake-00000000"
SHARES = {"text": 0.31, "image": 0.35, "audio": 0.22}


@dataclass
class FakeWorker:
    """Decides the posts it is given, and keeps labels by cluster."""

    tally: Tally = field(default_factory=Tally)
    offset: int = 0
    clusters: dict[str, str] = field(default_factory=dict)
    labels: dict[str, dict[str, int]] = field(default_factory=dict)
    members: dict[str, list[Decision]] = field(default_factory=dict)

    def post(self, original: str, now: float, *, policy: str | None = None, kind: str = "benign") -> Decision:
        """Send and decide one post of `original`."""
        self.offset += 1
        post_id = f"post-{self.offset}"
        campaign = None if kind == "benign" else original
        truth = Truth(campaign, policy, kind)  # type: ignore[arg-type]
        caption = f"words about {original} number {self.offset}" if self.offset % 3 else None
        self.tally.sent[post_id] = Sent(post_id, caption, ("image",), truth)
        cluster_id = self.clusters.setdefault(original, f"0-{self.offset}")
        decision = self._decision(post_id, cluster_id, now)
        self.tally.decide(decision, now, 0.05 + 0.01 * (self.offset % 7))
        self.members.setdefault(cluster_id, []).append(decision)
        for name, count in self.labels.get(cluster_id, {}).items():
            if count > 0:
                self._flag(decision, name, now, self.offset, "flag")
        return decision

    def obey(self, opinion: Opinion, now: float) -> None:
        """Count a verdict: the members kept are flagged, or their flags taken back."""
        self.offset += 1
        sent = self.tally.sent[opinion.post_id]
        self.tally.give(
            Given(
                at=now,
                decision=opinion.verdict,
                policy=opinion.policy,
                actor=opinion.actor,
                cluster_id=opinion.cluster_id,
                campaign=sent.truth.campaign if sent.truth.policy == opinion.policy else None,
                sent=sent,
                timestamp=int(now * 1000),
            )
        )
        label = self.labels.setdefault(opinion.cluster_id, {})
        before = label.get(opinion.policy, 0)
        label[opinion.policy] = before + (1 if opinion.verdict == "uphold" else -1)
        if (before > 0) == (label[opinion.policy] > 0):
            return
        action = "flag" if label[opinion.policy] > 0 else "retract"
        for decision in self.members[opinion.cluster_id][-64:]:
            self._flag(decision, opinion.policy, now, self.offset, action)

    def _decision(self, post_id: str, cluster_id: str, now: float) -> Decision:
        source = Source("posts", "id", 0, self.offset, int(now * 1000))
        return Decision(
            decision_id=decision_id(BUNDLE, source),
            post_id=post_id,
            source=source,
            cell=0,
            cell_offset=self.offset,
            outcome="clear",
            cluster_id=cluster_id,
            opened=False,
            similarity=0.88,
            shares=SHARES,
            parts=dict.fromkeys(SHARES, "used"),
            flags=(),
            bundle=BUNDLE,
            decided_at="2026-03-01T12:00:00Z",
        )

    def _flag(self, decision: Decision, policy: str, now: float, revision: int, action: str) -> None:
        self.tally.flag(
            Flag(
                flag_id=flag_id(BUNDLE, decision.source, policy),
                revision=revision,
                action=action,  # type: ignore[arg-type]
                mode="live",
                cause="live" if revision == decision.cell_offset else "retroactive",
                post_id=decision.post_id or "",
                source=decision.source,
                policy=policy,
                severity="high",
                cluster_id=decision.cluster_id or "",
                bound=0.66,
                cell=0,
                cell_offset=decision.cell_offset,
                similarity=0.88,
                shares=SHARES,
                exemplar=NearestExemplar("post-1", 0.9),
                thresholds={},
                bundle=BUNDLE,
                policy_version="0",
                decided_at="2026-03-01T12:00:00Z",
            ),
            now,
        )
