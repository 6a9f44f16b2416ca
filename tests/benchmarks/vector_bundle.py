"""A bundle that encodes nothing: posts bring their vectors, and what is around the encoders is what is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
from safetensors.numpy import save_file

from consumers.contracts.post import Post
from models.manifest import Manifest, Modality, Provenance, Thresholds, VectorInput, sha256_of, write_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MODALITY = "vector"
QUANTIZER = "quantizer.safetensors"


def write_vector_bundle(folder: Path, dimension: int) -> Manifest:
    """Write a bundle of one modality, a vector of so many numbers that is taken as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)
    save_file({f"cells_{count}": unit_rows(rng, count, dimension) for count in (2, 4, 8, 16)}, folder / QUANTIZER)
    manifest = Manifest(
        name=f"vector-{dimension}",
        version="1",
        dimension=dimension,
        modalities=(
            Modality(name=MODALITY, kind="vector", mean=(0.0,) * dimension, vector=VectorInput(size=dimension)),
        ),
        quantizer=QUANTIZER,
        thresholds=Thresholds(join=0.75, cohesion=0.5, centroid=0.7, exemplar=0.72, modality=0.5, twin=0.9),
        half_life_seconds=86_400.0,
        files={QUANTIZER: sha256_of(folder / QUANTIZER)},
        provenance=Provenance(command="tests", seed=5, created_at="2026-01-01T00:00:00Z", shoal="0", data=()),
        licence="Apache-2.0",
    )
    write_manifest(folder, manifest)
    return manifest


def unit_rows(rng: np.random.Generator, count: int, dimension: int) -> NDArray[np.float32]:
    """Random unit vectors (count, dimension)."""
    rows = rng.standard_normal((count, dimension), dtype=np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def vector_posts(count: int, dimension: int, campaigns: int, seed: int = 0) -> list[bytes]:
    """Posts around so many directions, as they stand in the posts topic."""
    rng = np.random.default_rng(seed)
    centres = unit_rows(rng, campaigns, dimension)
    rows = centres[rng.integers(campaigns, size=count)] + 0.4 * unit_rows(rng, count, dimension)
    return [
        msgspec.json.encode(Post(post_id=f"post-{number}", vectors={MODALITY: tuple(np.round(row, 4).tolist())}))
        for number, row in enumerate(rows)
    ]
