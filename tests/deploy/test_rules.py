"""The rules are such as promtool takes, each alert fires and keeps still in its tests, and each has a page."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.monitoring import DEPLOY, OF_THE_TARGET, RULES, labels_of, rules, run_tool, selectors
from tests.servers import ROOT

RUNBOOKS = ROOT / "docs" / "runbooks"
TESTS = sorted((DEPLOY / "prometheus" / "tests").glob("*.yaml"))
ALERTS = sorted({rule["alert"] for rule in rules("alert")})
BASE = "https://runbooks.example.org/shoal/"

cases: list[dict[str, Any]] = [case for file in TESTS for case in yaml.safe_load(file.read_text())["tests"]]
expectations: list[dict[str, Any]] = [one for case in cases for one in case["promql_expr_test"]]


@pytest.mark.monitoring
def test_promtool_takes_the_rules() -> None:
    done = run_tool("promtool", "check", "rules", *RULES)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.monitoring
@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
def test_the_rules_do_what_their_tests_say(file: Any) -> None:
    done = run_tool("promtool", "test", "rules", file.name, folder=file.parent)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_fires_in_one_test_and_keeps_still_in_another(alert: str) -> None:
    about = [one for one in expectations if f'ALERTS{{alertname="{alert}"' in one["expr"]]
    assert any(one["exp_samples"] for one in about), "nowhere does it fire"
    still = [case for case in cases if case["name"].startswith(f"{alert} keeps still")]
    assert still, "nowhere does it keep still"
    for case in still:
        assert any(one in about and not one["exp_samples"] for one in case["promql_expr_test"]), case["name"]


@pytest.mark.parametrize("record", [rule["record"] for rule in rules("record")])
def test_a_recorded_value_is_tested(record: str) -> None:
    about = [one for one in expectations if record in one["expr"]]
    assert any(one["exp_samples"] for one in about)


@pytest.mark.parametrize("rule", rules("alert"), ids=lambda rule: f"{rule['alert']}-{rule['labels']['severity']}")
def test_an_alert_says_how_bad_how_long_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert re.fullmatch(r"\d+[mh]", rule["for"])
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    page = rule["annotations"]["runbook_url"].removeprefix(BASE)
    first, *_ = (RUNBOOKS / page).read_text().splitlines()
    assert first == f"# {rule['alert']}"


def test_every_page_is_of_an_alert_and_answers_the_three_questions() -> None:
    pages = sorted(RUNBOOKS.glob("*.md"))
    assert sorted(page.read_text().partition("\n")[0] for page in pages) == [f"# {alert}" for alert in ALERTS]
    for page in pages:
        headings = re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE)
        assert headings == ["What it means for moderators", "How to look", "How to fix it"], page.name


@pytest.mark.parametrize(
    "rule", [*rules("alert"), *rules("record")], ids=lambda rule: rule.get("alert") or rule["record"]
)
def test_a_rule_reads_metrics_by_labels_that_they_have(rule: dict[str, Any]) -> None:
    recorded = {other["record"] for other in rules("record")}
    for name, labels in selectors(rule["expr"]):
        if name not in recorded:
            assert labels <= labels_of(name) | OF_THE_TARGET, name
