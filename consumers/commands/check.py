"""`shoal check`: is everything there that the consumers need?"""

from __future__ import annotations

from typing import Annotated

import typer

from consumers.commands.exit_codes import FAILED
from consumers.options import AsJson, with_settings
from consumers.settings import Settings
from consumers.terminal import print_findings


@with_settings()
def check(
    settings: Settings,
    *,
    create_topics: Annotated[bool, typer.Option("--create-topics", help="Create absent topics.")] = False,
    live: Annotated[bool, typer.Option("--live", help="Only ask the worker here whether it is alive.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check settings, brokers, topics, Redis and bundle: one line each, with what to do when it is red."""
    if live:
        from consumers.checks.live import check_live

        findings = iter([check_live(settings.http)])
    else:
        from consumers.checks.worker import check_everything

        findings = check_everything(settings, create=create_topics)
    raise typer.Exit(0 if print_findings(findings, as_json=as_json) else FAILED)
