"""`shoal settings`: those that the cells obey."""

from __future__ import annotations

from typing import Annotated

import typer

from consumers.options import AsJson, Changer, DryRun, with_settings
from consumers.settings import Settings
from consumers.terminal import print_findings, print_rows

app = typer.Typer(name="settings", no_args_is_help=True, help="Look at what the cells obey and change it.")


@app.command("show")
@with_settings()
def settings_show(settings: Settings, *, as_json: AsJson = False) -> None:
    """The settings of the fold that the cells obey, beside those given here."""
    from consumers.checks.kafka import require_brokers
    from consumers.shown.settings import setting_rows

    require_brokers(settings)
    print_rows(setting_rows(settings), as_json=as_json, empty="no cells")


@app.command("apply")
@with_settings()
def settings_apply(
    settings: Settings,
    *,
    actor: Changer = "cli",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Put the settings given here in force in every cell: thresholds of joining, half-lives, limits."""
    from consumers.checks.kafka import require_brokers
    from consumers.shown.settings import apply_settings

    require_brokers(settings)
    print_findings(apply_settings(settings, actor=actor, dry_run=dry_run), as_json=as_json)


@app.command("lists")
@with_settings()
def settings_lists(
    settings: Settings,
    *,
    recall: Annotated[
        float, typer.Option(min=0.5, max=0.9999, help="Of the nearest clusters that must surely be found.")
    ] = 0.999,
    least: Annotated[int, typer.Option(min=1, help="Clusters from which on a cell gets lists.")] = 20_000,
    drop: Annotated[bool, typer.Option("--drop", help="Compare posts with all clusters again.")] = False,
    actor: Changer = "cli",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Let large cells compare a post with some clusters only: learn lists, measure them, put them in force."""
    from consumers.changes.lists import put_in_lists
    from consumers.checks.kafka import require_brokers

    require_brokers(settings)
    found = put_in_lists(settings, recall=recall, least=least, drop=drop, actor=actor, dry_run=dry_run)
    print_findings(found, as_json=as_json)
