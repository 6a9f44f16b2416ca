"""Verification for a bundle: graphs that also give features, and the least agreement that a flag asks for."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

import onnx
from models.bundle import open_bundle
from models.encoders.batches import FEATURES
from models.export.graphs import save_graph
from models.imagery import fit_image
from models.manifest import Manifest, Verification, read_manifest, sha256_of, write_manifest
from models.registration import area_shares
from models.synthetic.originals import draw_image
from models.training.calibrate import verification_threshold
from models.training.pools import IMAGE_ENDINGS, files_of, read_image
from models.verification import pack
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.manifest import ImageInput

SIDE = 40
"""Of the grey pictures that are compared: at 32 a tenth of the crops and frames is lost, at 48 little is won."""
GENERATED = 300
FALSE_MATCH_RATE = 0.002


def add_verification(
    folder: Path,
    seed: int,
    photographs: Path | None = None,
    *,
    generated: int = GENERATED,
    rate: float = FALSE_MATCH_RATE,
    cosine: float | None = None,
) -> Manifest:
    """Give the image graphs of the bundle in `folder` features, and calibrate what a flag asks of them.

    The graphs change, and with them the bundle's id. Images that go into a graph as patches are left as they are.

    Args:
        folder: of the bundle; graphs and manifest are written anew.
        seed: of the generated originals that the threshold is chosen on.
        photographs: a folder of others, each of another thing.
        generated: how many.
        rate: at most this share of the originals may have a false neighbour that agrees.
        cosine: from which images alone that agree are flagged, see `models.manifest.Verification`.

    Returns:
        The manifest as written.
    """
    manifest = read_manifest(folder)
    found: dict[str, Verification] = {}
    files = dict(manifest.files)
    for modality in manifest.modalities:
        if modality.image is None or modality.graph is None or modality.image.patch is not None:
            continue
        side = min(SIDE, modality.image.size)
        for graph in {modality.graph, manifest.gpu_graphs.get(modality.name, modality.graph)}:
            add_features(folder / graph, side)
            files[graph] = sha256_of(folder / graph)
        found[modality.name] = Verification(
            layout="image",
            height=side,
            width=side,
            threshold=1.0,
            cosine=cosine,
            false_match_rate=rate,
            originals=0,
            found=0,
            interval=(0.0, 1.0),
        )
    manifest = msgspec.structs.replace(manifest, files=files, verification=found)
    write_manifest(folder, manifest)
    for name, given in found.items():
        manifest.verification[name] = _calibrated(folder, name, given, _originals(seed, photographs, generated))
    write_manifest(folder, manifest)
    return manifest


def add_features(path: Path, side: int) -> None:
    """Let the image graph in `path` also give its input as a grey picture, `features` uint8 [batch, side, side].

    A graph that gives features already is left as it is.
    """
    model = onnx.load(str(path))
    graph = model.graph
    if any(value.name == FEATURES for value in graph.output):
        return
    size = graph.input[0].type.tensor_type.shape.dim[1].dim_value
    shares = area_shares(size, side).astype(np.float32)
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.array([3], dtype=np.int64), "features.colours"),
            numpy_helper.from_array(shares, "features.rows"),
            numpy_helper.from_array(np.ascontiguousarray(shares.T), "features.columns"),
            numpy_helper.from_array(np.array(3 * size * size, dtype=np.float32), "features.area"),
        ]
    )
    # Two products of matrices: an Einsum over the colours too took as long as half of the network. Whole numbers, and
    # exact up to 147 pixels a side.
    graph.node.extend(
        [
            helper.make_node("Cast", [graph.input[0].name], ["features.numbers"], to=TensorProto.FLOAT),
            helper.make_node("ReduceSum", ["features.numbers", "features.colours"], ["features.grey"], keepdims=0),
            helper.make_node("MatMul", ["features.rows", "features.grey"], ["features.bands"]),
            helper.make_node("MatMul", ["features.bands", "features.columns"], ["features.sums"]),
            helper.make_node("Div", ["features.sums", "features.area"], ["features.means"]),
            helper.make_node("Round", ["features.means"], ["features.whole"]),
            helper.make_node("Cast", ["features.whole"], [FEATURES], to=TensorProto.UINT8),
        ]
    )
    graph.output.append(helper.make_tensor_value_info(FEATURES, TensorProto.UINT8, ["batch", side, side]))
    save_graph(model, path)


def _originals(seed: int, photographs: Path | None, generated: int) -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng([seed, 61])
    pictures = [read_image(path) for path in files_of(photographs, IMAGE_ENDINGS)]
    return pictures + [draw_image(rng)[0] for _ in range(generated)]


def _calibrated(folder: Path, name: str, given: Verification, pictures: Sequence[NDArray[np.uint8]]) -> Verification:
    bundle = open_bundle(folder, provider="cpu", intra_op_threads=1)
    modality = next(one for one in bundle.manifest.modalities if one.name == name)
    form: ImageInput | None = modality.image
    assert form is not None  # noqa: S101  # only images have features
    looked = bundle.encoders[name].look([fit_image(pixels, form) for pixels in pictures])
    assert looked.features is not None  # noqa: S101  # the manifest says so
    count = len(pictures)
    fused = bundle.layout.fuse({name: looked.embeddings}, {name: np.ones(count, dtype=bool)})
    features = [pack(one[None], given.layout) for one in looked.features]
    flagged_from = bundle.manifest.thresholds.exemplar
    if given.cosine is not None:
        flagged_from = min(flagged_from, given.cosine)
    chosen = verification_threshold(fused, features, flagged_from, given.false_match_rate)
    return msgspec.structs.replace(
        given, threshold=chosen.threshold, originals=count, found=chosen.found, interval=chosen.interval
    )


def main() -> None:
    """Add verification to the bundle of the command line."""
    parser = argparse.ArgumentParser(description="Let a bundle verify images before a flag.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--photographs", type=Path, help="a folder of photographs, each of another thing")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cosine", type=float, help="from which images alone that agree are flagged")
    given = parser.parse_args()
    manifest = add_verification(given.bundle, given.seed, given.photographs, cosine=given.cosine)
    for name, found in manifest.verification.items():
        print(f"{name}: {found.threshold} ({found.found} of {found.originals} originals have a false neighbour)")  # noqa: T201
    print(manifest.bundle_id)  # noqa: T201


if __name__ == "__main__":
    main()
