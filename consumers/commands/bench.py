"""`shoal bench`: how fast the parts are on this machine."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Literal

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
    reference: Annotated[
        Literal["tiny", "small", "base"] | None,
        typer.Option(help="Instead of the bundle, encoders of this size with random weights, beside torch."),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where these are kept; else they are made and thrown away.")
    ] = None,
    gpu_variant: Annotated[Literal["fp16", "bf16"], typer.Option(help="Of these, on a GPU.")] = "fp16",
    plain_attention: Annotated[bool, typer.Option(help="Of these, in single steps, as TensorRT needs it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Rates by batch size, fill, padding, the share of the device's peak, and how many times plain onnxruntime's."""
    from consumers.shown.bench import Bench, encoder_rows

    def say(line: str) -> None:
        typer.echo(line, err=True)

    sizes = tuple(batch or (1, 16, 64, 128))
    with ExitStack() as stack:
        checkpoints: dict[str, Path] = {}
        if reference is not None:
            from consumers.commands.export import ServedFiles, require_torch

            require_torch()
            from models.export.reference import write_reference

            place = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shoal-reference-")))
            variant = None if settings.encode.provider == "cpu" else gpu_variant
            made, checkpoints = write_reference(
                place, reference, gpu_variant=variant, plain_attention=plain_attention, read=ServedFiles(), say=say
            )
            settings = settings.model_copy(update={"bundle": str(made)})
        rows = encoder_rows(settings, Bench(sizes, seconds, checkpoints, say))
        print_rows(rows, as_json=as_json, empty="no encoder of this bundle has a graph")
