"""Simulated moderators, who know the truth but look at few posts: growing clusters, some flags, reported posts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from consumers.demo.tally import FLAGS_KEPT

if TYPE_CHECKING:
    from consumers.contracts.decision import Decision
    from consumers.contracts.flag import Flag
    from consumers.demo.tally import Cluster, Tally

SECONDS_A_REVIEW = 0.2
LEAST_MEMBERS = 2
GROWN = 4
"""A cluster found harmless is looked at again when it is this many times as large."""

REPORT_SECONDS = 2.0
"""After so long without a flag somebody reports a violating post, and another so long after that."""

VERDICTS_A_CAMPAIGN = 12
MISTAKE_AT = 0.3
"""Share of the stream after which one moderator mistakes a popular harmless post for a violation."""

MISTAKE_MEMBERS = range(6, 40)
"""Popular enough to be seen, and few enough that every member is still kept and can be cleared again."""

MISTAKE_FLAGS = 3
MISTAKEN_POLICY = "scam"


@dataclass(frozen=True, slots=True)
class Opinion:
    """A verdict to be sent about the post of `decision`."""

    verdict: Literal["uphold", "overturn"]
    policy: str
    actor: str
    post_id: str
    cluster_id: str
    cell: int
    cell_offset: int


@dataclass(slots=True)
class Moderator:
    """Reviews one thing at a time.

    Args:
        mistakes: whether one harmless cluster is upheld by mistake and overturned later, for the viewer to see.
        sparing: whether verdicts go only where they change something: nothing is upheld that is flagged already.
        most: verdicts that uphold, a campaign.
    """

    mistakes: bool
    sparing: bool = False
    most: int = VERDICTS_A_CAMPAIGN
    _next: float = 0.0
    _reviewed: dict[str, int] = field(default_factory=dict)
    _audited: dict[str, int] = field(default_factory=dict)
    _upheld: dict[str, int] = field(default_factory=dict)
    _read: int = 0
    _next_report: float = 0.0
    _mistaken: str | None = None
    _corrected: bool = False

    def look(self, tally: Tally, now: float, progress: float) -> Opinion | None:
        """The next opinion, or None when there is nothing to say or the last review has just been done."""
        if now < self._next:
            return None
        opinion = (
            self._correct(tally, progress)
            or self._err(tally, progress, now)
            or self._review(tally, now)
            or self._audit(tally)
            or self._hear(tally, now)
        )
        if opinion is not None:
            self._next = now + SECONDS_A_REVIEW
        return opinion

    def _review(self, tally: Tally, now: float) -> Opinion | None:
        """The unlabelled cluster that grows fastest and was not looked at yet, or has grown a lot since."""
        waiting = [
            cluster
            for cluster in tally.clusters.values()
            if cluster.policy is None
            and cluster.members >= LEAST_MEMBERS
            and cluster.members >= GROWN * self._reviewed.get(cluster.cluster_id, 0)
        ]
        for cluster in sorted(waiting, key=lambda cluster: -cluster.growth(now)):
            self._reviewed[cluster.cluster_id] = cluster.members
            opinion = self._judge(tally, cluster.latest)
            if opinion is not None:
                return opinion
        return None

    def _hear(self, tally: Tally, now: float) -> Opinion | None:
        """What people report: now and then a violating post that was not flagged."""
        if now < self._next_report:
            return None
        while self._read < len(tally.arrivals) and tally.arrivals[self._read][0] < now - REPORT_SECONDS:
            _, post_id = tally.arrivals[self._read]
            self._read += 1
            opinion = None if tally.flagged(post_id) else self._judge(tally, tally.decided[post_id])
            if opinion is not None:
                self._next_report = now + REPORT_SECONDS
                return opinion
        return None

    def _judge(self, tally: Tally, decision: Decision | None) -> Opinion | None:
        """Uphold a violating post, unless enough of its campaign have been."""
        if decision is None or decision.post_id is None or decision.cluster_id is None:
            return None
        truth = tally.sent[decision.post_id].truth
        campaign = truth.campaign or ""
        if truth.policy is None or self._upheld.get(campaign, 0) >= self.most:
            return None
        if self.sparing and tally.flagged(decision.post_id):
            return None
        self._upheld[campaign] = self._upheld.get(campaign, 0) + 1
        return _opinion("uphold", truth.policy, "moderator-1", decision)

    def _audit(self, tally: Tally) -> Opinion | None:
        """A look at the latest flags of a labelled cluster, again and again: the majority decides.

        The first time a second moderator confirms what is right, unless they are sparing; after that silence means
        consent.
        """
        for cluster in tally.clusters.values():
            name, seen = cluster.cluster_id, self._audited.get(cluster.cluster_id, 0)
            if name == self._mistaken or cluster.flagged < seen + FLAGS_KEPT:
                continue
            self._audited[name] = cluster.flagged
            flags = [flag for flag in cluster.flags if flag.action == "flag"]
            wrong = [flag for flag in flags if not tally.violates(flag.post_id, flag.policy)]
            if 2 * len(wrong) > len(flags):
                return _about("overturn", "moderator-2", wrong[-1])
            if not seen and flags and not self.sparing:
                right = next(flag for flag in reversed(flags) if flag not in wrong)
                return _about("uphold", "moderator-2", right)
        return None

    def _err(self, tally: Tally, progress: float, now: float) -> Opinion | None:
        if not self.mistakes or self._mistaken is not None or progress < MISTAKE_AT:
            return None
        popular = [c for c in tally.clusters.values() if c.members in MISTAKE_MEMBERS and _harmless(c, tally)]
        cluster = max(popular, key=lambda cluster: cluster.growth(now), default=None)
        if cluster is None or cluster.latest is None:
            return None
        self._mistaken = cluster.cluster_id
        return _opinion("uphold", MISTAKEN_POLICY, "moderator-3", cluster.latest)

    def _correct(self, tally: Tally, progress: float) -> Opinion | None:
        """Overturn the mistake when a few false flags have come of it, or the stream is about to end."""
        if self._mistaken is None or self._corrected:
            return None
        false = [flag for flag in tally.flags.values() if flag.cluster_id == self._mistaken and flag.action == "flag"]
        live = sum(flag.cause == "live" for flag in false)
        if not false or (live < MISTAKE_FLAGS and progress < 0.9):
            return None
        self._corrected = True
        return _about("overturn", "moderator-2", false[-1])


def _harmless(cluster: Cluster, tally: Tally) -> bool:
    if cluster.policy is not None or cluster.latest is None or cluster.latest.post_id is None:
        return False
    sent = tally.sent.get(cluster.latest.post_id)
    return sent is not None and sent.truth.kind == "benign"


def _opinion(verdict: Literal["uphold", "overturn"], policy: str, actor: str, decision: Decision) -> Opinion:
    return Opinion(
        verdict,
        policy,
        actor,
        decision.post_id or "",
        decision.cluster_id or "",
        decision.cell,
        decision.cell_offset,
    )


def _about(verdict: Literal["uphold", "overturn"], actor: str, flag: Flag) -> Opinion:
    return Opinion(verdict, flag.policy, actor, flag.post_id, flag.cluster_id, flag.cell, flag.cell_offset)
