"""A notification: what moderators are told of flags. It names posts, and shows a blurred thumbnail at most."""

from __future__ import annotations

from typing import Literal

import msgspec

from consumers.contracts.flag import NearestExemplar
from consumers.contracts.source import Source

SCHEMA = "shoal.notification/1"

NoticeKind = Literal["first", "digest", "escalation", "retraction"]


class FlaggedPost(msgspec.Struct, frozen=True, kw_only=True):
    """One of the posts that were flagged, or whose flag was taken back, with what a verdict on it repeats.

    Attributes:
        source: where it stands in the posts topic.
    """

    post_id: str
    flag_id: str
    action: Literal["flag", "retract"]
    cell: int
    cell_offset: int
    source: Source | None = None


class Thumbnail(msgspec.Struct, frozen=True, kw_only=True):
    """An image blurred beyond recognition; `data` is the file, base64 in JSON."""

    media_type: Literal["image/jpeg"]
    width: int
    height: int
    data: bytes


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """Why the latest post was flagged, as its flag says it.

    Attributes:
        similarity: cosine to the cluster's centroid; `shares` sum to it.
        bound: the lower bound of the cluster's violation rate.
        exemplar: the confirmed post nearest to it.
    """

    cluster_id: str
    similarity: float
    shares: dict[str, float]
    bound: float
    exemplar: NearestExemplar | None


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What is new of one campaign under one policy.

    Attributes:
        notice_id: UUIDv5 of campaign, kind and the flag that caused it.
        kind: `first` of a campaign, `digest` of what came since, `escalation`: it grows fast, `retraction`: flags
            were taken back and none came.
        campaign: the id of the micro-cluster whose flag was the first of the campaign.
        clusters: micro-clusters of the campaign, the latest at the end; `cluster_count` of them have been seen.
        flags, retractions: since the notice before.
        flags_total, retractions_total: since the campaign was first told of.
        recent: live flags in the last `recent_seconds`.
        since, until: times of its first and latest flag, RFC 3339.
        posts: some of those that are new, the latest at the end.
        links: made of the templates in the settings.
        thumbnail: of the latest of `posts` that was flagged, where the channel's settings allow one.
    """

    notice_id: str
    kind: NoticeKind
    bundle: str
    policy: str
    severity: str
    mode: Literal["live", "shadow"]
    campaign: str
    clusters: tuple[str, ...]
    cluster_count: int
    flags: int
    retractions: int
    flags_total: int
    retractions_total: int
    recent: int
    recent_seconds: float
    since: str
    until: str
    why: Why
    posts: tuple[FlaggedPost, ...]
    links: dict[str, str] = {}
    thumbnail: Thumbnail | None = None


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """One message to a receiver.

    Attributes:
        notification_id: the same at every repetition; of a single notice its own id.
        kind: that of the notice; `summary` of several, `test` of none.
        severity: the highest of the notices.
        notices: one, or several in a summary; `more` others are only counted.
        flags, retractions: of all notices, those that are only counted too.
        created_at: RFC 3339.
    """

    schema: Literal["shoal.notification/1"] = "shoal.notification/1"
    notification_id: str
    kind: Literal["first", "digest", "escalation", "retraction", "summary", "test"]
    severity: str
    notices: tuple[Notice, ...]
    more: int = 0
    flags: int
    retractions: int
    created_at: str
