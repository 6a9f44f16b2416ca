"""`shoal bench`: how fast the parts are on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from consumers.options import AsJson, with_settings
from consumers.settings import Settings
from consumers.terminal import print_rows

app = typer.Typer(name="bench", no_args_is_help=True, help="Measure how fast a bundle is on this machine.")


@app.callback()
def bench() -> None:
    """Measure how fast a bundle is on this machine."""


@app.command("encoders")
@with_settings()
def bench_encoders(
    settings: Settings,
    *,
    batch: Annotated[list[int] | None, typer.Option(min=1, help="Items a batch; may be given several times.")] = None,
    seconds: Annotated[float, typer.Option(min=0.0, help="For each measurement.")] = 2.0,
    as_json: AsJson = False,
) -> None:
    """Items a second by batch size, fill, padding, and the share of the processor's peak and of plain onnxruntime."""
    from consumers.shown.bench import encoder_rows

    rows = encoder_rows(settings, tuple(batch or (1, 16, 64, 128)), seconds=seconds)
    print_rows(rows, as_json=as_json, empty="no encoder of this bundle has a graph")
