"""`shoal bank`: known violations in and out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from consumers.commands.exit_codes import FAILED
from consumers.options import AsJson, with_settings
from consumers.settings import Settings
from consumers.terminal import print_fields, progress_bar

app = typer.Typer(name="bank", no_args_is_help=True, help="Bring in and take out known violations.")


@app.command("import")
@with_settings()
def bank_import(
    settings: Settings,
    file: Annotated[Path, typer.Argument(help="Posts or vectors with their policy, one JSON object a line.")],
    *,
    policy: Annotated[str | None, typer.Option(help="For lines that name none.")] = None,
    actor: Annotated[str | None, typer.Option(help="For lines that name none; else bank:LIST.")] = None,
    source: Annotated[str | None, typer.Option(metavar="LIST", help="The list, for lines that name none.")] = None,
    as_json: AsJson = False,
) -> None:
    """Give a verdict for each line of a bank; importing the same bank again changes nothing."""
    from consumers.bundles import find_bundle
    from consumers.changes.bank import Gaps, import_bank
    from consumers.checks.kafka import require_brokers
    from models.manifest import read_manifest

    manifest = read_manifest(find_bundle(settings.bundle))
    require_brokers(settings)
    refused: list[str] = []

    def refuse(line: str) -> None:
        refused.append(line)
        typer.echo(f"shoal: {line}", err=True)

    with progress_bar("importing") as progress:
        sent = import_bank(settings, manifest, file, Gaps(policy, actor, source), refuse, progress)
    print_fields({"verdicts": sent, "refused": len(refused)}, as_json=as_json)
    raise typer.Exit(FAILED if refused else 0)


@app.command("export")
@with_settings()
def bank_export(
    settings: Settings,
    file: Annotated[Path, typer.Argument(help="Where to write; what is there is replaced.")],
    *,
    policy: Annotated[str | None, typer.Option(help="Only what verdicts say under this policy.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write what verdicts say now, exemplars and exceptions, with their vectors: a bank for the same bundle."""
    from consumers.changes.bank import export_bank

    count = export_bank(settings, file, policy)
    print_fields({"verdicts": count}, as_json=as_json)
