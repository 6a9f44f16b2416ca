"""`shoal state`: the cells' state in Redis as a whole."""

from __future__ import annotations

from typing import Annotated

import typer

from consumers.commands.exit_codes import FAILED
from consumers.options import AsJson, with_settings
from consumers.settings import Settings
from consumers.terminal import print_findings, print_rows, progress_bar, warnings_on_stderr

app = typer.Typer(name="state", no_args_is_help=True, help="Look at the cells' state in Redis as a whole.")


@app.command("stats")
@with_settings()
def state_stats(settings: Settings, *, as_json: AsJson = False) -> None:
    """Each cell: how far it is, what its log holds, its newest snapshot, and what it holds and takes in Redis."""
    from consumers.checks.kafka import require_brokers
    from consumers.shown.state import stats_rows

    require_brokers(settings)
    print_rows(stats_rows(settings), as_json=as_json, empty="no cells")


@app.command("verify")
@with_settings()
def state_verify(
    settings: Settings,
    *,
    cell: Annotated[int | None, typer.Option(min=0, help="Only this cell.")] = None,
    as_json: AsJson = False,
) -> None:
    """Fold the cells' logs again, and compare every cluster, label and exemplar with Redis."""
    from consumers.checks.kafka import require_brokers
    from consumers.shown.state import verify_findings

    warnings_on_stderr()
    require_brokers(settings)
    with progress_bar("folding the log") as progress:
        good = print_findings(verify_findings(settings, cell=cell, progress=progress), as_json=as_json)
    raise typer.Exit(0 if good else FAILED)


@app.command("snapshot")
@with_settings()
def state_snapshot(
    settings: Settings,
    cell: Annotated[int | None, typer.Argument(min=0, help="Number of the cell; all of them by default.")] = None,
    *,
    to: Annotated[str | None, typer.Option(metavar="LOCATION", help="Instead of snapshots.location.")] = None,
    as_json: AsJson = False,
) -> None:
    """Copy cells into a store (file://, s3://, gs://, az://) while their owners work on."""
    from consumers.checks.kafka import require_brokers
    from consumers.shown.snapshots import snapshot_findings

    warnings_on_stderr()
    require_brokers(settings)
    good = print_findings(snapshot_findings(settings, cell=cell, location=to), as_json=as_json)
    raise typer.Exit(0 if good else FAILED)


@app.command("restore")
@with_settings()
def state_restore(
    settings: Settings,
    cell: Annotated[int, typer.Argument(min=0, help="Number of the cell.")],
    source: Annotated[str | None, typer.Argument(metavar="[LOCATION|SNAPSHOT]", show_default=False)] = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Also when Redis is further than the snapshot.")] = False,
    as_json: AsJson = False,
) -> None:
    """Put a cell's newest snapshot into Redis, this one or another (redis.url); its owner folds on from there."""
    from consumers.checks.kafka import require_brokers
    from consumers.shown.snapshots import restore_findings

    warnings_on_stderr()
    require_brokers(settings)
    found = restore_findings(settings, cell=cell, source=source, force=force)
    raise typer.Exit(0 if print_findings(found, as_json=as_json) else FAILED)


@app.command("rebuild")
@with_settings()
def state_rebuild(
    settings: Settings,
    cell: Annotated[int, typer.Argument(min=0, help="Number of the cell.")],
    *,
    patience: Annotated[float, typer.Option(min=1, help="Seconds to wait for any progress.")] = 30.0,
    as_json: AsJson = False,
) -> None:
    """Take a cell back to its newest snapshot, or to nothing, and watch its owner fold; nothing comes twice."""
    from consumers.checks.kafka import require_brokers
    from consumers.shown.state import rebuild_findings

    warnings_on_stderr()
    require_brokers(settings)
    with progress_bar("folding again") as progress:
        found = rebuild_findings(settings, cell=cell, patience_seconds=patience, progress=progress)
        good = print_findings(found, as_json=as_json)
    raise typer.Exit(0 if good else FAILED)
