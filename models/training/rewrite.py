"""Graphs and tokenizer of a bundle that `shoal train` wrote, written anew as this version writes them.

Weights, and what the tokenizer has learned, stay.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from tokenizers import Tokenizer

from models.export.verification import add_features
from models.manifest import Manifest, read_manifest, sha256_of, write_manifest
from models.training.bundle_writer import TOKENIZER, write_graphs
from models.training.kinds import KINDS, Kind
from models.training.tokenizer import build_normalizer
from models.training.towers import TowerSizes, build_towers
from models.training.train import sample_inputs
from models.training.warm_start import start_from
from models.verification import GIVEN_BY_GRAPHS

if TYPE_CHECKING:
    from collections.abc import Sequence


def rewrite_graphs(
    folder: Path, kinds: Sequence[Kind] = KINDS, sizes: TowerSizes | None = None, seed: int = 0
) -> Manifest:
    """Write the graphs of some kinds in the bundle in `folder` anew, and its manifest; with the text's its tokenizer.

    What the graphs compute stays the same up to rounding; texts are normalised as this version does it. Digests
    change, and with them the bundle's id.

    Args:
        folder: of the bundle.
        kinds: which graphs.
        sizes: of its towers; by default those of `compact`.
        seed: of the generated inputs on which the old graphs, the networks and the new graphs are compared.

    Returns:
        The manifest as written.

    Raises:
        ValueError: a graph has other weights than its tower.
        ParityError: an old or a new graph does not compute what the network computes.
    """
    manifest, given = read_manifest(folder), sizes or TowerSizes()
    towers = {kind: tower for kind, tower in build_towers(given).items() if kind in kinds}
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    samples = sample_inputs(tokenizer, given.image_size, seed)
    start_from(folder, towers, samples, training=False)
    files = dict(manifest.files)
    with tempfile.TemporaryDirectory(dir=folder.parent) as made:
        parity = write_graphs(Path(made), towers, samples)
        for kind in towers:
            graph = f"{kind}.onnx"
            maps = manifest.verification.get(kind)
            if maps is not None and maps.layout in GIVEN_BY_GRAPHS:
                add_features(Path(made) / graph, maps.height)
            files[graph] = sha256_of((Path(made) / graph).replace(folder / graph))
    if "text" in kinds:
        tokenizer.normalizer = build_normalizer()
        tokenizer.save(str(folder / TOKENIZER), pretty=False)
        files[TOKENIZER] = sha256_of(folder / TOKENIZER)
    told = {kind: float(f"{value:.2e}") for kind, value in parity.items()}
    manifest = msgspec.structs.replace(manifest, files=files, parity={**manifest.parity, **told})
    write_manifest(folder, manifest)
    return manifest


def main() -> None:
    """Rewrite the bundle of the command line."""
    parser = argparse.ArgumentParser(description="Write the graphs of a trained bundle as this version writes them.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    given = parser.parse_args()
    manifest = rewrite_graphs(given.bundle, given.kinds)
    print(manifest.parity)
    print(manifest.bundle_id)


if __name__ == "__main__":
    main()
