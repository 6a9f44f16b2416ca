"""Everything that is measured on exported graphs before a bundle is written: means, cells, thresholds, quality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.training.calibrate import Similarities, calibrate, compare, compose, layout_from, means_of
from models.training.graph_encoder import GraphEncoder
from models.training.kinds import KINDS, Kind
from models.training.observations import Observations, Observe, observe, observers
from models.training.pools import IMAGE_ENDINGS, SOUND_ENDINGS, files_of
from models.training.progress import progress
from models.training.quality import (
    cross_modal_quality,
    encoder_milliseconds,
    flag_quality,
    fused_quality,
    part_quality,
    transform_recalls,
)
from models.training.quantizer import nested_cells

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from models.fusion import FusionLayout
    from models.manifest import Thresholds
    from models.training.budget import Budget

EQUAL = dict.fromkeys(KINDS, 1.0)
CROSS_MODAL_PAIRS = 200


@dataclass(frozen=True, slots=True)
class Measured:
    """What was found; `transforms` holds recall by transform for each kind, on generated and on real posts."""

    means: Mapping[Kind, NDArray[np.float32]]
    cells: Mapping[str, NDArray[np.float32]]
    thresholds: Thresholds
    quality: Mapping[str, float]
    transforms: Mapping[str, Mapping[str, float]]


def measure(
    encoder: tuple[Path, str, int],
    budget: Budget,
    seed: int,
    image_folder: Path | None,
    audio_folder: Path | None,
    *,
    workers: int,
) -> Measured:
    """Calibrate on posts of seeds of their own (and the validation folders), report on yet other ones (and test).

    Only what is reported has transforms that training never used.

    Args:
        encoder: arguments of `GraphEncoder`.
        budget: how many posts.
        seed: of the training; the posts' seeds are derived from it.
        image_folder: the training folder, whose neighbours are used; see `train_bundle`.
        audio_folder: likewise.
        workers: processes that embed; 0 embeds in this one.
    """
    with observers(encoder, workers) as work:
        known = _observe(work, seed + 1_000_003, budget, "calibration posts", held_out=False)
        means = means_of(known)
        layout = layout_from(means, EQUAL)
        if (chosen := files_beside(image_folder, audio_folder, "validation")) is not None:
            real = _observe(work, seed + 1_000_033, budget, "validation posts", held_out=False, real=chosen)
            known = joined(known, real)
        rng = np.random.default_rng([seed, 51])
        thresholds, _, _ = calibrate(known, layout, rng)
        cells = nested_cells(_posts_for_cells(known, layout), rng)
        unseen = {"generated": _observe(work, seed + 3_000_003, budget, "generated posts", held_out=True)}
        counts = {"generated": dict.fromkeys(KINDS, len(unseen["generated"]))}
        if (held_back := files_beside(image_folder, audio_folder, "test")) is not None:
            counts["real"] = {"image": len(held_back[0]), "audio": len(held_back[1]) // 2 * 2}
            unseen["real"] = _observe(work, seed + 3_000_033, budget, "real posts", held_out=True, real=held_back)
    quality: dict[str, float] = {}
    transforms: dict[str, dict[str, float]] = {}
    for name, posts in unseen.items():
        quality |= _figures(posts, layout, thresholds, rng, name)
        for kind, count in counts[name].items():
            quality |= part_quality(posts.first(count), kind, f"{name}_{kind}")
            transforms[f"{name} {kind}"] = transform_recalls(posts.first(count), kind)
    graphs = GraphEncoder(*encoder)
    quality |= cross_modal_quality(graphs, seed + 3_000_003, CROSS_MODAL_PAIRS)
    quality |= encoder_milliseconds(graphs, seed)
    return Measured(means, cells, thresholds, quality, transforms)


def _figures(
    observations: Observations, layout: FusionLayout, thresholds: Thresholds, rng: np.random.Generator, prefix: str
) -> dict[str, float]:
    exemplar: Similarities = compare(observations, layout, rng, with_centroid=False)
    centroid = compare(observations, layout, rng, with_centroid=True)
    figures = flag_quality(exemplar, centroid, thresholds) | fused_quality(observations, layout)
    return {f"{prefix}_{name}": value for name, value in figures.items()}


def _observe(
    work: Observe,
    seed: int,
    budget: Budget,
    title: str,
    *,
    held_out: bool,
    real: tuple[list[Path], list[Path]] | None = None,
) -> Observations:
    pairs = budget.posts // 2
    if real is not None:
        pairs = min(pairs, len(real[0]) // 2)
    with progress(title, pairs) as advance:
        return observe(work, seed, pairs, advance=advance, held_out=held_out, real=real)


def files_beside(
    image_folder: Path | None, audio_folder: Path | None, split: str
) -> tuple[list[Path], list[Path]] | None:
    """Pictures and recordings beside the training folders, when both have such a neighbour."""
    pictures, recordings = neighbour(image_folder, split), neighbour(audio_folder, split)
    if pictures is None or recordings is None:
        return None
    return files_of(pictures, IMAGE_ENDINGS), files_of(recordings, SOUND_ENDINGS)


def neighbour(folder: Path | None, split: str) -> Path | None:
    """The folder called `split` beside a training folder, when there is one and it is another."""
    if folder is None:
        return None
    beside = folder.resolve().parent / split
    return beside if beside.is_dir() and beside != folder.resolve() else None


def joined(first: Observations, second: Observations) -> Observations:
    """The originals of both, one after the other."""
    return Observations(
        {kind: np.concatenate([first.embeddings[kind], second.embeddings[kind]]) for kind in KINDS},
        {kind: first.transforms[kind] + second.transforms[kind] for kind in KINDS},
    )


def _posts_for_cells(observations: Observations, layout: FusionLayout) -> NDArray[np.float32]:
    """Posts with all and with some of their parts, as a stream has them."""
    count = len(observations)
    own, first = np.arange(count), np.zeros(count, dtype=np.int64)
    patterns = (KINDS, ("text", "image"), ("text", "audio"), ("image",), ("text",), ("audio",))
    return np.concatenate(
        [compose(observations, layout, dict.fromkeys(parts, own), dict.fromkeys(parts, first)) for parts in patterns]
    )
