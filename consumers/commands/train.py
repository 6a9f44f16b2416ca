"""`shoal train`: a new bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from consumers.settings import SettingsError


def train(
    output: Annotated[Path, typer.Argument(help="Folder of the new bundle; its last part is the bundle's name.")],
    *,
    seed: Annotated[int, typer.Option(help="The same seed trains the same bundle.")] = 0,
    minutes: Annotated[float | None, typer.Option(min=1, help="Budget on two free cores; 35 by default.")] = None,
    images: Annotated[Path | None, typer.Option(help="Real photographs to train on as well.")] = None,
    audio: Annotated[Path | None, typer.Option(help="Real recordings to train on as well.")] = None,
    source: Annotated[list[str] | None, typer.Option(help="For the model card: real data and its licence.")] = None,
) -> None:
    """Train a bundle on data that is generated, and export it to ONNX."""
    from consumers.findings import CheckError

    try:
        from models.training.budget import FULL_MINUTES
        from models.training.train import train_bundle
    except ModuleNotFoundError as error:
        raise CheckError(f"shoal train needs {error.name}: pip install 'shoal[train]'") from error
    try:
        train_bundle(output, seed, minutes or FULL_MINUTES, images, audio, sources=tuple(source or ()))
    except ValueError as error:
        raise SettingsError(f"train: {error}") from error
