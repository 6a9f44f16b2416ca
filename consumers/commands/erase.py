"""`shoal erase`: a post is forgotten."""

from __future__ import annotations

from typing import Annotated

import typer

from consumers.commands.exit_codes import FAILED
from consumers.options import AsJson, with_settings
from consumers.settings import Settings
from consumers.terminal import print_findings


@with_settings()
def erase(
    settings: Settings,
    post_id: Annotated[str, typer.Argument(help="The post to be forgotten.")],
    *,
    patience: Annotated[float, typer.Option(min=0, help="Seconds to wait for the cells' owners.")] = 30.0,
    as_json: AsJson = False,
) -> None:
    """Take a post out of every cell: exemplars, members, sums, flagged posts, verdicts that wait, stored outputs."""
    from consumers.shown.erase import erase_findings

    good = print_findings(erase_findings(settings, post_id, patience_seconds=patience), as_json=as_json)
    raise typer.Exit(0 if good else FAILED)
