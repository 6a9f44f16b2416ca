"""The chart carries copies of the rules and dashboards in deploy/: helm reads nothing outside of a chart.

They are copies and not links, because what fetches charts from git may leave links out without a word.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.chart.helm import CHART, one, pods, rendered
from tests.servers import ROOT

if TYPE_CHECKING:
    from pathlib import Path

SOURCES = {"rules": ("prometheus/rules", "*.yaml"), "dashboards": ("grafana", "*.json")}


@pytest.mark.parametrize("kind", SOURCES)
def test_they_are_what_deploy_has_byte_for_byte(kind: str) -> None:
    folder, pattern = SOURCES[kind]
    source = {path.name: path.read_bytes() for path in (ROOT / "deploy" / folder).rglob(pattern)}
    copies = {path.name: path.read_bytes() for path in (CHART / "files" / kind).glob(pattern)}
    assert copies == source, "run make chart-files"
    assert copies


def test_each_dashboard_arrives_whole() -> None:
    objects = rendered({"monitoring": {"dashboards": {"enabled": True}}})
    for path in (CHART / "files" / "dashboards").glob("*.json"):
        held = one(objects, "ConfigMap", f"dashboard-{path.stem}")
        assert held["data"][path.name].strip() == path.read_text().strip()
        assert held["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_each_rule_arrives_whole() -> None:
    rules = {"enabled": True, "labels": {"release": "prometheus"}, "runbookUrl": "https://wiki.example/shoal/"}
    objects = rendered({"monitoring": {"rules": rules}})
    pages = {path.name for path in (ROOT / "docs" / "runbooks").glob("*.md")}
    for path in (CHART / "files" / "rules").glob("*.yaml"):
        held = one(objects, "PrometheusRule", path.stem)
        ours = path.read_text().replace("https://runbooks.example.org/shoal/", "https://wiki.example/shoal/")
        assert held["spec"] == yaml.safe_load(ours)
        named = re.findall(r"runbook_url: (\S+)/(\S+)", ours)
        assert {address for address, _ in named} <= {"https://wiki.example/shoal"}
        assert {page for _, page in named} <= pages
        assert held["metadata"]["labels"]["release"] == "prometheus"


def test_alerts_may_be_left_out_and_given_labels() -> None:
    rules = {
        "enabled": True,
        "disabled": ["ShoalNoFlags", "ShoalLatencyBurn"],
        "alertLabels": {"team": "trust", "severity": "none"},
    }
    objects = rendered({"monitoring": {"rules": rules}})
    found = [rule for each in objects if each["kind"] == "PrometheusRule" for rule in rules_of(each)]
    ours = [rule for path in (CHART / "files" / "rules").glob("*.yaml") for rule in rules_of_file(path)]
    assert [rule for rule in found if "record" in rule] == [rule for rule in ours if "record" in rule]
    alerts = [rule for rule in found if "alert" in rule]
    assert {rule["alert"] for rule in ours if "alert" in rule} - {rule["alert"] for rule in alerts} == {
        "ShoalNoFlags",
        "ShoalLatencyBurn",
    }
    assert {rule["labels"]["team"] for rule in alerts} == {"trust"}
    assert {rule["labels"]["severity"] for rule in alerts} == {"page", "ticket"}


def rules_of(held: dict[str, Any]) -> list[dict[str, Any]]:
    return [rule for group in held["spec"]["groups"] for rule in group["rules"]]


def rules_of_file(path: Path) -> list[dict[str, Any]]:
    return rules_of({"spec": yaml.safe_load(path.read_text())})


def test_the_user_and_the_command_are_those_of_the_image() -> None:
    image = (ROOT / "deploy" / "Dockerfile").read_text()
    context = pods(rendered())["encode"]["securityContext"]
    assert f"USER {context['runAsUser']}:{context['runAsGroup']}" in image
    assert 'ENTRYPOINT ["shoal"]' in image
