"""`shoal settings`: those that the cells obey."""

from __future__ import annotations

import typer

from consumers.options import AsJson, Changer, DryRun, with_settings
from consumers.settings import Settings
from consumers.terminal import print_findings, print_rows

app = typer.Typer(name="settings", no_args_is_help=True, help="Look at what the cells obey and change it.")


@app.command("show")
@with_settings()
def settings_show(settings: Settings, *, as_json: AsJson = False) -> None:
    """The settings of the fold that the cells obey, beside those given here."""
    from consumers.check_kafka import require_brokers
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
    from consumers.check_kafka import require_brokers
    from consumers.shown.settings import apply_settings

    require_brokers(settings)
    print_findings(apply_settings(settings, actor=actor, dry_run=dry_run), as_json=as_json)
