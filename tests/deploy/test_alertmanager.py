"""Routes lead a page to the pager and a ticket to the queue, and a message says what to do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.monitoring import DEPLOY, rules, run_tool

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = DEPLOY / "alertmanager" / "alertmanager.yaml"
TEMPLATES = DEPLOY / "alertmanager" / "shoal.tmpl"

pytestmark = pytest.mark.monitoring


def rendered(template: str, data: Path) -> str:
    done = run_tool(
        "amtool", "template", "render", f"--template.glob={TEMPLATES}", f"--template.data={data}",
        f'--template.text={{{{ template "{template}" . }}}}',
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_amtool_takes_the_configuration() -> None:
    done = run_tool("amtool", "check-config", CONFIG)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("severity", "receiver"), [("page", "pager"), ("ticket", "tickets"), ("none", "tickets")])
def test_the_severity_says_who_hears_of_it(severity: str, receiver: str) -> None:
    done = run_tool("amtool", "config", "routes", "test", f"--config.file={CONFIG}", f"severity={severity}")
    assert done.stdout.strip() == receiver, done.stderr


def test_inhibitions_name_alerts_that_exist() -> None:
    text = CONFIG.read_text()
    names = {rule["alert"] for rule in rules("alert")}
    quoted = {name for line in text.splitlines() if "alertname" in line for name in line.split('"')[1::2]}
    assert {name for one in quoted for name in one.split("|")} <= names


def test_a_message_says_what_is_wrong_since_when_and_what_to_do(tmp_path: Path) -> None:
    alert = {
        "status": "firing",
        "labels": {"alertname": "ShoalStalled"},
        "annotations": {
            "summary": "assign stands still",
            "description": "For long.",
            "runbook_url": "https://r/s.md",
        },
        "startsAt": "2026-01-02T03:04:05Z",
        "endsAt": "2026-01-02T04:05:06Z",
        "generatorURL": "https://p/graph",
    }
    data = tmp_path / "data.json"
    data.write_text(json.dumps({"status": "firing", "alerts": [alert, alert], "groupLabels": {"namespace": "eu"}}))
    assert rendered("shoal.title", data) == "assign stands still (and 1 more) in eu"
    assert rendered("shoal.runbook", data) == "https://r/s.md"
    text = rendered("shoal.text", data)
    assert "Since 2026-01-02 03:04 UTC" in text
    assert "What to do: https://r/s.md" in text
    over = alert | {"status": "resolved"}
    data.write_text(json.dumps({"status": "resolved", "alerts": [over], "groupLabels": {}}))
    assert rendered("shoal.title", data) == "Over: assign stands still"
    assert "From 2026-01-02 03:04 to 04:05 UTC" in rendered("shoal.text", data)
