"""`shoal bundle`: what a bundle of encoders is, and getting one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from consumers.commands.exit_codes import FAILED
from consumers.options import AsJson, with_settings
from consumers.settings import Settings
from consumers.terminal import print_fields, print_rows

app = typer.Typer(name="bundle", no_args_is_help=True, help="Look at a bundle of encoders, and get one.")


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


@app.command("fetch")
@with_settings(bundle=False)
def bundle_fetch(
    settings: Settings,
    address: Annotated[str, typer.Argument(help="The bundle's folder: s3://, gs://, az://, https://, file://.")],
    folder: Annotated[Path, typer.Argument(help="Where it goes; made if it is not there.")],
    *,
    bundle_id: Annotated[str, typer.Option("--id", help="The id it must have, as in compact-1a2b3c4d.")],
    manifest_sha256: Annotated[
        str | None, typer.Option("--sha256", metavar="DIGEST", help="Of its manifest.json, which has all others.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Copy a bundle out of a store: whole and as its digests say, or not at all."""
    from consumers.fetch_bundle import fetch_bundle

    fetched = fetch_bundle(
        address, folder, settings.bundle_store, bundle_id=bundle_id, manifest_sha256=manifest_sha256
    )
    print_fields({"bundle": bundle_id, "folder": str(folder), "fetched": fetched}, as_json=as_json)
