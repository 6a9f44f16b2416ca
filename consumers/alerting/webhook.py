"""A webhook: JSON by POST, signed as Standard Webhooks says."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from importlib import metadata
from typing import TYPE_CHECKING

import requests
from standardwebhooks import Webhook

from consumers.alerting.refused import Refused
from consumers.alerting.reports import body_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from consumers.alerting.settings import Channel
    from consumers.contracts.notification import Notification

FINAL = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.GONE,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)
"""Answers about the content. After all others somebody may mend the receiver, the key or the address."""

DETAIL_CHARACTERS = 200


def open_webhook(channel: Channel) -> Callable[[Notification], None]:
    """What sends a notification to a webhook; raises Refused when it is not taken."""
    session = requests.Session()
    session.auth = lambda request: request  # else a .netrc would replace the channel's Authorization
    url = "" if channel.webhook is None else channel.webhook.get_secret_value()

    def send(notification: Notification) -> None:
        body = body_of(notification, channel)
        if body is None:
            return
        headers = headers_of(channel, notification.notification_id, body, datetime.now(UTC))
        try:
            with session.post(
                url, data=body, headers=headers, timeout=channel.timeout_seconds, allow_redirects=False, stream=True
            ) as answer:
                _require_taken(answer)
        except requests.Timeout as error:
            raise Refused("timeout", f"no answer within {channel.timeout_seconds:g} s") from error
        except requests.RequestException as error:
            # its text may hold the address, which may hold a token
            raise Refused("connection", f"no connection ({type(error).__name__})") from error

    return send


def headers_of(channel: Channel, notification_id: str, body: bytes, now: datetime) -> dict[str, str]:
    """The headers of a request: the channel's own, and those that let the receiver verify it and drop repetitions."""
    given = {name: value.get_secret_value() for name, value in channel.headers.items()}
    ours = {
        "content-type": "application/json",
        "user-agent": f"shoal/{metadata.version('shoal')}",
        "webhook-id": notification_id,
        "webhook-timestamp": str(int(now.timestamp())),
    }
    signatures = [
        Webhook(secret.get_secret_value()).sign(notification_id, now, body.decode()) for secret in channel.secrets
    ]
    signed = {"webhook-signature": " ".join(signatures)} if signatures else {}
    return given | ours | signed


def _require_taken(answer: requests.Response) -> None:
    status = answer.status_code
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return
    pause = retry_after(answer.headers, datetime.now(UTC))
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise Refused("rate-limited", f"HTTP {status}", pause=pause)
    said = answer.raw.read(DETAIL_CHARACTERS, decode_content=False).decode(errors="replace")
    detail = f"HTTP {status} {''.join(letter for letter in said if letter.isprintable())}".strip()
    raise Refused("status", detail, final=status in FINAL, pause=pause)


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds until the receiver wants to be asked again, from a Retry-After of seconds or a date."""
    given = headers.get("retry-after", "").strip()
    if given.isascii() and given.isdigit():
        return float(given)
    try:
        moment = parsedate_to_datetime(given)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())
