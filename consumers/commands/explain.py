"""`shoal explain`: why a post is decided as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from consumers.options import AsJson, with_settings
from consumers.settings import Settings
from consumers.terminal import console, print_json, print_rows, warnings_on_stderr


@with_settings()
def explain(
    settings: Settings,
    given: Annotated[
        str,
        typer.Argument(
            metavar="POST.json|DECISION", help="A file with a post; or an id of a decision, post or flag."
        ),
    ],
    *,
    nearest: Annotated[int, typer.Option(min=1, help="How many clusters and exemplars are named.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Why a post is decided as it is: what is near it, which threshold decides, what would change it."""
    from consumers.checks.kafka import require_brokers
    from consumers.shown.explain import explain_decision, explain_file, told

    warnings_on_stderr()
    path = Path(given)
    if path.is_file():
        found = explain_file(settings, path, nearest)
    else:
        require_brokers(settings)
        found = explain_decision(settings, given, nearest)
    if as_json:
        print_json(found)
        return
    for piece in told(found):
        if isinstance(piece, list):
            print_rows(piece, as_json=False, empty="no clusters yet")
        else:
            console().print(piece)
