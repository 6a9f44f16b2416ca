"""Apprise reaches a mailbox, and says what went wrong without saying the secrets."""

from __future__ import annotations

from typing import Any

import pytest

from consumers.alerting.chat import is_known_url, open_chat, redacted
from consumers.alerting.refused import Refused
from consumers.alerting.settings import Channel
from tests.alerting.notices import notice, notification, post
from tests.alerting.receivers import Answer, mailbox, receiver


def channel(url: str, **fields: Any) -> Channel:
    return Channel.model_validate({"name": "chat", "apprise": url} | fields)


def test_a_mail_says_what_a_moderator_needs() -> None:
    with mailbox() as (box, url):
        open_chat(channel(url))(
            notification(notice(posts=(post(1, post_id="<b>@here"),), links={"open": "https://m.e/1"}))
        )
    [mail] = box.messages
    body = mail.get_body()
    assert body is not None
    text = body.get_content()
    assert mail["Subject"] == "[high] scam: 2 flagged, new campaign"
    for words in ("0-1", "similarity 0.91", "image 0.41", "exemplar-1", "0.95", "https://m.e/1", "since 2027-01-15"):
        assert words in text
    assert "?b??here" in text
    assert "notification 00000000-0000-5000-8000-000000000001" in text


def test_a_mailbox_that_refuses_is_told_and_may_take_it_later() -> None:
    with mailbox() as (box, url):
        send = open_chat(channel(url))
        box.reply = "451 try again later"
        with pytest.raises(Refused) as caught:
            send(notification())
        assert (caught.value.reason, caught.value.final) == ("refused", False)
        box.reply = "250 OK"
        send(notification())
    assert len(box.messages) == 1


def test_a_service_that_fails_is_told_without_secrets() -> None:
    with receiver() as server:
        server.answer = lambda _: Answer(500)
        url = server.url.replace("http://", "json://user:p4ssw0rd-of-ours@") + "/t0ken-of-ours"
        with pytest.raises(Refused) as caught:
            open_chat(channel(url))(notification())
    assert len(server.requests) == 1
    assert "p4ssw0rd" not in str(caught.value)
    assert "t0ken" not in str(caught.value)


def test_what_a_library_says_is_shown_without_the_parts_of_the_url() -> None:
    assert redacted("no T0KEN\nfor  hook", "slack://T0KEN/B0ARD") == "no *** for hook"


def test_a_url_that_nobody_knows_is_refused_for_good() -> None:
    assert not is_known_url(channel("nonsense://x"))
    assert is_known_url(channel("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/"))
    with pytest.raises(Refused) as caught:
        open_chat(channel("nonsense://x"))(notification())
    assert caught.value.final
