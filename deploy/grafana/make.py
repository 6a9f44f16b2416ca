"""The dashboards, as code: `python deploy/grafana/make.py [FOLDER]` writes one JSON file each, as Grafana reads them.

Needs the extra `deploy`. The files in dashboards/ are what this gives; a test holds that.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    LegendDisplayMode,
    LegendPlacement,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
    VariableSort,
)

FOLDER = Path(__file__).parent / "dashboards"
SOURCE = DataSourceRef(type_val="prometheus", uid="$datasource")
WIDTHS = {"number": 4, "graph": 12}
HEIGHTS = {"number": 4, "graph": 8}


@dataclass(frozen=True)
class Query:
    """PromQL, in which HERE stands for the deployment chosen at the top; and what to call its lines."""

    text: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """A graph, or the latest number. `red` is from where on it is alarming; `below` turns that round."""

    title: str
    explanation: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: Literal["graph", "number"] = "graph"
    red: float | None = None
    below: bool = False
    most: float | None = None


@dataclass(frozen=True)
class Board:
    """A dashboard: rows of panels."""

    name: str
    title: str
    explanation: str
    rows: dict[str, tuple[Panel, ...]]


def graph(
    title: str, explanation: str, *queries: tuple[str, str], unit: str = "short", most: float | None = None
) -> Panel:
    """Lines over time."""
    return Panel(title, explanation, tuple(Query(*query) for query in queries), unit, most=most)


def number(
    title: str, explanation: str, query: str, *, unit: str = "short", red: float | None = None, below: bool = False
) -> Panel:
    """One number, red when it is at `red` or beyond."""
    return Panel(title, explanation, (Query(query),), unit, "number", red, below)


def quantile(metric: str, share: float, *by: str) -> str:
    """Below what the given share of a histogram's observations lies."""
    group = ", ".join([*by, "le"])
    return f"histogram_quantile({share}, sum by ({group}) (rate({metric}_bucket{{HERE}}[$__rate_interval])))"


BATCH_SUM = "sum by (modality) (rate(shoal_batch_items_sum{HERE}[$__rate_interval]))"
BATCH_COUNT = "sum by (modality) (rate(shoal_batch_items_count{HERE}[$__rate_interval]))"
LABEL_EVENTS = 'sum by (event) (increase(shoal_cluster_events_total{event=~".*labelled", HERE}[$__rate_interval]))'

OVERVIEW = Board(
    "overview",
    "Shoal: overview",
    "Is it healthy, and who is waiting?",
    {
        "Health": (
            number(
                "Workers",
                "Processes that are scraped.",
                "count(shoal_bundle_info{HERE}) or vector(0)",
                red=1,
                below=True,
            ),
            number(
                "Alerts firing",
                "Of Shoal's rules.",
                'count(ALERTS{alertname=~"Shoal.+", alertstate="firing", HERE}) or vector(0)',
                red=1,
            ),
            number(
                "Slow posts, last hour",
                "Posts that waited longer than a second for their decision; the objective is 1%.",
                "max(shoal:slow_posts:ratio_rate1h{HERE})",
                unit="percentunit",
                red=0.01,
            ),
            number(
                "Cells without an owner",
                "Their posts wait.",
                "count(max by (namespace, cell) (shoal_cell_assigned{HERE}) == 0) or vector(0)",
                red=1,
            ),
            number(
                "Cells waiting",
                "For Redis or Kafka; they go on by themselves.",
                "count(max by (namespace, cell) (shoal_cell_waiting{HERE}) == 1) or vector(0)",
                red=1,
            ),
            number(
                "Cells stopped",
                "By what their state says; they need a person.",
                "count(max by (namespace, cell) (shoal_cell_stopped{HERE}) == 1) or vector(0)",
                red=1,
            ),
        ),
        "Who is waiting": (
            graph(
                "Posts decided",
                "By outcome.",
                ("sum by (outcome) (shoal:posts:rate5m{HERE})", "{{outcome}}"),
                unit="ops",
            ),
            graph(
                "From a post's arrival to its decision",
                "The objective: 99% within a second.",
                *(
                    (quantile("shoal_end_to_end_seconds", share), f"p{round(100 * share)}")
                    for share in (0.5, 0.95, 0.99)
                ),
                unit="s",
            ),
            graph(
                "Records waiting",
                "Between the committed offset and the end of the log; a few are markers of transactions.",
                ("sum by (consumer) (shoal:lag_records:sum{HERE})", "{{consumer}}"),
            ),
            graph(
                "Age of what waits",
                "Of the record committed last, while there is lag.",
                ("max by (consumer) (shoal:lag_seconds:max{HERE})", "{{consumer}}"),
                unit="s",
            ),
            graph(
                "Flags an hour",
                "New flags of live posts, by policy.",
                ("sum by (policy) (shoal:flags:increase1h{HERE})", "{{policy}}"),
            ),
            graph(
                "Dead letters",
                "Posts and verdicts that cannot be decided, by reason.",
                ("sum by (reason) (rate(shoal_dead_letters_total{HERE}[$__rate_interval]))", "{{reason}}"),
                unit="ops",
            ),
        ),
    },
)

PIPELINE = Board(
    "pipeline",
    "Shoal: pipeline",
    "Where does the time go? Are batches full, and do the encoders run on the GPU?",
    {
        "Time": (
            graph(
                "Time in each step",
                "Seconds a second, over all workers: what stands on top is the bottleneck.",
                ("sum by (step) (rate(shoal_step_seconds_sum{HERE}[$__rate_interval]))", "{{step}}"),
                unit="s",
            ),
            graph(
                "One batch in each step, 95%",
                "The slowest step of a batch.",
                (
                    quantile("shoal_step_seconds", 0.95, "step"),
                    "{{step}}",
                ),
                unit="s",
            ),
            graph(
                "Records passed by commits",
                "By consumer.",
                ("sum by (consumer) (shoal:committed_records:rate5m{HERE})", "{{consumer}}"),
                unit="ops",
            ),
            graph(
                "Batches given up",
                "By reason; they are read again.",
                (
                    "sum by (consumer, reason) (rate(shoal_aborts_total{HERE}[$__rate_interval]))",
                    "{{consumer}}: {{reason}}",
                ),
                unit="ops",
            ),
        ),
        "Encoders": (
            graph(
                "How busy the encoders are",
                "Part of the time that a worker's encoders are at work: near 1 it can take no more.",
                (
                    'sum by (instance) (rate(shoal_step_seconds_sum{step="embed", HERE}[$__rate_interval]))',
                    "{{instance}}",
                ),
                unit="percentunit",
                most=1.0,
            ),
            graph(
                "Items in an encoder call",
                "On average; full batches use a GPU best.",
                (
                    f"{BATCH_SUM} / {BATCH_COUNT}",
                    "{{modality}}",
                ),
            ),
            graph(
                "Encoders by execution provider",
                "Workers on each; one that falls to the CPU shows here.",
                ("sum by (modality, provider) (shoal_execution_provider{HERE})", "{{modality}} on {{provider}}"),
            ),
            graph(
                "Parts dropped",
                "By modality and reason: the post is decided by its other parts.",
                (
                    "sum by (modality, reason) (rate(shoal_media_rejections_total{HERE}[$__rate_interval]))",
                    "{{modality}}: {{reason}}",
                ),
                unit="ops",
            ),
        ),
        "Kafka": (
            graph(
                "Bytes in flight",
                "Read and not yet committed; beyond encode.queue_bytes partitions are paused.",
                ("sum by (instance) (shoal_in_flight_bytes{HERE})", "{{instance}}"),
                unit="bytes",
            ),
            graph(
                "Messages in flight",
                "Read and not yet committed.",
                ("sum by (instance) (shoal_in_flight_messages{HERE})", "{{instance}}"),
            ),
            graph(
                "Partitions",
                "By worker; spread evenly when the group is at rest.",
                ("sum by (consumer, instance) (shoal_partitions{HERE})", "{{consumer}} {{instance}}"),
            ),
            graph(
                "Rebalances",
                "Partitions gained and given up.",
                (
                    "sum by (consumer, event) (increase(shoal_rebalances_total{HERE}[$__rate_interval]))",
                    "{{consumer}} {{event}}",
                ),
            ),
        ),
    },
)

MODERATION = Board(
    "moderation",
    "Shoal: moderation",
    "What is flagged, what do moderators make of it, and what spreads?",
    {
        "Flags": (
            graph(
                "Flags an hour beside what is usual",
                "The dashed lines: an hour's share of the day before.",
                ("sum by (policy) (shoal:flags:increase1h{HERE})", "{{policy}}"),
                ("sum by (policy) (shoal:flags:expected1h{HERE})", "{{policy}}, usual"),
            ),
            graph(
                "Flags and retractions",
                "By action and cause: live, or reached back to by a verdict.",
                (
                    "sum by (action, cause) (rate(shoal_flags_total{HERE}[$__rate_interval]))",
                    "{{action}}: {{cause}}",
                ),
                unit="ops",
            ),
            graph(
                "Outcomes",
                "What became of the posts, as a part of all.",
                (
                    "sum by (outcome) (shoal:posts:rate5m{HERE}) / on () group_left () sum(shoal:posts:rate5m{HERE})",
                    "{{outcome}}",
                ),
                unit="percentunit",
            ),
            graph(
                "Labels",
                "Clusters that verdicts have labelled, and labels taken back.",
                (
                    LABEL_EVENTS,
                    "{{event}}",
                ),
            ),
        ),
        "Verdicts": (
            graph(
                "Precision by verdicts",
                "Of a day's verdicts on flagged posts, those that uphold.",
                ("min by (policy) (shoal:precision:ratio1d{HERE})", "{{policy}}"),
                unit="percentunit",
                most=1.0,
            ),
            graph(
                "Verdicts on flagged posts",
                "By policy and decision, in an hour.",
                (
                    "sum by (policy, decision) (increase(shoal_judged_flags_total{HERE}[1h]))",
                    "{{policy}}: {{decision}}",
                ),
            ),
            graph(
                "Verdicts",
                "By decision and what became of them.",
                (
                    "sum by (decision, outcome) (rate(shoal_verdicts_total{HERE}[$__rate_interval]))",
                    "{{decision}}: {{outcome}}",
                ),
                unit="ops",
            ),
        ),
        "Outbreaks": (
            graph(
                "The fastest growth without a verdict",
                "Posts of ten minutes in one cluster that nobody has judged.",
                ("max by (cell) (shoal_fastest_growth_posts{HERE})", "cell {{cell}}"),
            ),
        ),
    },
)

STATE = Board(
    "state",
    "Shoal: state",
    "Clusters, Redis, cells and their snapshots.",
    {
        "Cells": (
            graph(
                "Cells with an owner",
                "1 where a worker has been given the cell.",
                ("max by (cell) (shoal_cell_assigned{HERE})", "cell {{cell}}"),
                most=1.0,
            ),
            graph(
                "Cells that wait or are stopped",
                "Waiting heals by itself, stopped needs a person.",
                ("max by (cell) (shoal_cell_waiting{HERE})", "cell {{cell}} waits"),
                ("max by (cell) (shoal_cell_stopped{HERE})", "cell {{cell}} is stopped"),
                most=1.0,
            ),
            graph(
                "Records folded again",
                "After Redis lost state; nothing of them is written again.",
                ("sum by (cell) (rate(shoal_folded_again_records_total{HERE}[$__rate_interval]))", "cell {{cell}}"),
                unit="ops",
            ),
            graph(
                "Records known already",
                "Dropped, for they had been folded before.",
                ("sum(rate(shoal_duplicate_records_total{HERE}[$__rate_interval]))", "duplicates"),
                unit="ops",
            ),
        ),
        "Clusters": (
            graph("Micro-clusters", "By cell.", ("sum by (cell) (shoal_clusters{HERE})", "cell {{cell}}")),
            graph(
                "What happens to them",
                "Opened, joined, merged, evicted.",
                ("sum by (event) (rate(shoal_cluster_events_total{HERE}[$__rate_interval]))", "{{event}}"),
                unit="ops",
            ),
        ),
        "Redis": (
            graph(
                "Memory",
                "Used, and the limit where there is one; full, it takes no writes.",
                ("max by (server) (shoal_redis_memory_bytes{HERE})", "{{server}}"),
                ("max by (server) (shoal_redis_memory_limit_bytes{HERE} > 0)", "{{server}}, limit"),
                unit="bytes",
            ),
            graph(
                "Calls, 95%",
                "By call, as the worker sees them.",
                (
                    quantile("shoal_redis_seconds", 0.95, "call"),
                    "{{call}}",
                ),
                unit="s",
            ),
        ),
        "Snapshots": (
            graph(
                "Age of the newest snapshot",
                "Beside the time between two by the settings.",
                ("time() - max by (cell) (shoal_snapshot_timestamp_seconds{HERE})", "cell {{cell}}"),
                ("max(shoal_snapshot_interval_seconds{HERE} > 0)", "settings"),
                unit="s",
            ),
            graph(
                "Snapshots that failed",
                "By cell.",
                ("sum by (cell) (increase(shoal_snapshot_failures_total{HERE}[$__rate_interval]))", "cell {{cell}}"),
            ),
        ),
    },
)

BOARDS = (OVERVIEW, PIPELINE, MODERATION, STATE)


def panel_of(panel: Panel) -> stat.Panel | timeseries.Panel:
    """The panel as the library builds it."""
    built: stat.Panel | timeseries.Panel
    if panel.kind == "number":
        built = stat.Panel()
        if panel.red is not None:
            calm, alarm = ("red", "green") if panel.below else ("green", "red")
            steps = [Threshold(value=None, color=calm), Threshold(value=panel.red, color=alarm)]
            built = built.thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
    else:
        built = (
            timeseries.Panel()
            .min(0)
            .line_width(1.5)
            .fill_opacity(8)
            .show_points(VisibilityMode.NEVER)
            .legend(
                common.VizLegendOptions()
                .display_mode(LegendDisplayMode.LIST)
                .placement(LegendPlacement.BOTTOM)
                .show_legend(show_legend=True)
            )
            .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
        )
        if panel.most is not None:
            built = built.max(panel.most)
    built = built.title(panel.title).description(panel.explanation).unit(panel.unit).datasource(SOURCE)
    built = built.span(WIDTHS[panel.kind]).height(HEIGHTS[panel.kind])
    for letter, query in zip("ABCDEF", panel.queries, strict=False):
        asked = prometheus.Dataquery().ref_id(letter).datasource(SOURCE)
        asked = asked.expr(query.text.replace("HERE", 'namespace=~"$namespace"')).legend_format(query.legend)
        built = built.with_target(asked.instant() if panel.kind == "number" else asked.range())
    return built


def dashboard_of(board: Board) -> dashboard.Dashboard:
    """The dashboard as the library builds it, with the deployment to look at as a variable."""
    built = (
        dashboard.Dashboard(board.title)
        .uid(f"shoal-{board.name}")
        .description(board.explanation)
        .tags(["shoal"])
        .readonly()
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(
            dashboard.DashboardLink("Shoal")
            .type(DashboardLinkType.DASHBOARDS)
            .tags(["shoal"])
            .keep_time(keep_time=True)
        )
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(
            dashboard.QueryVariable("namespace")
            .label("Deployment")
            .datasource(SOURCE)
            .query("label_values(shoal_bundle_info, namespace)")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(VariableSort.ALPHABETICAL_ASC)
            .include_all(include_all=True)
            .all_value(".*")
            .multi(multi=True)
        )
    )
    for title, panels in board.rows.items():
        built = built.with_row(dashboard.Row(title))
        for panel in panels:
            built = built.with_panel(panel_of(panel))
    return built


def files() -> dict[str, str]:
    """The JSON of each dashboard, by file name."""
    encoder = JSONEncoder(sort_keys=True, indent=2)
    return {f"{board.name}.json": encoder.encode(dashboard_of(board).build()) + "\n" for board in BOARDS}


def main(folder: Path = FOLDER) -> None:
    """Write them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
