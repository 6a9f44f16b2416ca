"""`shoal train`: a new bundle."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from consumers.settings import SettingsError


def train(
    output: Annotated[Path, typer.Argument(help="Folder of the new bundle; its last part is the bundle's name.")],
    *,
    seed: Annotated[int, typer.Option(help="The same seed trains the same bundle.")] = 0,
    minutes: Annotated[float | None, typer.Option(min=1, help="Budget on two free cores; 35 by default.")] = None,
    start: Annotated[
        Path | None, typer.Option("--from", help="Bundle whose weights and tokenizer are gone on from.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Real photographs to train on as well.")] = None,
    audio: Annotated[Path | None, typer.Option(help="Real recordings to train on as well.")] = None,
    work: Annotated[
        Path | None, typer.Option(help="Folder that keeps data, checkpoints and the validation curve.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in --work.")] = False,
    checkpoint_minutes: Annotated[float, typer.Option(min=0, help="Minutes between checkpoints.")] = 5.0,
    validate_steps: Annotated[int, typer.Option(min=1, help="Steps between two points of the curve.")] = 200,
    patience: Annotated[int, typer.Option(min=0, help="End after so many points without better recall.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that make data; one a core by default.")
    ] = None,
    source: Annotated[list[str] | None, typer.Option(help="For the model card: real data and its licence.")] = None,
) -> None:
    """Train a bundle on data that is generated, and export it to ONNX."""
    from consumers.checks.findings import CheckError

    try:
        from models.training.budget import FULL_MINUTES
        from models.training.device import Device
        from models.training.train import train_bundle
        from models.training.watch import Course
    except ModuleNotFoundError as error:
        raise CheckError(f"shoal train needs {error.name}: pip install 'shoal[train]'") from error
    if resume and work is None:
        raise SettingsError("train: --resume needs the --work folder that holds the checkpoint")
    try:
        place = msgspec.convert(device, Device)
    except msgspec.ValidationError as error:
        raise SettingsError(f"train: --device: {error}") from error
    course = Course(
        start, resume, checkpoint_minutes, validate_steps, patience, place, workers or len(os.sched_getaffinity(0))
    )
    chosen = minutes or FULL_MINUTES
    try:
        train_bundle(output, seed, chosen, images, audio, sources=tuple(source or ()), work=work, course=course)
    except ValueError as error:
        raise SettingsError(f"train: {error}") from error
