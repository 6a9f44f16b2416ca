"""Channels that make no sense are refused in one line, and their secrets are shown nowhere."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from consumers.checks.alert import check_alert
from consumers.settings import Settings, SettingsError, load_settings
from tests.alerting.receivers import Answer, mailbox, receiver
from tests.command import assert_one_line, shoal
from tests.servers import ROOT

if TYPE_CHECKING:
    from pathlib import Path

HOOK = {"name": "hook", "webhook": "https://example.org/T0KEN"}
SECRET = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"


def settings_of(*channels: dict[str, Any], **rules: Any) -> Settings:
    return load_settings(None, {"alert": {"channels": channels} | rules})


@pytest.mark.parametrize(
    ("channel", "word"),
    [
        ({"name": "x"}, "either webhook or apprise"),
        (HOOK | {"apprise": "json://x"}, "either webhook or apprise"),
        (HOOK | {"webhook": "ftp://example.org/"}, "http"),
        (HOOK | {"secrets": ["T0KEN!"]}, "base64"),
        (HOOK | {"secrets": [""]}, "base64"),
        (HOOK | {"format": "coop"}, "needs coop"),
        (HOOK | {"format": "ozone-event"}, "created_by"),
        (HOOK | {"name": "Not good"}, "pattern"),
        (HOOK | {"format": "ozone-report", "thumbnails": {"policies": ["scam"]}}, "no thumbnails"),
        (HOOK | {"thumbnails": {"severities": ["all"]}}, "severities"),
        ({"name": "x", "apprise": "json://T0KEN", "secrets": [SECRET]}, "for webhooks"),
    ],
)
def test_a_channel_that_makes_no_sense_is_refused_without_its_secrets(channel: dict[str, Any], word: str) -> None:
    with pytest.raises(SettingsError, match=word) as caught:
        settings_of(channel)
    assert "\n" not in str(caught.value)
    assert "T0KEN" not in str(caught.value)


def test_two_channels_of_one_name_are_refused() -> None:
    with pytest.raises(SettingsError, match="same name"):
        settings_of(HOOK, HOOK)


@pytest.mark.parametrize(
    "template", ["https://m.example/{nothing}", "{post_id!r}", "{post_id.__class__}", "{", "{0}"]
)
def test_a_template_names_what_there_is(template: str) -> None:
    with pytest.raises(SettingsError):
        settings_of(HOOK, links={"open": template})


def test_secrets_are_shown_nowhere() -> None:
    settings = settings_of(
        HOOK | {"secrets": [SECRET], "headers": {"X-API-KEY": "T0KEN"}}, {"name": "b", "apprise": "json://u:T0KEN@h"}
    )
    shown = f"{settings!r} {settings} {settings.model_dump_json()} {settings.model_dump()}"
    shown += " ".join(map(str, check_alert(settings)))
    assert "T0KEN" not in shown
    assert SECRET not in shown


def test_check_says_of_each_channel_what_can_be_known() -> None:
    settings = settings_of(
        HOOK,
        HOOK | {"name": "signed", "secrets": [SECRET]},
        {"name": "plain", "webhook": "http://example.org/"},
        {"name": "chat", "apprise": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/"},
        {"name": "wrong", "apprise": "nonsense://x"},
    )
    assert [finding.state for finding in check_alert(settings)] == ["hint", "good", "hint", "good", "bad"]


def test_the_test_notification_goes_through_every_channel() -> None:
    with receiver() as server, receiver() as broken, mailbox() as (box, url):
        broken.answer = lambda _: Answer(500, body=b"out of order")
        channels = [
            {"name": "hook", "webhook": server.url},
            {"name": "broken", "webhook": broken.url},
            {"name": "mail", "apprise": url},
        ]
        result = shoal("alert", "test", "--json", SHOAL_ALERT=json.dumps({"channels": channels}))
    assert result.returncode == 1, result.stderr
    found = {line["subject"]: line for line in map(json.loads, result.stdout.splitlines())}
    assert [found[f"alert {name}"]["state"] for name in ("hook", "broken", "mail")] == ["good", "bad", "good"]
    assert "HTTP 500 out of order" in found["alert broken"]["text"]
    assert [one.kind for one in server.notifications] == ["test"]
    assert "this channel works" in str(box.messages[0].get_payload())


def test_alerting_without_channels_is_wrong_use() -> None:
    assert_one_line(shoal("alert", "test"), 2, "alert.channels")
    assert_one_line(shoal("run", "--only", "alert"), 2, "alert.channels")


def test_the_examples_of_the_page_are_taken(tmp_path: Path) -> None:
    examples = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "alerting.md").read_text(), re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        (tmp_path / "shoal.toml").write_text(example.replace("whsec_...", SECRET))
        assert load_settings(tmp_path / "shoal.toml").alert.channels
