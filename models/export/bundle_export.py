"""A whole bundle from checkpoints: towers, heads, means, thresholds, card, manifest."""

from __future__ import annotations

import shutil
import tempfile
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import torch

from models.export.calibrate import calibrate, cells_of, embed_originals, means_of
from models.export.card import export_card
from models.export.checkpoint import ExportError
from models.export.heads import head_for
from models.export.recipe import kind_of
from models.export.samples import Samples, samples_in, with_generated
from models.export.tower_export import prepare_tower, write_tower
from models.export.variants import HALF
from models.fusion import FusionLayout
from models.manifest import FILE_NAME, GPU_SUFFIX, Manifest, Provenance, sha256_of, write_manifest
from models.quantizer_file import QUANTIZER, write_quantizer

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.export.recipe import Recipe
    from models.export.samples import Read
    from models.export.tower_export import ExportedTower
    from models.manifest import Export

CARD = "MODEL_CARD.md"
CALIBRATION_SAMPLES = 400
UNKNOWN_LICENCE = "not stated by the checkpoint"


def export_bundle(
    recipe: Recipe, output: Path, *, read: Read, say: Callable[[str], None], command: str, seconds: float = 1.0
) -> Manifest:
    """Export every tower of a recipe, measure it, calibrate, and write the bundle; all of it or nothing.

    Args:
        output: folder of the new bundle; an older bundle there is replaced once the new one is whole.
        read: how the running system reads media files.
        say: told of each step in a line.
        command: for the manifest.
        seconds: to measure each rate for.

    Returns:
        The manifest as written.

    Raises:
        ExportError: the recipe or a checkpoint cannot be used.
        ParityError: a graph differs from transformers.
    """
    name = recipe.name or output.resolve().name
    if output.exists() and any(output.iterdir()) and not (output / FILE_NAME).is_file():
        raise ExportError(f"{output}: not empty and no bundle; give a new folder")
    output.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    with tempfile.TemporaryDirectory(prefix=f".{output.name}-", dir=output.parent) as temporary:
        folder = Path(temporary)
        towers, on_gpu = _write_towers(recipe, folder, read, say, seconds)
        say("calibrating means and thresholds")
        manifest = _finish(recipe, name, folder, towers, on_gpu, command)
        if output.exists():
            shutil.rmtree(output)
        folder.chmod(0o755)
        shutil.copytree(folder, output)
    say(f"{manifest.bundle_id} written to {output}")
    return manifest


def _write_towers(
    recipe: Recipe, folder: Path, read: Read, say: Callable[[str], None], seconds: float
) -> tuple[list[ExportedTower], dict[str, ExportedTower]]:
    """The towers, and by modality those of the graphs for a GPU."""
    kinds = {name: kind_of(name, tower) for name, tower in recipe.towers.items()}
    given = Samples() if recipe.samples is None else samples_in(Path(recipe.samples), recipe.sample_count)
    samples = with_generated(given, set(kinds.values()), recipe.sample_count, recipe.seed)
    prepared = {}
    for name, wanted in recipe.towers.items():
        say(f"{name}: opening {wanted.checkpoint}")
        prepared[name] = prepare_tower(kinds[name], wanted.checkpoint, wanted.options)
    dimension = recipe.dimension or max(tower.width for _, tower in prepared.values())
    written, on_gpu = [], {}
    for name, wanted in recipe.towers.items():
        checkpoint, tower = prepared[name]
        head = head_for(tower.width, dimension, recipe.seed, Path(wanted.head) if wanted.head else None)
        remarks = list(tower.remarks)
        graphs = [(name, wanted.variant)]
        if wanted.gpu_variant is not None:
            if wanted.variant in HALF:
                raise ExportError(f"towers.{name}: gpu_variant stands beside fp32 or int8, not {wanted.variant}")
            graphs.append((name + GPU_SUFFIX, wanted.gpu_variant))
        for graph, variant in graphs:
            say(f"{graph}: exporting {tower.family} in {variant}")
            tower.remarks = list(remarks)
            done = write_tower(
                graph,
                checkpoint,
                tower,
                head,
                folder,
                variant=variant,
                weight=wanted.weight,
                samples=samples,
                read=read,
                only_text=list(kinds.values()).count("text") == 1,
                fused=not wanted.plain_attention,
                seconds=seconds,
            )
            say(_told(graph, done.export))
            if graph == name:
                written.append(done)
            else:
                on_gpu[name] = done
    return written, on_gpu


def _told(graph: str, found: Export) -> str:
    return (
        f"{graph}: |1 - cosine| to transformers {found.parity:.1e}, {found.fused_attention} of "
        f"{found.attention_layers} attention layers fused, {found.bytes / 2**20:.1f} MiB, "
        f"{found.flops / 1e9:.3g} GFLOP an item, {found.rate:g} items/s"
    )


def _finish(
    recipe: Recipe,
    name: str,
    folder: Path,
    towers: list[ExportedTower],
    on_gpu: dict[str, ExportedTower],
    command: str,
) -> Manifest:
    given = Samples() if recipe.samples is None else samples_in(Path(recipe.samples), CALIBRATION_SAMPLES)
    encoders = {tower.modality.name: (tower.modality.kind, tower.encoder.form, tower.encoder) for tower in towers}
    embedded = embed_originals(encoders, given, recipe.calibration.originals, recipe.seed)
    means = means_of(embedded)
    layout = FusionLayout(
        tuple(means),
        len(next(iter(means.values()))),
        np.array([tower.modality.weight for tower in towers], dtype=np.float32),
        np.stack(list(means.values())),
    )
    found = calibrate(embedded, layout, recipe.calibration.false_match_rate, recipe.seed)
    everything = {tower.modality.name: tower for tower in towers}
    everything |= {name + GPU_SUFFIX: tower for name, tower in on_gpu.items()}
    files = list(dict.fromkeys(file for tower in everything.values() for file in tower.files))
    if recipe.calibration.cells:
        files.append(write_quantizer(folder, cells_of(embedded, layout, recipe.seed)))
    manifest = Manifest(
        name=name,
        version=recipe.version,
        dimension=layout.dimension,
        modalities=tuple(
            msgspec.structs.replace(
                tower.modality, mean=tuple(round(float(n), 6) for n in means[tower.modality.name])
            )
            for tower in towers
        ),
        gpu_graphs={name: str(tower.modality.graph) for name, tower in on_gpu.items()},
        quantizer=QUANTIZER if recipe.calibration.cells else None,
        thresholds=found.thresholds,
        half_life_seconds=recipe.half_life_seconds,
        files={},
        provenance=Provenance(
            command=command,
            seed=recipe.seed,
            created_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            shoal=_version(),
            data=tuple(f"{tower.modality.name}: weights of {tower.export.checkpoint}" for tower in towers),
        ),
        licence=recipe.licence or _licences(towers),
        quality=found.quality,
        parity={name: tower.export.parity for name, tower in everything.items()},
        exports={name: tower.export for name, tower in everything.items()},
    )
    (folder / CARD).write_text(export_card(manifest, used_samples=recipe.samples is not None), encoding="utf-8")
    manifest = msgspec.structs.replace(manifest, files={file: sha256_of(folder / file) for file in [*files, CARD]})
    write_manifest(folder, manifest)
    return manifest


def _licences(towers: list[ExportedTower]) -> str:
    found = {tower.modality.name: tower.licence or UNKNOWN_LICENCE for tower in towers}
    if len(set(found.values())) == 1:
        return next(iter(found.values()))
    return "; ".join(f"{name}: {licence}" for name, licence in found.items())


def _version() -> str:
    try:
        return version("shoal")
    except PackageNotFoundError:
        return "a checkout that is not installed"
