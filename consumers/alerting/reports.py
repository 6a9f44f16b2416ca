"""A notification as the body of a webhook: our own JSON, a report of Coop, a report or an event of Ozone.

A report is about one post: the latest of the first notice. Its reason says the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from consumers.alerting.refused import Refused
from consumers.alerting.templates import fill
from consumers.alerting.wording import text_of, title_of

if TYPE_CHECKING:
    from consumers.alerting.settings import Channel, CoopReports, OzoneReports
    from consumers.contracts.notification import FlaggedPost, Notice, Notification

MOST_ADDITIONAL = 4
REASON_CHARACTERS = 2_000
"""Of a report to Ozone, which counts graphemes; ours are characters of ASCII, one each."""


def body_of(notification: Notification, channel: Channel) -> bytes | None:
    """The body for a channel's format; None when the format cannot say it.

    Raises:
        Refused: the post's id names nothing that Ozone knows.
    """
    if channel.format == "shoal":
        return msgspec.json.encode(notification)
    if notification.kind == "test" or not notification.notices or not notification.notices[0].posts:
        return None
    if channel.format == "coop" and channel.coop is not None:
        return msgspec.json.encode(coop_report(notification, channel.coop))
    if channel.format == "ozone-event":
        return msgspec.json.encode(ozone_event(notification, channel.ozone))
    return msgspec.json.encode(ozone_report(notification, channel.ozone))


def coop_report(notification: Notification, given: CoopReports) -> dict[str, Any]:
    """The body of POST /api/v1/report of Coop."""
    notice = notification.notices[0]
    *others, latest = notice.posts
    reason: dict[str, Any] = {"reason": _reason(notification)}
    if notice.policy in given.policies:
        reason["policyId"] = given.policies[notice.policy]
    report: dict[str, Any] = {
        "reporter": {"kind": "user", "typeId": given.reporter_type, "id": given.reporter_id},
        "reportedAt": notification.created_at,
        "reportedForReason": reason,
        "reportedItem": _coop_item(notice, latest, given),
    }
    if others:
        report["additionalItems"] = [_coop_item(notice, post, given) for post in others[-MOST_ADDITIONAL:]]
    return report


def ozone_report(notification: Notification, given: OzoneReports) -> dict[str, Any]:
    """The input of com.atproto.moderation.createReport."""
    notice = notification.notices[0]
    return {
        "reasonType": given.reasons.get(notice.policy, given.reason),
        "reason": _reason(notification),
        "subject": ozone_subject(notice.posts[-1].post_id),
    }


def ozone_event(notification: Notification, given: OzoneReports) -> dict[str, Any]:
    """The input of tools.ozone.moderation.emitEvent: a report, an escalation, or a comment on flags taken back."""
    notice, name = notification.notices[0], "tools.ozone.moderation.defs#modEvent"
    event: dict[str, Any] = {"$type": f"{name}Report", "comment": _reason(notification)}
    if notice.kind == "escalation":
        event["$type"] = f"{name}Escalate"
    elif notice.kind == "retraction":
        event["$type"] = f"{name}Comment"
    else:
        event["reportType"] = given.reasons.get(notice.policy, given.reason)
    return {"event": event, "subject": ozone_subject(notice.posts[-1].post_id), "createdBy": given.created_by}


def ozone_subject(post_id: str) -> dict[str, str]:
    """What a post's id names: `at://...#<cid>` a record; `at://did:...` without a CID, or a DID, the account.

    Raises:
        Refused: none of these.
    """
    uri, _, cid = post_id.partition("#")
    if uri.startswith("at://did:") and cid:
        return {"$type": "com.atproto.repo.strongRef", "uri": uri, "cid": cid}
    did = uri.removeprefix("at://").partition("/")[0]
    if did.startswith("did:"):
        return {"$type": "com.atproto.admin.defs#repoRef", "did": did}
    raise Refused("refused", "the post's id is no at:// URI and no DID", final=True)


def _coop_item(notice: Notice, post: FlaggedPost, given: CoopReports) -> dict[str, Any]:
    exemplar = notice.why.exemplar
    fields = {
        "bundle": notice.bundle,
        "policy": notice.policy,
        "severity": notice.severity,
        "campaign": notice.campaign,
        "cluster_id": notice.why.cluster_id,
        "post_id": post.post_id,
        "flag_id": post.flag_id,
        "exemplar": "" if exemplar is None else exemplar.post_id,
    }
    data = {
        name: fill(template, fields) if "://" in template else template.format_map(fields)
        for name, template in given.fields.items()
    }
    return {"id": post.post_id, "typeId": given.item_type, "data": data}


def _reason(notification: Notification) -> str:
    return f"{title_of(notification)}\n{text_of(notification)}"[:REASON_CHARACTERS]
