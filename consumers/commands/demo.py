"""`shoal demo`: the main job on a simulated stream."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from consumers.commands.exit_codes import FAILED
from consumers.options import BundleName


def demo(
    *,
    posts: Annotated[int, typer.Option(min=1, help="Length of the stream.")] = 4800,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same stream.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Where to write the summary's numbers.")] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Progress lines instead of the live view.")] = False,
    bundle: BundleName = None,
) -> None:
    """The main job on a simulated stream, with an embedded broker and Redis; needs nothing else."""
    began = time.monotonic()
    from consumers.demo.show import run_demo

    good = run_demo(posts=posts, seed=seed, bundle=bundle, plain=plain, summary_file=json_file, began=began)
    raise typer.Exit(0 if good else FAILED)
