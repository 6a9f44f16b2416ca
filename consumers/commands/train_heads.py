"""`shoal train heads`: a bundle for a platform, from its own posts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from consumers.options import AsJson, with_settings
from consumers.settings import Settings, SettingsError
from consumers.terminal import print_fields

if TYPE_CHECKING:
    from consumers.learning.learn import PostsGiven
    from consumers.posts.produce import Refuse
    from models.training.heads.recipe import HeadRecipe

Data = Annotated[
    Path, typer.Option(help="Posts: JSON lines as `shoal produce` takes them, or a folder of such files.")
]
Rate = Annotated[
    float, typer.Option("--false-match-rate", min=1e-7, max=0.5, help="Of pairs of posts that show different things.")
]
Copies = Annotated[int, typer.Option(min=0, max=16, help="Altered copies that are made of each post.")]
GroupBy = Annotated[
    str | None, typer.Option("--group-by", help="Attribute of the posts that says what a post shows, where known.")
]
Cache = Annotated[Path | None, typer.Option(help="Folder that keeps what the encoders make of the posts.")]


@with_settings()
def train_heads(
    settings: Settings,
    output: Annotated[Path, typer.Argument(help="Folder of the new bundle; its last part is the bundle's name.")],
    *,
    data: Data,
    false_match_rate: Rate = 0.001,
    copies: Copies = 3,
    group_by: GroupBy = None,
    loss: Annotated[str, typer.Option(help="contrastive or sigmoid.")] = "contrastive",
    dimension: Annotated[int | None, typer.Option(min=2, help="Of the joint space; the bundle's by default.")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="At most.")] = 60,
    patience: Annotated[int, typer.Option(min=1, help="Epochs without a better validation loss, then it stops.")] = 8,
    batch: Annotated[int, typer.Option(min=4, help="Posts of a step.")] = 256,
    rate: Annotated[float, typer.Option(min=1e-6, help="Highest learning rate.")] = 2e-3,
    modality_dropout: Annotated[float, typer.Option(min=0, max=0.99, help="Chance to leave a part out.")] = 0.3,
    hard: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of a batch that looks most like the rest.")
    ] = 0.5,
    seed: Annotated[int, typer.Option(min=0, help="The same seed and posts train the same heads.")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint of a run that stopped.")
    ] = False,
    folder: Annotated[
        Path | None, typer.Option(help="For checkpoint and curves; OUTPUT.training by default.")
    ] = None,
    cache: Cache = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="Of the training on a processor.")] = None,
    as_json: AsJson = False,
) -> None:
    """Train small heads on the frozen encoders of a bundle, on your own posts; the result is a bundle."""
    _require_torch()
    import msgspec
    import torch

    from consumers.learning.learn import HeadsWanted, PostsGiven, train_heads_on_posts
    from consumers.shown.bundle import calibration_told
    from models.training.device import Device
    from models.training.heads.recipe import HeadRecipe

    options: dict[str, object] = {
        "loss": loss,
        "dimension": dimension,
        "epochs": epochs,
        "patience": patience,
        "batch": batch,
    }
    options |= {"rate": rate, "modality_dropout": modality_dropout, "hard": hard, "seed": seed}
    try:
        recipe = msgspec.convert(options, HeadRecipe)
        place = msgspec.convert(device, Device)
    except msgspec.ValidationError as error:
        raise SettingsError(f"train heads: {error}") from error
    if threads is not None:
        torch.set_num_threads(threads)
    work = folder or output.with_name(f"{output.name}.training")
    posts = PostsGiven(data, copies, cache or work / "embeddings", group_by, false_match_rate)
    command = _command(settings, posts, recipe)
    refused: list[str] = []
    made = train_heads_on_posts(
        settings, HeadsWanted(output, work, posts, recipe, resume, place, command), refusing(refused)
    )
    print_fields(
        {
            "bundle": made.manifest.bundle_id,
            "folder": str(output),
            "posts": len(made.posts.rows),
            "left_out": len(refused),
            "repeated": made.posts.repeated,
            "best_epoch": made.trained.best_epoch,
            "curves": str(work / "curves.png"),
            "quality": made.manifest.quality,
            "thresholds": msgspec.to_builtins(made.manifest.thresholds),
            "calibration": calibration_told(made.manifest),
        },
        as_json=as_json,
    )


def refusing(refused: list[str]) -> Refuse:
    """Says each complaint on standard error, and keeps it in `refused`."""

    def refuse(line: str) -> None:
        refused.append(line)
        typer.echo(f"shoal: {line}", err=True)

    return refuse


def _command(settings: Settings, posts: PostsGiven, recipe: HeadRecipe) -> str:
    """The command that repeats it, with the names of folders instead of their places."""
    words = ["shoal train heads", f"--bundle {Path(settings.bundle).name}", f"--data {posts.data.name}"]
    words += [f"--false-match-rate {posts.false_match_rate:g}", f"--copies {posts.copies}"]
    words += [] if posts.group_by is None else [f"--group-by {posts.group_by}"]
    words += [f"--loss {recipe.loss}", f"--epochs {recipe.epochs}", f"--patience {recipe.patience}"]
    words += [f"--batch {recipe.batch}", f"--rate {recipe.rate:g}", f"--hard {recipe.hard:g}"]
    words += [f"--modality-dropout {recipe.modality_dropout:g}", f"--seed {recipe.seed}"]
    return " ".join(words + ([] if recipe.dimension is None else [f"--dimension {recipe.dimension}"]))


def _require_torch() -> None:
    from consumers.checks.findings import CheckError

    try:
        import matplotlib as mpl  # noqa: F401
        import torch  # noqa: F401

        import onnx  # noqa: F401
    except ModuleNotFoundError as error:
        raise CheckError(f"shoal train needs {error.name}: pip install 'shoal[train]'") from error
