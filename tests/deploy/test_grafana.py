"""The dashboards in the tree are what their code gives, and they ask for what is there."""

from __future__ import annotations

import json
import runpy
from typing import TYPE_CHECKING, Any

import pytest

from tests.monitoring import DEPLOY, OF_THE_TARGET, labels_of, rules, selectors

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = DEPLOY / "grafana" / "dashboards"
BOARDS = sorted(FOLDER.glob("*.json"))
GRAFANA = {"$__rate_interval": "5m", "$namespace": ".*"}


def panels(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in board["panels"]:
        if panel["type"] != "row":
            yield panel
        yield from panel.get("panels") or []


def expressions(board: dict[str, Any]) -> Iterator[str]:
    for panel in panels(board):
        for target in panel["targets"]:
            text = target["expr"]
            for variable, value in GRAFANA.items():
                text = text.replace(variable, value)
            yield text


each_board = pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)


def test_the_files_are_what_the_code_gives() -> None:
    made = runpy.run_path(str(DEPLOY / "grafana" / "make.py"))["files"]()
    assert {path.name: path.read_text() for path in BOARDS} == made


def test_there_is_a_dashboard_for_each_question() -> None:
    assert [path.stem for path in BOARDS] == ["moderation", "overview", "pipeline", "state"]


@each_board
def test_a_dashboard_asks_for_what_workers_and_rules_give(path: Any) -> None:
    recorded = {rule["record"] for rule in rules("record")}
    for expression in expressions(json.loads(path.read_text())):
        for name, labels in selectors(expression):
            if name not in recorded | {"ALERTS"}:
                assert labels <= labels_of(name) | OF_THE_TARGET, expression


@each_board
def test_every_panel_looks_at_the_chosen_deployment_and_says_what_it_shows(path: Any) -> None:
    board = json.loads(path.read_text())
    assert {variable["name"] for variable in board["templating"]["list"]} == {"datasource", "namespace"}
    for panel in panels(board):
        assert panel["title"]
        assert panel["description"].endswith(".")
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "$datasource"
            assert 'namespace=~"$namespace"' in target["expr"]


@each_board
def test_panels_do_not_lie_over_each_other(path: Any) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels(json.loads(path.read_text())):
        place = panel["gridPos"]
        cells = {
            (place["x"] + across, place["y"] + down) for across in range(place["w"]) for down in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
