"""Write everything that was trained and measured into the folder of a bundle."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from models.export.convolutions import convolve_by_products
from models.export.graphs import export_tower, measure_parity
from models.manifest import (
    AudioInput,
    ImageInput,
    Manifest,
    Modality,
    Provenance,
    TextInput,
    Thresholds,
    sha256_of,
    write_manifest,
)
from models.quantizer_file import QUANTIZER, write_quantizer
from models.training.kinds import AUDIO_RATE, AUDIO_WINDOW, KINDS, MAX_WINDOWS, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Tokenizer
    from torch import nn

    from models.training.towers import TowerSizes

TOKENIZER = "tokenizer.json"
CARD = "MODEL_CARD.md"
HALF_LIFE_SECONDS = 24 * 3600.0

Inputs: TypeAlias = "list[tuple[NDArray[np.generic], ...]]"
"""Batches of one graph's inputs."""


@dataclass(slots=True)
class Trained:
    """What the training hands over: networks, tokenizer and what the calibration measured."""

    name: str
    version: str
    sizes: TowerSizes
    towers: Mapping[Kind, nn.Module]
    tokenizer: Tokenizer
    means: Mapping[Kind, NDArray[np.float32]]
    cells: Mapping[str, NDArray[np.float32]]
    thresholds: Thresholds
    provenance: Provenance
    weights: Mapping[Kind, float] = field(default_factory=lambda: dict.fromkeys(KINDS, 1.0))
    quality: Mapping[str, float] = field(default_factory=dict)


def write_graphs(folder: Path, towers: Mapping[Kind, nn.Module], samples: Mapping[Kind, Inputs]) -> dict[str, float]:
    """Export every tower to `folder`/<kind>.onnx; the parity of each on `samples`, of which the first is traced.

    Raises:
        ParityError: a graph differs from its network.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parity = {}
    for kind, tower in towers.items():
        path = folder / f"{kind}.onnx"
        export_tower(tower, kind, samples[kind][0], path)
        convolve_by_products(path)
        parity[kind] = measure_parity(tower, kind, path, samples[kind])
    return parity


def write_bundle(folder: Path, trained: Trained, parity: Mapping[str, float], card: str) -> Manifest:
    """Write tokenizer, quantizer, card and manifest beside the graphs already in `folder`.

    Returns:
        The manifest as written.
    """
    trained.tokenizer.save(str(folder / TOKENIZER), pretty=False)
    write_quantizer(folder, trained.cells)
    (folder / CARD).write_text(card, encoding="utf-8")
    names = [f"{kind}.onnx" for kind in KINDS] + [TOKENIZER, QUANTIZER, CARD]
    manifest = Manifest(
        name=trained.name,
        version=trained.version,
        dimension=trained.sizes.dimension,
        modalities=tuple(_modality(trained, kind) for kind in KINDS),
        quantizer=QUANTIZER,
        thresholds=trained.thresholds,
        half_life_seconds=HALF_LIFE_SECONDS,
        files={name: sha256_of(folder / name) for name in names},
        provenance=trained.provenance,
        licence="Apache-2.0",
        quality={name: round(float(value), 4) for name, value in trained.quality.items()},
        parity={name: float(f"{value:.2e}") for name, value in parity.items()},
    )
    write_manifest(folder, manifest)
    return manifest


def _modality(trained: Trained, kind: Kind) -> Modality:
    mean = tuple(round(float(value), 6) for value in trained.means[kind])
    weight, graph, sizes = trained.weights[kind], f"{kind}.onnx", trained.sizes
    if kind == "text":
        given = TextInput(tokenizer=TOKENIZER, max_tokens=sizes.max_tokens)
        return Modality(name=kind, kind="text", weight=weight, graph=graph, mean=mean, text=given)
    if kind == "image":
        pixels = ImageInput(size=sizes.image_size)
        return Modality(name=kind, kind="image", weight=weight, graph=graph, mean=mean, image=pixels)
    sound = AudioInput(rate=AUDIO_RATE, window=AUDIO_WINDOW, max_windows=MAX_WINDOWS)
    return Modality(name=kind, kind="audio", weight=weight, graph=graph, mean=mean, audio=sound)
