"""`shoal clusters`: the micro-clusters in Redis."""

from __future__ import annotations

from typing import Annotated

import typer

from consumers.options import AsJson, with_settings
from consumers.settings import Settings
from consumers.terminal import print_fields, print_rows

app = typer.Typer(name="clusters", no_args_is_help=True, help="Look at the micro-clusters in Redis.")


@app.command("list")
@with_settings()
def clusters_list(
    settings: Settings,
    *,
    limit: Annotated[int, typer.Option(min=1, help="How many, the largest first.")] = 20,
    labelled: Annotated[bool, typer.Option("--labelled", help="Only clusters with evidence.")] = False,
    as_json: AsJson = False,
) -> None:
    """The micro-clusters in Redis, the largest first."""
    from consumers.shown.clusters import cluster_rows

    rows = cluster_rows(settings, limit=limit, labelled=labelled)
    print_rows(rows, as_json=as_json, empty="no clusters yet")


@app.command("show")
@with_settings()
def clusters_show(
    settings: Settings,
    cluster_id: Annotated[str, typer.Argument(help="As in a decision or flag: CELL-OFFSET.")],
    *,
    as_json: AsJson = False,
) -> None:
    """One micro-cluster: its weight and cohesion, evidence, exemplars and recent members."""
    from consumers.shown.clusters import cluster_details

    print_fields(cluster_details(settings, cluster_id), as_json=as_json)
