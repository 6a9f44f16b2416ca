"""Campaigns as rows of a table, and as a page with a map."""

from __future__ import annotations

import html
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from models.cluster_map import map_clusters

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from consumers.questions.campaigns import Campaign, Found

COLOURS = (
    "#4269d0", "#e8890c", "#d5464f", "#3a9a8c", "#2f8f3f", "#c04a9d", "#8f63c9", "#8a6a52", "#5d9fd0", "#7a8a1f",
)  # fmt: skip
OTHERS = "#9aa3ad"
SAMPLES = 2
MOST_MAPPED = 1_500
"""Micro-clusters on the map; those of the campaigns shown first, then the largest."""

SIDE, EDGE = 640, 24


def rows_of(campaigns: Sequence[Campaign]) -> list[dict[str, Any]]:
    """The lines of the table; in how many cells they are only where it is more than one."""
    several = any(campaign.cells > 1 for campaign in campaigns)
    return [_row(campaign, several=several) for campaign in campaigns]


def window_told(seconds: float) -> str:
    """What `new` and `before` mean."""
    return f"new: posts of the last {seconds:g} s by the cells' clock; before: of the {seconds:g} s before that"


def picture(found: Found) -> str:
    """A map of the micro-clusters as an SVG that asks for nothing from elsewhere."""
    return PICTURE.format(side=SIDE, circles="\n".join(_circles(found, _colours(found))))


def page(found: Found, method: str) -> str:
    """The campaigns as a page of HTML that needs nothing else: a map, and a table."""
    colours = _colours(found)
    window = found.campaigns[0].window_seconds if found.campaigns else 0.0
    rows = "\n".join(_table_row(one, colours[one.campaign]) for one in found.campaigns)
    return PAGE.format(
        map=picture(found),
        rows=rows,
        side=SIDE,
        told=html.escape(
            f"{len(found.campaigns)} of {found.total:,} campaigns, those with the most posts; {method} over "
            f"{len(found.clusters):,} micro-clusters"
        ),
        window=html.escape(window_told(window)),
        made=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _colours(found: Found) -> dict[str, str]:
    return {one.campaign: COLOURS[number % len(COLOURS)] for number, one in enumerate(found.campaigns)}


def _row(campaign: Campaign, *, several: bool) -> dict[str, Any]:
    more = "" if campaign.complete else "+"
    row: dict[str, Any] = {"campaign": campaign.campaign, "posts": campaign.posts, "clusters": campaign.clusters}
    row |= {"cells": campaign.cells} if several else {}
    row |= {"new": f"{campaign.recent}{more}", "before": f"{campaign.before}{more}"}
    return row | {"labels": _labels(campaign), "samples": campaign.samples[:SAMPLES]}


def _circles(found: Found, colours: dict[str, str]) -> Iterator[str]:
    """A circle for each micro-cluster, its area by its posts; the number of a campaign stands on its largest one."""
    numbers = {one.campaign: number for number, one in enumerate(found.campaigns, 1)}
    order = sorted(
        range(len(found.clusters)), key=lambda place: (found.of[place] not in colours, -found.clusters[place].count)
    )[:MOST_MAPPED]
    points = EDGE + (SIDE - 2 * EDGE) * map_clusters(found.centroids[order]) if order else np.empty((0, 2))
    drawn = sorted(zip(order, points.tolist(), strict=True), key=lambda one: -found.clusters[one[0]].count)
    for place, (x, y) in drawn:
        cluster, name = found.clusters[place], found.of[place]
        labels = ", ".join(f"{policy} {label.state}" for policy, label in cluster.labels.items())
        told = f"{cluster.cluster_id}: {cluster.count} posts, campaign {name}{', ' if labels else ''}{labels}"
        radius = min(2.0 + 1.6 * float(np.sqrt(cluster.count)), 26.0)
        ring = ' class="labelled"' if cluster.labels else ""
        fill = colours.get(name, OTHERS)
        yield (
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{fill}"{ring}>'
            f"<title>{html.escape(told)}</title></circle>"
        )
    for place, (x, y) in drawn:
        number = numbers.get(found.of[place])
        if number is not None and found.of[place] == found.clusters[place].cluster_id:
            yield f'<text x="{x:.1f}" y="{y:.1f}">{number}</text>'


def _table_row(campaign: Campaign, colour: str) -> str:
    more = "" if campaign.complete else "+"
    cells = [
        f'<td><i style="background:{colour}"></i>{html.escape(campaign.campaign)}</td>',
        *(f"<td>{number:,}</td>" for number in (campaign.posts, campaign.clusters, campaign.cells)),
        f"<td>{campaign.recent:,}{more}</td><td>{campaign.before:,}{more}</td>",
        f"<td>{_moment(campaign.opened)}</td><td>{_moment(campaign.seen)}</td>",
        f"<td>{html.escape(', '.join(_labels(campaign)))}</td>",
        f"<td>{'<br>'.join(map(html.escape, campaign.samples))}</td>",
    ]
    return f"<tr><td></td>{''.join(cells)}</tr>"


def _labels(campaign: Campaign) -> list[str]:
    return [label if count == 1 else f"{label} ×{count}" for label, count in sorted(campaign.labels.items())]


def _moment(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


PICTURE = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}" role="img" aria-label="Campaigns">
<style>
circle {{ fill-opacity: .62; }}
circle.labelled {{ stroke: light-dark(#1d2733, #e6ebf0); stroke-width: 1.6; }}
text {{ font: 600 12px system-ui, sans-serif; fill: light-dark(#1d2733, #e6ebf0); paint-order: stroke;
  stroke: light-dark(#ffffff, #12181f); stroke-width: 3px; text-anchor: middle; dominant-baseline: central; }}
</style>
{circles}
</svg>"""

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Campaigns</title>
<style>
:root {{ color-scheme: light dark; --ink: light-dark(#1d2733, #e6ebf0); --quiet: light-dark(#5c6876, #9aa7b4);
  --line: light-dark(#dde2e8, #333d48); --ground: light-dark(#ffffff, #12181f); }}
body {{ font: 14px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--ground); margin: 24px auto;
  max-width: 1180px; padding: 0 16px; }}
h1 {{ font-size: 20px; margin: 0 0 4px; }}
p {{ color: var(--quiet); margin: 0 0 12px; }}
svg {{ display: block; width: 100%; max-width: {side}px; height: auto; border: 1px solid var(--line);
  border-radius: 8px; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; margin-top: 20px; counter-reset: campaign; }}
th, td {{ text-align: left; padding: 5px 12px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top; }}
th {{ color: var(--quiet); font-weight: 600; }}
tbody tr {{ counter-increment: campaign; }}
tbody td:first-child::before {{ content: counter(campaign); color: var(--quiet); }}
td:nth-child(n+3):nth-child(-n+7) {{ font-variant-numeric: tabular-nums; text-align: right; }}
td:nth-child(n+8):nth-child(-n+9) {{ white-space: nowrap; }}
i {{ display: inline-block; width: 10px; height: 10px; border-radius: 50%; margin-right: 6px; }}
</style>
<h1>Campaigns</h1>
<p>{told}. Made {made}.</p>
{map}
<p>A circle is a micro-cluster, its area its posts, a ring says that a verdict counts for it. Near circles are alike;
how far groups are apart says nothing.</p>
<div class="wide"><table>
<thead><tr><th></th><th>campaign</th><th>posts</th><th>clusters</th><th>cells</th><th>new</th><th>before</th>
<th>opened</th><th>seen</th><th>labels</th><th>samples</th></tr></thead>
<tbody>
{rows}
</tbody>
</table></div>
<p>{window}; + where older posts are no longer kept.</p>
</html>
"""
