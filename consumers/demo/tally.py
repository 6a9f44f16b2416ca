"""What the demo has seen so far, and how good it was against the stream's truth."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from consumers.cells.retroactive import RETROACTIVE

if TYPE_CHECKING:
    from collections.abc import Collection

    from consumers.contracts.decision import Decision
    from consumers.contracts.flag import Flag
    from models.synthetic.posts import Truth

GROWTH_SECONDS = 10.0
FLAGS_KEPT = 4
FLAGS_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Sent:
    """A post of the stream as the demo remembers it. `parts` says what it carries besides a caption."""

    post_id: str
    caption: str | None
    parts: tuple[str, ...]
    truth: Truth

    @property
    def kinds(self) -> frozenset[str]:
        """Of which kinds its parts are."""
        return frozenset(self.parts) | ({"text"} if self.caption else set())


@dataclass(slots=True)
class Cluster:
    """A micro-cluster as the decisions show it.

    Attributes:
        arrivals: when posts joined, in seconds since the start, of the last GROWTH_SECONDS only.
        latest: the newest member.
        policy: the policy of its latest live flag, None again after a retraction.
        flags: its latest flags; `flagged` counts all of them.
    """

    cluster_id: str
    members: int = 0
    arrivals: deque[float] = field(default_factory=deque)
    latest: Decision | None = None
    policy: str | None = None
    flags: deque[Flag] = field(default_factory=lambda: deque(maxlen=FLAGS_KEPT))
    flagged: int = 0

    def growth(self, now: float) -> int:
        """Posts of the last GROWTH_SECONDS."""
        while self.arrivals and self.arrivals[0] < now - GROWTH_SECONDS:
            self.arrivals.popleft()
        return len(self.arrivals)


@dataclass(frozen=True, slots=True)
class Given:
    """A verdict that a simulated moderator gave. `at` is in seconds since the start, `campaign` is the truth's."""

    at: float
    decision: str
    policy: str
    actor: str
    cluster_id: str
    campaign: str | None
    sent: Sent
    timestamp: int


@dataclass(frozen=True, slots=True)
class Score:
    """Flags against the truth. None where there was nothing to count."""

    flags: int
    precision: float | None
    recall: float | None


class Tally:
    """Counts what was sent, decided and flagged. Times are in seconds since the demo began.

    Args:
        encoded: kinds of parts that the bundle has encoders for. A post with none of them is rightly a dead letter.

    Attributes:
        arrivals: when each decision came, and its post, in that order.
        first_upheld: campaign -> when its first upheld verdict was given, in milliseconds since 1970.
    """

    def __init__(self, encoded: Collection[str] = ("text", "image", "audio")) -> None:
        self.encoded = frozenset(encoded)
        self.sent: dict[str, Sent] = {}
        self.decided: dict[str, Decision] = {}
        self.latencies: list[float] = []
        self.arrivals: list[tuple[float, str]] = []
        self.recent: deque[tuple[float, float]] = deque()
        self.clusters: dict[str, Cluster] = {}
        self.flags: dict[str, Flag] = {}
        self._flags_of: dict[str, set[str]] = defaultdict(set)
        self.latest_flags: deque[Flag] = deque(maxlen=FLAGS_SHOWN)
        self.first_flag: float | None = None
        self.retractions = 0
        self.verdicts: list[Given] = []
        self.first_upheld: dict[str, int] = {}

    def decide(self, decision: Decision, now: float, latency: float) -> None:
        """Take in one decision that arrived at `now`, `latency` seconds after its post entered Kafka."""
        if decision.post_id is None or decision.post_id in self.decided:
            return
        self.decided[decision.post_id] = decision
        self.latencies.append(latency)
        self.arrivals.append((now, decision.post_id))
        self.recent.append((now, latency))
        if decision.cluster_id is None:
            return
        cluster = self.clusters.setdefault(decision.cluster_id, Cluster(decision.cluster_id))
        cluster.members += 1
        cluster.arrivals.append(now)
        cluster.latest = decision

    def flag(self, flag: Flag, now: float) -> None:
        """Take in one revision of a flag; an older one than is known changes nothing."""
        known = self.flags.get(flag.flag_id)
        if known is not None and known.revision >= flag.revision:
            return
        self.flags[flag.flag_id] = flag
        self._flags_of[flag.post_id].add(flag.flag_id)
        raised = flag.action == "flag"
        if raised and self.first_flag is None:
            self.first_flag = now
        self.retractions += not raised
        self.latest_flags.append(flag)
        cluster = self.clusters.get(flag.cluster_id)
        if cluster is not None:
            cluster.policy = flag.policy if raised else None
            cluster.flags.append(flag)
            cluster.flagged += raised

    def give(self, given: Given) -> None:
        """Remember a verdict."""
        self.verdicts.append(given)
        if given.decision == "uphold" and given.campaign is not None:
            self.first_upheld.setdefault(given.campaign, given.timestamp)

    def dead_letters(self) -> tuple[int, int]:
        """Posts that are dead letters: those with a part that the bundle could encode, and those without."""
        lost = [post_id for post_id, decision in self.decided.items() if decision.outcome == "dead_letter"]
        foreign = sum(post_id in self.sent and not self.sent[post_id].kinds & self.encoded for post_id in lost)
        return len(lost) - foreign, foreign

    def per_second(self, now: float, span: float = 5.0) -> float:
        """Decisions a second over the last `span` seconds."""
        while self.recent and self.recent[0][0] < now - GROWTH_SECONDS:
            self.recent.popleft()
        return sum(at > now - span for at, _ in self.recent) / max(min(span, now), 0.1)

    def latency(self, *quantiles: float) -> list[float]:
        """Quantiles of the end-to-end latency of all posts, in seconds."""
        return [float(value) for value in np.quantile(self.latencies or [0.0], quantiles)]

    def recent_latency(self, *quantiles: float) -> list[float]:
        """The same over the last GROWTH_SECONDS."""
        return [float(value) for value in np.quantile([value for _, value in self.recent] or [0.0], quantiles)]

    def standing(self) -> dict[str, set[str]]:
        """post_id -> policies under which it is flagged now: the highest revision of each flag counts."""
        found: dict[str, set[str]] = defaultdict(set)
        for flag in self.flags.values():
            if flag.action == "flag":
                found[flag.post_id].add(flag.policy)
        return found

    def flagged(self, post_id: str) -> bool:
        """Whether a post is flagged now, under any policy."""
        return any(self.flags[flag_id].action == "flag" for flag_id in self._flags_of.get(post_id, ()))

    def policies(self) -> list[str]:
        """Every policy of the truth so far, sorted."""
        return sorted({sent.truth.policy for sent in list(self.sent.values()) if sent.truth.policy is not None})

    def score(self, policy: str | None = None) -> Score:
        """Precision of the standing flags, and recall over violating posts that came after their first verdict.

        Args:
            policy: only this one; None takes all together.
        """
        standing = self.standing()
        flagged = [(post_id, name) for post_id, names in standing.items() for name in names if policy in {None, name}]
        right = sum(self.violates(post_id, name) for post_id, name in flagged)
        due = [sent for sent in self._after_verdict() if sent.truth.policy and policy in {None, sent.truth.policy}]
        found = sum(sent.truth.policy in standing.get(sent.post_id, ()) for sent in due)
        return Score(
            flags=len(flagged),
            precision=right / len(flagged) if flagged else None,
            recall=found / len(due) if due else None,
        )

    def reached_back(self) -> int:
        """Standing flags of posts that came before the verdict that flags them."""
        return sum(flag.action == "flag" and flag.cause == RETROACTIVE for flag in self.flags.values())

    def due(self) -> int:
        """Violating posts decided after their campaign's first verdict: what recall is counted on."""
        return sum(sent.truth.policy is not None for sent in self._after_verdict())

    def look_alike_rate(self) -> float | None:
        """Share of flagged posts among the conjunction's look-alikes after its first verdict."""
        standing = self.standing()
        seen = [sent for sent in self._after_verdict() if sent.truth.kind == "conjunction-look-alike"]
        return sum(sent.post_id in standing for sent in seen) / len(seen) if seen else None

    def violates(self, post_id: str, policy: str) -> bool:
        """Whether the truth says that a post violates a policy."""
        sent = self.sent.get(post_id)
        return sent is not None and sent.truth.policy == policy

    def _after_verdict(self) -> list[Sent]:
        """Decided posts that entered Kafka after the first upheld verdict on their campaign, look-alikes too."""
        return [
            sent
            for post_id, decision in self.decided.items()
            if (sent := self.sent.get(post_id)) is not None
            and decision.source.timestamp > self.first_upheld.get(sent.truth.campaign or "", 2**63)
        ]
