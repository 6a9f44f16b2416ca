"""`shoal campaigns`: micro-clusters that belong together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from consumers.options import AsJson, with_settings
from consumers.settings import Settings, SettingsError
from consumers.terminal import console, print_json, print_rows


@with_settings()
def campaigns(
    settings: Settings,
    *,
    method: Annotated[Literal["dbscan", "kmeans"], typer.Option(help="How clusters are put together.")] = "dbscan",
    count: Annotated[
        int | None, typer.Option(min=1, help="Campaigns that k-means makes; as many as DBSCAN finds by default.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, those with the most posts first.")] = 20,
    window: Annotated[float, typer.Option(min=1, help="Seconds that `new` and `before` look back.")] = 3600.0,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Where to write a page with a map.")] = None,
    as_json: AsJson = False,
) -> None:
    """Micro-clusters of all cells that belong together: sizes, growth, labels, sample posts, and a map."""
    from consumers.questions.campaigns import find_campaigns
    from consumers.shown.campaigns import page, rows_of, window_told

    if count is not None and method != "kmeans":
        raise SettingsError("campaigns: --count is for --method kmeans; DBSCAN finds their number")
    found = find_campaigns(settings, method=method, count=count, limit=limit, window_seconds=window)
    if html is not None:
        html.write_text(page(found, method), encoding="utf-8")
    if as_json:
        for campaign in found.campaigns:
            print_json(campaign)
        return
    print_rows(rows_of(found.campaigns), as_json=False, empty="no clusters yet")
    if found.campaigns:
        console().print(f"{len(found.campaigns)} of {found.total} campaigns. {window_told(window)}", style="dim")
    if html is not None:
        console().print(f"page with a map: {html}", soft_wrap=True)
