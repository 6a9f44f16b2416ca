"""`shoal policies`: those in force, and putting others in force."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from consumers.options import AsJson, Changer, DryRun, with_settings
from consumers.settings import Settings
from consumers.terminal import print_fields, print_findings, print_rows

app = typer.Typer(name="policies", no_args_is_help=True, help="Look at the policies and change them.")

PoliciesFile = Annotated[Path, typer.Argument(metavar="FILE", help="Policies in TOML, or JSON (.json).")]


@app.command("show")
@with_settings()
def policies_show(settings: Settings, *, as_json: AsJson = False) -> None:
    """The policies in force with all their thresholds, by cell where cells differ."""
    from consumers.checks.kafka import require_brokers
    from consumers.shown.settings import policy_rows

    require_brokers(settings)
    print_rows(policy_rows(settings), as_json=as_json, empty="no cells")


@app.command("check")
@with_settings()
def policies_check(settings: Settings, file: PoliciesFile, *, as_json: AsJson = False) -> None:
    """Check a file of policies against its schema and the bundle; needs neither Kafka nor Redis."""
    from consumers.shown.settings import policies_checked

    print_fields(policies_checked(settings, file), as_json=as_json)


@app.command("apply")
@with_settings()
def policies_apply(
    settings: Settings,
    file: PoliciesFile,
    *,
    actor: Changer = "cli",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Put the policies of a file in force: one record in the log of every cell, in one transaction."""
    from consumers.checks.kafka import require_brokers
    from consumers.shown.settings import apply_policies

    require_brokers(settings)
    print_findings(apply_policies(settings, file, actor=actor, dry_run=dry_run), as_json=as_json)
