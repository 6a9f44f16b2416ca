"""A recipe: which checkpoints become a bundle, and how; a TOML file."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Annotated, Literal, cast, get_args

import msgspec

from models.export.checkpoint import ExportError
from models.export.towers import Options
from models.manifest import Positive

if TYPE_CHECKING:
    from pathlib import Path

ExportKind = Literal["text", "image", "audio"]
VariantName = Literal["fp32", "fp16", "bf16", "int8"]
Share = Annotated[float, msgspec.Meta(gt=0, lt=1)]


class TowerRecipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One tower. Pooling, window, max_tokens and prefix are for checkpoints that do not say them.

    Attributes:
        checkpoint: a Hugging Face id, or a folder, relative to the recipe's own.
        kind: by default the modality's name.
        gpu_variant: a second graph beside the one in fp32 or int8, taken where the encoders run on a GPU.
        plain_attention: attention in single steps, as TensorRT needs it, instead of onnxruntime's fused operator.
        weight: of the modality in the fusion.
        head: safetensors with a trained projection into the joint space.
    """

    checkpoint: str
    kind: ExportKind | None = None
    variant: VariantName = "fp32"
    gpu_variant: Literal["fp16", "bf16"] | None = None
    plain_attention: bool = False
    weight: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    head: str | None = None
    pooling: str | None = None
    window: Annotated[float, msgspec.Meta(gt=0)] | None = None
    seconds: Annotated[float, msgspec.Meta(gt=0)] = 60.0
    max_tokens: Positive | None = None
    prefix: str | None = None

    @property
    def options(self) -> Options:
        """What is passed on to the tower."""
        return Options(self.pooling, self.window, self.seconds, self.max_tokens, self.prefix)


class Calibration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How thresholds are chosen.

    Attributes:
        originals: as many posts, each with altered copies.
        false_match_rate: of pairs of unrelated posts.
        cells: also learn the quantizers of 2, 4, 8 and 16 cells.
    """

    originals: Annotated[int, msgspec.Meta(ge=4)] = 96
    false_match_rate: Share = 1e-3
    cells: bool = False


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bundle.

    Attributes:
        name: None takes the output folder's.
        dimension: of the joint space; None takes the largest tower's.
        samples: a folder of captions (.txt, one a line), images and recordings: what parity is measured on, int8
            and thresholds are calibrated on. None generates them.
        towers: by modality.
    """

    name: str | None = None
    version: str = "1.0.0"
    licence: str | None = None
    dimension: Positive | None = None
    seed: int = 0
    samples: str | None = None
    sample_count: Annotated[int, msgspec.Meta(ge=2)] = 16
    half_life_seconds: Annotated[float, msgspec.Meta(gt=0)] = 86_400.0
    calibration: Calibration = Calibration()
    towers: Annotated[dict[str, TowerRecipe], msgspec.Meta(min_length=1)]


def kind_of(name: str, tower: TowerRecipe) -> str:
    """The kind of a modality's tower.

    Raises:
        ExportError: neither the recipe nor the modality's name says it.
    """
    if tower.kind is not None:
        return tower.kind
    if name in get_args(ExportKind):
        return cast("ExportKind", name)
    raise ExportError(f"towers.{name}: give its kind, one of {', '.join(get_args(ExportKind))}")


def read_recipe(path: Path) -> Recipe:
    """The recipe in a file; folders that it names relative to its own are made absolute.

    Raises:
        ExportError: it cannot be read, is not TOML, or has a field that is not known or not right.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        recipe = msgspec.convert(content, Recipe)
    except OSError as error:
        raise ExportError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ExportError(f"{path}: {error}") from error
    here = path.resolve().parent

    def placed(name: str | None) -> str | None:
        return str(here / name) if name is not None and (here / name).exists() else name

    towers = {
        name: msgspec.structs.replace(tower, checkpoint=placed(tower.checkpoint), head=placed(tower.head))
        for name, tower in recipe.towers.items()
    }
    return msgspec.structs.replace(recipe, samples=placed(recipe.samples), towers=towers)
