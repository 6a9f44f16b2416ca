"""A bundle with trained heads: the towers' graphs with a head behind each, new means, cells and thresholds."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from models.export.fold_head import fold_head, head_graph
from models.fusion import FusionLayout
from models.manifest import FILE_NAME, GPU_SUFFIX, WEIGHTS_SUFFIX, Provenance, sha256_of, write_manifest
from models.quantizer_file import QUANTIZER, write_quantizer
from models.thresholds import calibrate_posts, calibration_of, now
from models.training.heads.card import heads_card
from models.training.heads.evaluation import retrieval
from models.training.heads.loop import joint_rows, mean_rows
from models.training.heads.recipe import HeadsError
from models.training.quantizer import nested_cells

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from models.manifest import Manifest, Modality
    from models.post_rows import PostRows
    from models.thresholds import Found
    from models.training.heads.loop import TrainedHeads
    from models.training.heads.recipe import HeadRecipe

CARD = "MODEL_CARD.md"
_CELL_POSTS = 4_000
_KEPT = 0.8
REMARK = "a head trained by shoal train heads follows in the graph"


@dataclass(frozen=True, slots=True)
class HeadPosts:
    """What the towers made of the posts of each part of a split."""

    training: PostRows
    validation: PostRows
    calibration: PostRows


def write_head_bundle(
    towers: Path,
    manifest: Manifest,
    trained: TrainedHeads,
    posts: HeadPosts,
    recipe: HeadRecipe,
    output: Path,
    *,
    false_match_rate: float,
    command: str,
    data: str,
) -> Manifest:
    """Write the bundle, all of it or nothing; an older bundle in `output` is replaced.

    Args:
        towers: folder of the bundle that the towers are from, and `manifest` its manifest.
        trained: the heads.
        posts: to take means from, to measure on, and to calibrate on.
        recipe: its seed draws the cells.
        output: folder of the new bundle; its last part is the bundle's name.
        false_match_rate: of pairs of posts that show different things.
        command: for the manifest.
        data: the posts, in words.

    Raises:
        TooFewPosts: for that false match rate.
        HeadsError: `output` holds something that is no bundle.
    """
    if output.exists() and any(output.iterdir()) and not (output / FILE_NAME).is_file():
        raise HeadsError(f"{output}: not empty and no bundle; give a new folder")
    joint = {
        name: joint_rows(trained.heads, getattr(posts, name)) for name in ("training", "validation", "calibration")
    }
    learned = mean_rows(joint["training"])
    means = {
        modality.name: learned.get(modality.name, np.array(modality.mean, dtype=np.float32))
        for modality in manifest.modalities
    }
    unlearned = sorted(means.keys() - learned.keys())
    if len({len(mean) for mean in means.values()}) > 1:
        raise HeadsError(
            f"no posts have {', '.join(unlearned)}, so its encoder keeps its dimension; leave --dimension"
        )
    layout = FusionLayout(
        tuple(means),
        len(next(iter(means.values()))),
        np.array([modality.weight for modality in manifest.modalities], dtype=np.float32),
        np.stack(list(means.values())),
    )
    calibrating = joint["calibration"]
    found = calibrate_posts(calibrating.fused(layout), calibrating.groups, layout, false_match_rate, recipe.seed)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{output.name}-", dir=output.parent) as temporary:
        folder = Path(temporary)
        files = _write_graphs(folder, towers, manifest, trained)
        if manifest.quantizer is not None:
            files.append(_write_cells(folder, joint["training"], layout, recipe.seed))
        made = _manifest(manifest, means, trained, found, recipe, false_match_rate, command, data)
        quality = _quality(posts.validation, joint["validation"], means)
        made = msgspec.structs.replace(made, name=output.resolve().name, quality=quality)
        (folder / CARD).write_text(heads_card(made, _card_of(towers)), encoding="utf-8")
        made = msgspec.structs.replace(made, files={file: sha256_of(folder / file) for file in [*files, CARD]})
        write_manifest(folder, made)
        if output.exists():
            shutil.rmtree(output)
        folder.chmod(0o755)
        shutil.copytree(folder, output)
    return made


def _write_graphs(folder: Path, towers: Path, manifest: Manifest, trained: TrainedHeads) -> list[str]:
    files: list[str] = []
    for modality in manifest.modalities:
        if modality.name not in trained.heads.names:
            files += _copied(folder, towers, modality.graph, manifest.gpu_graphs.get(modality.name))
            continue
        weight, bias = trained.heads.linear(modality.name)
        graph = modality.graph or f"{modality.name}.onnx"
        if modality.graph is None:
            files += head_graph(folder / graph, modality.name, weight, bias)
        else:
            for each in filter(None, (graph, manifest.gpu_graphs.get(modality.name))):
                files += fold_head(towers / each, folder / each, weight, bias)
    for modality in manifest.modalities:
        if modality.text is not None and modality.text.tokenizer not in files:
            shutil.copyfile(towers / modality.text.tokenizer, folder / modality.text.tokenizer)
            files.append(modality.text.tokenizer)
    return files


def _copied(folder: Path, towers: Path, *graphs: str | None) -> list[str]:
    """The graphs of a modality that has no head, with their weights."""
    names = [name for graph in graphs if graph is not None for name in (graph, graph + WEIGHTS_SUFFIX)]
    there = [name for name in names if (towers / name).is_file()]
    for name in there:
        shutil.copyfile(towers / name, folder / name)
    return there


def _graph_name(modality: Modality, names: Collection[str]) -> str | None:
    """A vector that comes with the post has no graph until it has a head."""
    return modality.graph or (f"{modality.name}.onnx" if modality.name in names else None)


def _write_cells(folder: Path, rows: PostRows, layout: FusionLayout, seed: int) -> str:
    """Quantizers learned on the posts and their copies, of which some parts are left out."""
    rng = np.random.default_rng([seed, 47])
    count = len(rows) * rows.views
    chosen = rng.integers(count, size=_CELL_POSTS)
    embeddings, present = {}, {}
    for name in rows.items:
        there = rows.present(name).ravel()[chosen]
        embeddings[name] = rows.embeddings(name).reshape(count, -1)[chosen]
        present[name] = there & (rng.random(_CELL_POSTS) < (_KEPT if len(rows.items) > 1 else 1.0))
    vectors = layout.fuse(embeddings, present)
    cells = nested_cells(vectors[vectors.any(axis=1)], rng)
    return write_quantizer(folder, cells)


def _quality(before: PostRows, after: PostRows, means: dict[str, NDArray[np.float32]]) -> dict[str, float]:
    """What is found among the validation posts, with the heads and without them."""
    figures = {f"validation {name} at 10": value for name, value in retrieval(after, means).items()}
    if len({rows.shape[1] for rows in before.items.values()}) == 1:
        alone = retrieval(before, mean_rows(before))
        figures |= {f"validation {name} at 10, towers alone": value for name, value in alone.items()}
    return {name: round(value, 4) for name, value in sorted(figures.items())} | {
        "validation posts": float(len(after))
    }


def _manifest(
    old: Manifest,
    means: dict[str, NDArray[np.float32]],
    trained: TrainedHeads,
    found: Found,
    recipe: HeadRecipe,
    rate: float,
    command: str,
    data: str,
) -> Manifest:
    modalities = tuple(
        msgspec.structs.replace(
            modality,
            graph=_graph_name(modality, trained.heads.names),
            mean=tuple(round(float(number), 6) for number in means[modality.name]),
        )
        for modality in old.modalities
    )
    exports = {
        name: msgspec.structs.replace(export, remarks=(*export.remarks, REMARK))
        if name.removesuffix(GPU_SUFFIX) in trained.heads.names
        else export
        for name, export in old.exports.items()
    }
    return msgspec.structs.replace(
        old,
        dimension=len(next(iter(means.values()))),
        modalities=modalities,
        quantizer=None if old.quantizer is None else QUANTIZER,
        thresholds=found.thresholds,
        calibration=calibration_of(found, rate, recipe.seed, command, data),
        provenance=Provenance(
            command=command,
            seed=recipe.seed,
            created_at=now(),
            shoal=_version(),
            data=(
                f"towers of {old.bundle_id}, frozen",
                *old.provenance.data,
                f"heads, best of {len(trained.history) - 1} epochs after epoch {trained.best_epoch}: {data}",
            ),
        ),
        parity={},
        exports=exports,
    )


def _card_of(towers: Path) -> str:
    path = towers / CARD
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _version() -> str:
    try:
        return version("shoal")
    except PackageNotFoundError:
        return "a checkout that is not installed"
