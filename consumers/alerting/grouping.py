"""Flags grouped into campaigns, and when each is to be told: pure, so that the same flags give the same notices.

A campaign here is all flags of one policy and mode whose micro-clusters belong together: the same cluster, the same
exemplar behind the flag, or clusters that the caller knows to be related. Every revision of a flag counts once.
"""

from __future__ import annotations

import uuid
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from consumers.alerting.growth import Growth, grown, recent
from consumers.alerting.quiet_hours import is_quiet
from consumers.alerting.templates import fill
from consumers.cells.conclusions import rfc3339
from consumers.contracts.notification import FlaggedPost, Notice, NoticeKind, Why
from consumers.contracts.source import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from consumers.alerting.settings import Alert
    from consumers.contracts.flag import Flag

MOST_CLUSTERS = 64
MOST_EXEMPLARS = 64
MOST_POSTS = 5
MOST_COMPARED = 4
"""Of a campaign's micro-clusters, the latest: those that new ones are compared with."""

Held = dict[str, int]
"""Partition -> the lowest offset of what nobody has been told of."""


class Place(NamedTuple):
    """Where a flag stands: a partition's name, that of its topic's life included, and the offset."""

    partition: str
    offset: int


class OpenCampaign(msgspec.Struct, kw_only=True):
    """A campaign under one policy, as it is kept. Times in milliseconds since 1970.

    Attributes:
        campaign: its first micro-cluster.
        since, until: the times of its first and latest flag.
        flags, retractions: that nobody has been told of yet; `cause` names the first, `held` where they stand.
        retractions_since: when the first of these retractions came.
        seen: when its latest flag or retraction came.
        told: when it was told of last; None before the first time.
        turn: how many notices there have been.
        level: how often its threshold of growth has doubled.
        waited: quiet hours, or too many other notices, have held it back.
    """

    bundle: str
    policy: str
    mode: Literal["live", "shadow"]
    campaign: str
    severity: str
    clusters: list[str]
    cluster_count: int
    exemplars: list[str]
    why: Why
    since: int
    until: int
    seen: int
    flags: int = 0
    retractions: int = 0
    flags_total: int = 0
    retractions_total: int = 0
    posts: list[FlaggedPost] = []
    cause: str = ""
    held: Held = {}
    retractions_since: int = 0
    growth: Growth = {}
    level: int = 0
    told: int | None = None
    turn: int = 0
    waited: bool = False

    @property
    def key(self) -> str:
        """Its name among all campaigns."""
        return f"{_scope(self)}|{self.campaign}"

    @property
    def untold(self) -> bool:
        """Whether there is something that nobody has been told of."""
        return self.flags > 0 or self.retractions > 0


class KnownFlag(msgspec.Struct, frozen=True, array_like=True):
    """What is remembered of a flag: its latest revision, its campaign, and which notice it was counted for."""

    serial: int
    revision: int
    action: Literal["flag", "retract"]
    campaign: str
    turn: int


class Due(NamedTuple):
    """A notice that is to be sent now, where its flags stand, and whether something has held it back."""

    notice: Notice
    held: Held
    waited: bool = False


class Grouping:
    """The open campaigns and the flags remembered; `changed_*` name what has changed since `settle`."""

    def __init__(
        self, rules: Alert, campaigns: Iterable[OpenCampaign] = (), flags: Mapping[str, KnownFlag] | None = None
    ) -> None:
        self._rules = rules
        self.campaigns = {one.key: one for one in campaigns}
        self.flags = dict(sorted((flags or {}).items(), key=lambda item: item[1].serial))
        self.changed_campaigns: set[str] = set()
        self.changed_flags: set[str] = set()
        self._serial = max((known.serial for known in self.flags.values()), default=0)
        self._untold = {key for key, one in self.campaigns.items() if one.untold}
        self._by_trait: dict[tuple[str, str, str], str] = {}
        for one in self.campaigns.values():
            self._index(one)

    def fold(self, flag: Flag, place: Place, now_ms: int, related: Iterable[str] = ()) -> None:
        """Count one revision of a flag, unless it is a repetition or an older one.

        Args:
            related: micro-clusters known to belong together with the flag's own.
        """
        if flag.mode == "shadow" and not self._rules.shadow:
            return
        known = self.flags.get(flag.flag_id)
        if known is not None and flag.revision <= known.revision:
            return
        counted = None if known is None else self.campaigns.get(known.campaign)
        if known is not None and known.action == flag.action:
            self._remember(flag, known.campaign, known.turn)
        elif flag.action == "retract" and counted is not None and known is not None and known.turn == counted.turn:
            self._cancel(counted, flag)
        else:
            campaign = (
                counted if flag.action == "retract" and counted is not None else self._of(flag, related, now_ms)
            )
            self._count(campaign, flag, place, now_ms)

    def knows(self, flag: Flag) -> bool:
        """Whether the flag's micro-cluster belongs to an open campaign, or nobody is told of it at all."""
        silent = flag.mode == "shadow" and not self._rules.shadow
        return silent or (_scope(flag), "cluster", flag.cluster_id) in self._by_trait

    def candidates(self, flag: Flag, most: int) -> list[str]:
        """Micro-clusters of open campaigns that the flag's own may belong to, of the latest campaigns first."""
        scope = _scope(flag)
        open_ones = sorted(
            (one for one in self.campaigns.values() if _scope(one) == scope), key=lambda one: -one.seen
        )
        return [cluster for one in open_ones for cluster in one.clusters[-MOST_COMPARED:]][:most]

    def due(self, now_ms: int) -> list[Due]:
        """What is to be told now; it counts as told."""
        found, loud = [], self._loud(now_ms)
        for key in sorted(self._untold):
            campaign = self.campaigns[key]
            quiet = is_quiet(self._rules.quiet, campaign.severity, now_ms)
            kind = None if quiet else self._kind(campaign, now_ms)
            if quiet or (kind is not None and _scope(campaign) in loud and campaign.severity != "critical"):
                self._hold_back(campaign)
            elif kind is not None:
                found.append(self._tell(campaign, kind, now_ms))
        return found + self._crowded_out(now_ms)

    def forget(self, now_ms: int) -> None:
        """Let go of campaigns that have been quiet for long; nothing of them is untold."""
        oldest = now_ms - int(self._rules.forget_seconds * 1000)
        for key in [key for key, one in self.campaigns.items() if one.seen < oldest and not one.untold]:
            self._drop(key)

    def held(self) -> Held:
        """The lowest offset of each partition that nobody has been told of."""
        return lowest(self.campaigns[key].held for key in self._untold)

    def waiting(self) -> int:
        """Flags and retractions that nobody has been told of."""
        return sum(self.campaigns[key].flags + self.campaigns[key].retractions for key in self._untold)

    def settle(self) -> None:
        """What has changed is kept now."""
        self.changed_campaigns.clear()
        self.changed_flags.clear()

    def _of(self, flag: Flag, related: Iterable[str], now_ms: int) -> OpenCampaign:
        """The campaign of a flag; a new one when it belongs to none."""
        scope = _scope(flag)
        traits = [(scope, "cluster", cluster) for cluster in (flag.cluster_id, *related)]
        if flag.exemplar is not None:
            traits.append((scope, "exemplar", flag.exemplar.post_id))
        for trait in traits:
            key = self._by_trait.get(trait)
            if key is not None:
                return self.campaigns[key]
        time = milliseconds(flag.decided_at, now_ms)
        opened = OpenCampaign(
            bundle=flag.bundle,
            policy=flag.policy,
            mode=flag.mode,
            campaign=flag.cluster_id,
            severity=flag.severity,
            clusters=[],
            cluster_count=0,
            exemplars=[],
            why=msgspec.convert(flag, Why, from_attributes=True),
            since=time,
            until=time,
            seen=now_ms,
        )
        self.campaigns[opened.key] = opened
        return opened

    def _count(self, campaign: OpenCampaign, flag: Flag, place: Place, now_ms: int) -> None:
        if flag.action == "flag":
            time = milliseconds(flag.decided_at, now_ms)
            campaign.flags += 1
            campaign.flags_total += 1
            campaign.since, campaign.until = min(campaign.since, time), max(campaign.until, time)
            campaign.why = msgspec.convert(flag, Why, from_attributes=True)
            campaign.severity = flag.severity
            if flag.cause == "live":
                campaign.growth = grown(campaign.growth, time, self._window)
        else:
            campaign.retractions_since = campaign.retractions_since if campaign.retractions else now_ms
            campaign.retractions += 1
            campaign.retractions_total += 1
        campaign.cause = campaign.cause or f"{flag.flag_id}:{flag.revision}"
        campaign.held = lowest([campaign.held, {place.partition: place.offset}])
        post = msgspec.convert(flag, FlaggedPost, from_attributes=True)
        campaign.posts = [*campaign.posts, post][-MOST_POSTS:]
        campaign.seen = now_ms
        self._add_traits(campaign, flag)
        self._untold.add(campaign.key)
        self.changed_campaigns.add(campaign.key)
        self._remember(flag, campaign.key, campaign.turn)

    def _cancel(self, campaign: OpenCampaign, flag: Flag) -> None:
        """A flag that nobody has been told of is taken back: nobody needs to be."""
        campaign.flags -= 1
        campaign.flags_total -= 1
        campaign.posts = [post for post in campaign.posts if post.flag_id != flag.flag_id]
        if not campaign.untold:
            campaign.cause, campaign.held, campaign.waited = "", {}, False
            self._untold.discard(campaign.key)
        self.changed_campaigns.add(campaign.key)
        self._remember(flag, campaign.key, campaign.turn)

    def _loud(self, now_ms: int) -> set[str]:
        """Scopes of which so much was told lately that what comes now waits, and is told together."""
        if not self._untold:
            return set()
        since = now_ms - self._rules.summary_seconds * 1000
        lately = Counter(
            _scope(one) for one in self.campaigns.values() if one.told is not None and since < one.told <= now_ms
        )
        return {scope for scope, count in lately.items() if count >= self._rules.summary_above}

    def _hold_back(self, campaign: OpenCampaign) -> None:
        if not campaign.waited:
            campaign.waited = True
            self.changed_campaigns.add(campaign.key)

    def _kind(self, campaign: OpenCampaign, now_ms: int) -> NoticeKind | None:
        rules = self._rules
        if campaign.flags and campaign.told is None:
            return "first"
        if campaign.flags and self._grows(campaign, now_ms):
            return "escalation"
        waits_until = (campaign.told or 0) + rules.digest_seconds * 1000
        if campaign.flags and (campaign.waited or now_ms >= waits_until):
            return "digest"
        gathered_until = campaign.retractions_since + rules.retraction_seconds * 1000
        if campaign.retractions and (campaign.waited or now_ms >= gathered_until):
            return "digest" if campaign.flags else "retraction"
        return None

    def _grows(self, campaign: OpenCampaign, now_ms: int) -> bool:
        threshold = self._rules.escalation_flags
        return threshold > 0 and recent(campaign.growth, now_ms, self._window) >= threshold << campaign.level

    def _tell(self, campaign: OpenCampaign, kind: NoticeKind, now_ms: int) -> Due:
        lately = recent(campaign.growth, now_ms, self._window)
        due = Due(self._notice(campaign, kind, lately), campaign.held, campaign.waited)
        if kind == "escalation":
            while lately >= self._rules.escalation_flags << campaign.level:
                campaign.level += 1
        elif lately < self._rules.escalation_flags:
            campaign.level = 0
        campaign.flags = campaign.retractions = 0
        campaign.posts, campaign.cause, campaign.held = [], "", {}
        campaign.told, campaign.waited = now_ms, False
        campaign.turn += 1
        self._untold.discard(campaign.key)
        self.changed_campaigns.add(campaign.key)
        return due

    def _notice(self, campaign: OpenCampaign, kind: NoticeKind, lately: int) -> Notice:
        exemplar = campaign.why.exemplar
        post = campaign.posts[-1] if campaign.posts else None
        fields = {
            "bundle": campaign.bundle,
            "policy": campaign.policy,
            "severity": campaign.severity,
            "campaign": campaign.campaign,
            "cluster_id": campaign.why.cluster_id,
            "post_id": "" if post is None else post.post_id,
            "flag_id": "" if post is None else post.flag_id,
            "exemplar": "" if exemplar is None else exemplar.post_id,
        }
        return Notice(
            notice_id=str(uuid.uuid5(NAMESPACE, f"{campaign.key}:{kind}:{campaign.cause}")),
            kind=kind,
            bundle=campaign.bundle,
            policy=campaign.policy,
            severity=campaign.severity,
            mode=campaign.mode,
            campaign=campaign.campaign,
            clusters=tuple(campaign.clusters),
            cluster_count=campaign.cluster_count,
            flags=campaign.flags,
            retractions=campaign.retractions,
            flags_total=campaign.flags_total,
            retractions_total=campaign.retractions_total,
            recent=lately,
            recent_seconds=self._rules.escalation_seconds,
            since=rfc3339(campaign.since),
            until=rfc3339(campaign.until),
            why=campaign.why,
            posts=tuple(campaign.posts),
            links={name: fill(template, fields) for name, template in self._rules.links.items()},
        )

    def _crowded_out(self, now_ms: int) -> list[Due]:
        """Campaigns beyond the bound: the quietest go, and what nobody has been told of them is told now."""
        excess = len(self.campaigns) - self._rules.campaigns
        if excess <= 0:
            return []
        quietest = sorted(self.campaigns.values(), key=lambda one: (one.seen, one.key))[:excess]
        found = []
        for one in quietest:
            if one.untold:
                kind: NoticeKind = "retraction" if not one.flags else "digest" if one.told else "first"
                found.append(self._tell(one, kind, now_ms))
            self._drop(one.key)
        return found

    def _drop(self, key: str) -> None:
        campaign = self.campaigns.pop(key)
        for trait in _traits(campaign):
            if self._by_trait.get(trait) == key:
                del self._by_trait[trait]
        self.changed_campaigns.add(key)

    def _add_traits(self, campaign: OpenCampaign, flag: Flag) -> None:
        """What the flag shows is the campaign's from now on, unless another has it: each trait has one campaign."""
        before = set(_traits(campaign))
        if flag.cluster_id not in campaign.clusters and self._free(campaign, "cluster", flag.cluster_id):
            campaign.clusters = [*campaign.clusters, flag.cluster_id][-MOST_CLUSTERS:]
            campaign.cluster_count += 1
        exemplar = None if flag.exemplar is None else flag.exemplar.post_id
        if exemplar is not None and exemplar not in campaign.exemplars and self._free(campaign, "exemplar", exemplar):
            campaign.exemplars = [*campaign.exemplars, exemplar][-MOST_EXEMPLARS:]
        for gone in before - set(_traits(campaign)):
            if self._by_trait.get(gone) == campaign.key:
                del self._by_trait[gone]
        self._index(campaign)

    def _free(self, campaign: OpenCampaign, kind: str, name: str) -> bool:
        return (_scope(campaign), kind, name) not in self._by_trait

    def _index(self, campaign: OpenCampaign) -> None:
        for trait in _traits(campaign):
            self._by_trait.setdefault(trait, campaign.key)

    def _remember(self, flag: Flag, campaign: str, turn: int) -> None:
        self._serial += 1
        self.flags.pop(flag.flag_id, None)
        self.flags[flag.flag_id] = KnownFlag(self._serial, flag.revision, flag.action, campaign, turn)
        self.changed_flags.add(flag.flag_id)
        while len(self.flags) > self._rules.remembered_flags:
            oldest = next(iter(self.flags))
            del self.flags[oldest]
            self.changed_flags.add(oldest)

    @property
    def _window(self) -> int:
        return max(1, int(self._rules.escalation_seconds * 1000))


def lowest(several: Iterable[Held]) -> Held:
    """The lowest offset of each partition."""
    found: Held = {}
    for held in several:
        for partition, offset in held.items():
            found[partition] = min(offset, found.get(partition, offset))
    return found


def milliseconds(text: str, otherwise: int) -> int:
    """RFC 3339 in milliseconds since 1970; `otherwise` where it cannot be read."""
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except (ValueError, OverflowError):
        return otherwise


def _scope(one: Flag | OpenCampaign) -> str:
    return f"{one.bundle}|{one.policy}|{one.mode}"


def _traits(campaign: OpenCampaign) -> list[tuple[str, str, str]]:
    scope = _scope(campaign)
    clusters = [(scope, "cluster", cluster) for cluster in campaign.clusters]
    return clusters + [(scope, "exemplar", exemplar) for exemplar in campaign.exemplars]
