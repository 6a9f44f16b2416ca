"""Draws dashboard-*.svg: the panels of deploy/grafana over a demo, from a real Prometheus that scraped its worker.

`python docs/pictures/dashboards.py` remakes them. It is our own drawing of the same queries, not Grafana's.
"""

from __future__ import annotations

import json
import re
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import msgspec

from consumers.demo.parts import demo_parts
from consumers.demo.stage import perform
from tests.monitoring import DEPLOY, RULES, prometheus

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FOLDER = Path(__file__).parent
POSTS, SEED = 1200, 0
SCRAPE_SECONDS = 2
COLUMNS = 24
GRAFANA = {"$__rate_interval": "30s", "$namespace": ".*"}
TIMES = {"s": 1.0, "percentunit": 100.0}
SIGNS = {"s": " s", "percentunit": "%", "ops": "/s", "bytes": " B"}


def main() -> None:
    """Run a demo under a Prometheus, and draw what each dashboard would show at its end."""
    config: dict[str, Any] = {
        "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": f"{SCRAPE_SECONDS}s"},
        "rule_files": [str(path) for path in RULES],
    }
    with demo_parts(None) as (settings, worker):
        port = wait_for_port(worker.log)
        target = {"targets": [f"127.0.0.1:{port}"], "labels": {"namespace": "demo"}}
        config["scrape_configs"] = [{"job_name": "shoal", "static_configs": [target]}]
        with prometheus(config) as address:
            began = time.time()
            perform(
                settings, worker, posts=POSTS, seed=SEED, began=time.monotonic(),
                show=lambda _scene: None, interrupted=threading.Event(),
            )  # fmt: skip
            time.sleep(2 * SCRAPE_SECONDS)
            for path in sorted((DEPLOY / "grafana" / "dashboards").glob("*.json")):
                draw(json.loads(path.read_text()), address, began, time.time())


def wait_for_port(log: Path) -> int:
    """The port that the worker serves its metrics on."""
    while True:
        for line in log.read_text().splitlines():
            event = msgspec.json.decode(line) if line.startswith("{") and line.endswith("}") else {}
            if event.get("event") == "serving":
                return int(event["port"])
        time.sleep(0.1)


def draw(board: dict[str, Any], address: str, began: float, end: float) -> None:
    """All panels of a dashboard, in their places."""
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    mpl.rcParams |= {"font.size": 7, "svg.hashsalt": "shoal", "axes.spines.top": False, "axes.spines.right": False}
    figure = plt.figure(figsize=(12, height * 0.3))
    for panel in panels:
        place = panel["gridPos"]
        axes = figure.add_axes(
            (
                (place["x"] + 0.8) / COLUMNS,
                1 - (place["y"] + place["h"] - 1.5) / height,
                (place["w"] - 1.4) / COLUMNS,
                (place["h"] - 2.8) / height,
            )
        )
        axes.set_title(panel["title"], loc="left", fontsize=8)
        shown = [
            series | {"legend": target.get("legendFormat", "")}
            for target in panel["targets"]
            for series in values(address, target["expr"], began, end)
        ]
        unit = panel["fieldConfig"]["defaults"]["unit"]
        (number if panel["type"] == "stat" else lines)(axes, shown, unit, began)
    figure.savefig(FOLDER / f"dashboard-{board['uid'].removeprefix('shoal-')}.svg", metadata={"Date": None})
    plt.close(figure)


def values(address: str, expression: str, began: float, end: float) -> list[dict[str, Any]]:
    """The series that a panel's query gives over the demo."""
    for variable, value in GRAFANA.items():
        expression = expression.replace(variable, value)
    asked = urllib.parse.urlencode({"query": expression, "start": began, "end": end, "step": SCRAPE_SECONDS})
    with urllib.request.urlopen(f"http://{address}/api/v1/query_range?{asked}", timeout=30) as answer:
        found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
    return found


def number(axes: Axes, shown: list[dict[str, Any]], unit: str, _began: float) -> None:
    """The last value, large."""
    axes.axis("off")
    last = f"{float(shown[0]['values'][-1][1]) * TIMES.get(unit, 1.0):.3g}{SIGNS.get(unit, '')}" if shown else "-"
    axes.text(0.5, 0.4, last, ha="center", va="center", fontsize=20)


def lines(axes: Axes, shown: list[dict[str, Any]], unit: str, began: float) -> None:
    """A line for each series, over the seconds of the demo."""
    for series in shown[:8]:
        moments, numbers = zip(*series["values"], strict=True)
        scaled = [float(number) * TIMES.get(unit, 1.0) for number in numbers]
        axes.plot([float(moment) - began for moment in moments], scaled, linewidth=1, label=label_of(series))
    axes.set_ylim(bottom=0)
    axes.set_ylabel(SIGNS.get(unit, "").strip())
    if shown:
        axes.legend(fontsize=5.5, frameon=False, ncols=3, loc="upper left")


def label_of(series: dict[str, Any]) -> str:
    """What Grafana would write beside the line."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: str(series["metric"].get(found[1], "")), series["legend"])


if __name__ == "__main__":
    main()
