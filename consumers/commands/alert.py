"""`shoal alert`: the channels by which moderators are told."""

from __future__ import annotations

import typer

from consumers.commands.exit_codes import FAILED
from consumers.options import AsJson, with_settings
from consumers.settings import Settings, SettingsError
from consumers.terminal import print_findings

app = typer.Typer(name="alert", no_args_is_help=True, help="The channels by which moderators are told of flags.")


@app.command("test")
@with_settings(bundle=False)
def alert_test(settings: Settings, *, as_json: AsJson = False) -> None:
    """Send a test notification through every channel, once, and say what happened."""
    from consumers.alerting.trial import try_channels

    if not settings.alert.channels:
        raise SettingsError("alert test: there are no channels: set alert.channels (docs/alerting.md)")
    raise typer.Exit(0 if print_findings(try_channels(settings.alert), as_json=as_json) else FAILED)
