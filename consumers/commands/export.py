"""`shoal export`: bundles from checkpoints of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from consumers.options import AsJson
from consumers.terminal import print_fields

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from models.export.recipe import Recipe
    from models.manifest import AudioInput, ImageInput, Manifest

ANY_SIZE = 2**40
"""Files to export with are the user's own: no limit of pixels or seconds."""

app = typer.Typer(name="export", no_args_is_help=True, help="Make a bundle from checkpoints of transformers.")

CheckpointName = Annotated[str, typer.Argument(help="Hugging Face id (@REVISION after it), or a local folder.")]
Output = Annotated[Path, typer.Argument(help="Folder of the new bundle; its last part is the bundle's name.")]
Variant = Annotated[str, typer.Option(help="fp32, fp16, bf16 or int8.")]
GpuVariant = Annotated[str | None, typer.Option(help="A second graph for GPUs: fp16 or bf16.")]
PlainAttention = Annotated[bool, typer.Option(help="Attention in single steps, as TensorRT needs it.")]
SampleFolder = Annotated[
    str | None, typer.Option("--samples", help="Folder of captions (.txt), images, recordings; else generated ones.")
]
Dimension = Annotated[int | None, typer.Option(min=2, help="Of the vectors; the network's own by default.")]
Seed = Annotated[int, typer.Option(help="Of what is drawn at random.")]


@app.command("text")
def export_text(
    checkpoint: CheckpointName,
    output: Output,
    *,
    variant: Variant = "fp32",
    gpu_variant: GpuVariant = None,
    plain_attention: PlainAttention = False,
    pooling: Annotated[
        str | None, typer.Option(help="Where the checkpoint names none: mean, cls, max, last.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(min=2, help="Fewer than the checkpoint takes.")] = None,
    prefix: Annotated[str | None, typer.Option(help="Written before every text, as in 'query: '.")] = None,
    samples: SampleFolder = None,
    dimension: Dimension = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """A bundle of one text encoder."""
    tower: dict[str, Any] = {"pooling": pooling, "max_tokens": max_tokens, "prefix": prefix, "variant": variant}
    tower |= {"gpu_variant": gpu_variant, "plain_attention": plain_attention}
    _export_one("text", checkpoint, output, tower, samples, dimension, seed, as_json)


@app.command("image")
def export_image(
    checkpoint: CheckpointName,
    output: Output,
    *,
    variant: Variant = "fp32",
    gpu_variant: GpuVariant = None,
    plain_attention: PlainAttention = False,
    samples: SampleFolder = None,
    dimension: Dimension = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """A bundle of one image encoder."""
    tower = {"variant": variant, "gpu_variant": gpu_variant, "plain_attention": plain_attention}
    _export_one("image", checkpoint, output, tower, samples, dimension, seed, as_json)


@app.command("audio")
def export_audio(
    checkpoint: CheckpointName,
    output: Output,
    *,
    variant: Variant = "fp32",
    gpu_variant: GpuVariant = None,
    plain_attention: PlainAttention = False,
    window: Annotated[float | None, typer.Option(help="Seconds, where the processor names none.")] = None,
    seconds: Annotated[float, typer.Option(help="Of a recording that are listened to.")] = 60.0,
    samples: SampleFolder = None,
    dimension: Dimension = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """A bundle of one audio encoder."""
    tower: dict[str, Any] = {"window": window, "seconds": seconds, "variant": variant}
    tower |= {"gpu_variant": gpu_variant, "plain_attention": plain_attention}
    _export_one("audio", checkpoint, output, tower, samples, dimension, seed, as_json)


@app.command("bundle")
def export_whole(
    recipe: Annotated[Path, typer.Argument(help="A recipe in TOML; docs/bundles.md has one.")],
    output: Annotated[Path | None, typer.Argument(help="Folder of the new bundle; ./NAME by default.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """A bundle of several encoders, as a recipe says."""
    from consumers.checks.findings import CheckError

    require_torch()
    from models.export.recipe import read_recipe

    read = read_recipe(recipe)
    if output is None and read.name is None:
        raise CheckError(f"{recipe}: has no name; give one, or the output folder")
    _export(read, output or Path(str(read.name)), f"shoal export bundle {recipe.name}", as_json=as_json)


def _export_one(  # each is an option of its command
    kind: str,
    checkpoint: str,
    output: Path,
    tower: dict[str, Any],
    samples: str | None,
    dimension: int | None,
    seed: int,
    as_json: bool,
) -> None:
    require_torch()
    import msgspec

    from models.export.checkpoint import ExportError
    from models.export.recipe import Recipe

    given = {name: value for name, value in tower.items() if value is not None}
    content = {"towers": {kind: {"checkpoint": checkpoint, **given}}, "samples": samples, "seed": seed}
    try:
        recipe = msgspec.convert(content | {"dimension": dimension}, Recipe)
    except msgspec.ValidationError as error:
        raise ExportError(f"export {kind}: {error}") from error
    _export(recipe, output, f"shoal export {kind} {Path(checkpoint).name}", as_json=as_json)


def _export(recipe: Recipe, output: Path, command: str, *, as_json: bool) -> None:
    from consumers.checks.findings import CheckError
    from models.export.bundle_export import export_bundle
    from models.export.graphs import ParityError

    try:
        manifest = export_bundle(
            recipe, output, read=ServedFiles(), say=lambda line: typer.echo(line, err=True), command=command
        )
    except ParityError as error:
        raise CheckError(str(error)) from error
    print_fields(_told(manifest, output), as_json=as_json)


def _told(manifest: Manifest, output: Path) -> dict[str, Any]:
    import msgspec

    return {
        "bundle": manifest.bundle_id,
        "folder": str(output),
        "dimension": manifest.dimension,
        "thresholds": msgspec.to_builtins(manifest.thresholds),
        "quality": manifest.quality,
        "exports": msgspec.to_builtins(manifest.exports),
    }


def require_torch() -> None:
    """Refuse with a clear line where the extra `train` is not installed."""
    from consumers.checks.findings import CheckError

    try:
        import onnxscript  # noqa: F401
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ModuleNotFoundError as error:
        raise CheckError(f"this command needs {error.name}: pip install 'shoal[train]'") from error


class ServedFiles:
    """Files read as the consumers read them, for models.export.samples.Read."""

    def image(self, file: bytes, form: ImageInput) -> NDArray[np.uint8]:
        """An image file as the encoder takes it."""
        from consumers.steps.decode_image import decode_image
        from consumers.steps.reasons import Rejected
        from models.export.checkpoint import ExportError

        try:
            return decode_image(file, form, ANY_SIZE)
        except Rejected as rejected:
            raise ExportError(f"a sample image of {len(file)} bytes cannot be used: {rejected}") from rejected

    def audio(self, file: bytes, form: AudioInput) -> NDArray[np.float32]:
        """An audio file as windows."""
        from consumers.steps.decode_audio import decode_audio
        from consumers.steps.reasons import Rejected
        from models.export.checkpoint import ExportError

        try:
            return decode_audio(file, form, ANY_SIZE)
        except Rejected as rejected:
            raise ExportError(f"a sample recording of {len(file)} bytes cannot be used: {rejected}") from rejected
