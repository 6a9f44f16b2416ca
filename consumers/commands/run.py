"""`shoal run`: the consumers."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from consumers.commands.exit_codes import FAILED
from consumers.options import with_settings
from consumers.settings import Settings, SettingsError


@with_settings()
def run(
    settings: Settings,
    *,
    only: Annotated[
        str | None,
        typer.Option(help="Some of encode,assign,route,alert; by default all, alert when it has channels."),
    ] = None,
) -> None:
    """Run the consumers until SIGTERM or Ctrl-C."""
    from consumers import run as worker

    known = (*worker.CONSUMERS, worker.ALERT)
    names = worker.names_of_all(settings) if only is None else tuple(name.strip() for name in only.split(","))
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise SettingsError(f"--only {only}: {', '.join(unknown)} unknown; known: {', '.join(known)}")
    if worker.ALERT in names and not settings.alert.channels:
        raise SettingsError("alert has nobody to tell: set alert.channels (docs/alerting.md)")
    if not worker.run(settings, tuple(dict.fromkeys(names))):
        # a thread that hangs in a library would keep the interpreter from ending
        os._exit(FAILED)
