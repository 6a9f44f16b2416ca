"""`shoal bundle`: what a bundle of encoders is."""

from __future__ import annotations

from typing import Annotated

import typer

from consumers.commands.exit_codes import FAILED
from consumers.options import AsJson
from consumers.terminal import print_fields, print_rows

app = typer.Typer(name="bundle", no_args_is_help=True, help="Look at a bundle of encoders.")


@app.command("info")
def bundle_info(
    name: Annotated[str, typer.Argument(help="Folder of a bundle, or a name such as compact.")] = "compact",
    *,
    as_json: AsJson = False,
) -> None:
    """What a bundle holds: modalities, thresholds, quality and where it comes from."""
    from consumers.shown.bundle import describe_bundle

    print_fields(describe_bundle(name), as_json=as_json)


@app.command("verify")
def bundle_verify(
    name: Annotated[str, typer.Argument(help="Folder of a bundle, or a name such as compact.")] = "compact",
    *,
    as_json: AsJson = False,
) -> None:
    """Compare every file of a bundle with the digest in its manifest."""
    from consumers.bundles import find_bundle
    from models.bundle import verify_bundle

    reports = verify_bundle(find_bundle(name))
    print_rows(({"file": r.name, "state": r.state} for r in reports), as_json=as_json, empty="an empty bundle")
    raise typer.Exit(0 if all(r.state == "ok" for r in reports) else FAILED)
