"""Apprise reaches a mailbox, and says what went wrong without saying the secrets."""

from __future__ import annotations

from typing import Any

import apprise
import pytest

from consumers.alerting.chat import is_known_url, open_chat, redacted
from consumers.alerting.composing import MOST_NOTICES
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


SERVICES = {
    "discord": "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js",
    "mattermost": "mmost://127.0.0.1/3ccdd113474722377935511fc85d3dd4",
    "pagerduty": "pagerduty://A1234567890BCDEF@abcdefghijabcdefghijabcdefghij12/",
    "pushover": "pover://abcdefghijklmnopqrstuvwxyz1234@abcdefghijklmnopqrstuvwxyz1234",
    "slack": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/",
    "teams": "workflows://host:443/643e6dd4ab6e4b4a97a1b7b5b0b0b0b0/sIgNaTuRe",
    "telegram": "tgram://123456789:abcdefg_hijklmnop/12315544/",
}
"""Their limits differ by far; the longest text below has 30 times what the shortest takes."""


@pytest.mark.parametrize("kinds", [1, 60])
@pytest.mark.parametrize("url", SERVICES.values(), ids=SERVICES)
def test_a_text_fits_into_one_message_of_the_service_and_names_its_notification(
    url: str, kinds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    posts = tuple(post(number, post_id="a_b-c" * 30) for number in range(5))
    made = notification(*(notice(number, posts=posts, links={"open": "https://m.e/1_2"}) for number in range(kinds)))
    sent: list[str] = []
    plugin = type(apprise.Apprise.instantiate(url))

    def send(self: Any, body: str, title: str = "", **_: Any) -> bool:
        sent.append(body)
        return bool(len(body) + (len(title) if self.overflow_amalgamate_title else 0) <= self.body_maxlen)

    monkeypatch.setattr(plugin, "send", send)
    open_chat(channel(url))(made)
    [body] = sent
    assert made.notification_id in body.replace("\\", "")


def test_a_url_that_asks_for_several_messages_gets_the_whole_text_in_them() -> None:
    made = notification(*(notice(number) for number in range(60)))
    with receiver() as server:
        server.answer = lambda _: Answer(200)
        url = server.url.replace("http://", "mmost://").replace("/hook", f"/{'3ccd' * 8}?overflow=split")
        open_chat(channel(url))(made)
    assert len(server.requests) > 1
    assert sum(request.body.count(b"campaign: ") for request in server.requests) == MOST_NOTICES


def test_what_a_library_says_is_shown_without_the_parts_of_the_url() -> None:
    assert redacted("no T0KEN\nfor  hook", "slack://T0KEN/B0ARD") == "no *** for hook"


def test_a_url_that_nobody_knows_is_refused_for_good() -> None:
    assert not is_known_url(channel("nonsense://x"))
    assert is_known_url(channel("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/"))
    with pytest.raises(Refused) as caught:
        open_chat(channel("nonsense://x"))(notification())
    assert caught.value.final
