"""A webhook is signed, says in time what was wrong, and never leaks what its address holds."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from consumers.alerting.refused import Refused
from consumers.alerting.settings import Channel
from consumers.alerting.webhook import open_webhook, retry_after
from tests.alerting.notices import notification
from tests.alerting.receivers import Answer, Receiver, receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "whsec_" + base64.b64encode(b"a secret of 24 bytes....").decode()
OLD = base64.b64encode(b"an older one, going away").decode()


@pytest.fixture
def server() -> Iterator[Receiver]:
    with receiver() as opened:
        yield opened


def channel(url: str, **fields: Any) -> Channel:
    return Channel.model_validate({"name": "hook", "webhook": url, "timeout_seconds": 20} | fields)


def test_a_receiver_can_verify_what_came_with_the_library_or_by_hand(server: Receiver) -> None:
    sent = notification()
    open_webhook(channel(server.url, secrets=[SECRET, OLD], headers={"X-Team": "safety"}))(sent)
    [request] = server.taken
    assert request.notification == sent
    assert request.headers["webhook-id"] == sent.notification_id
    assert request.headers["x-team"] == "safety"
    for secret in (SECRET, OLD):
        Webhook(secret).verify(request.body, request.headers)
    signed = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
    expected = base64.b64encode(hmac.digest(b"a secret of 24 bytes....", signed, hashlib.sha256)).decode()
    assert request.headers["webhook-signature"].split()[0] == f"v1,{expected}"
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(request.body + b" ", request.headers)


def test_without_secrets_nothing_is_signed(server: Receiver) -> None:
    open_webhook(channel(server.url))(notification())
    assert "webhook-signature" not in server.taken[0].headers


@pytest.mark.parametrize(
    ("answer", "reason", "final", "pause"),
    [
        (Answer(500, body=b"out of order"), "status", False, None),
        (Answer(503, (("Retry-After", "7"),)), "status", False, 7.0),
        (Answer(429, (("Retry-After", "120"),)), "rate-limited", False, 120.0),
        (Answer(429), "rate-limited", False, None),
        (Answer(401), "status", False, None),
        (Answer(404), "status", False, None),
        (Answer(400, body=b"no such field"), "status", True, None),
        (Answer(422), "status", True, None),
        (Answer(302, (("Location", "http://127.0.0.1:1/"),)), "status", False, None),
    ],
)
def test_an_answer_says_whether_and_when_to_try_again(
    server: Receiver, answer: Answer, reason: str, final: bool, pause: float | None
) -> None:
    server.answer = lambda _: answer
    with pytest.raises(Refused) as caught:
        open_webhook(channel(server.url))(notification())
    assert (caught.value.reason, caught.value.final, caught.value.pause) == (reason, final, pause)
    assert str(answer.status) in str(caught.value)
    assert answer.body.decode() in str(caught.value)
    assert len(server.requests) == 1


def test_a_receiver_that_says_nothing_is_left_after_the_timeout(server: Receiver) -> None:
    server.answer = lambda _: Answer(after=60)
    with pytest.raises(Refused) as caught:
        open_webhook(channel(server.url, timeout_seconds=0.2))(notification())
    assert caught.value.reason == "timeout"


def test_an_address_where_nobody_listens_is_told_without_the_address() -> None:
    with pytest.raises(Refused) as caught:
        open_webhook(channel("http://127.0.0.1:1/services/T0KEN"))(notification())
    assert caught.value.reason == "connection"
    assert "T0KEN" not in str(caught.value)


def test_retry_after_is_seconds_or_a_date() -> None:
    now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    assert retry_after({"retry-after": "30"}, now) == 30
    assert retry_after({"retry-after": "Sun, 01 Mar 2026 12:01:00 GMT"}, now) == 60
    assert retry_after({"retry-after": "Sun, 01 Mar 2026 11:00:00 GMT"}, now) == 0
    assert retry_after({"retry-after": "soon"}, now) is None
    assert retry_after({}, now) is None


def test_the_signature_is_of_now(server: Receiver) -> None:
    open_webhook(channel(server.url, secrets=[SECRET]))(notification())
    assert abs(int(server.taken[0].headers["webhook-timestamp"]) - time.time()) < 120
