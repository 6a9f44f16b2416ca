"""Verification for a bundle: features of its parts, and the least agreement that a flag asks for."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import soxr

import onnx
from models.bundle import open_bundle
from models.encoders.batches import FEATURES
from models.export.graphs import save_graph
from models.imagery import fit_image
from models.manifest import Manifest, Verification, read_manifest, sha256_of, write_manifest
from models.registration import area_shares
from models.sound import silent, to_windows
from models.synthetic.captions import generate_caption
from models.synthetic.originals import draw_image, draw_originals, draw_sound
from models.training.calibrate import verification_threshold
from models.training.kinds import AUDIO_RATE
from models.training.pools import IMAGE_ENDINGS, SOUND_ENDINGS, files_of, read_image, read_sound
from models.verification import GIVEN_BY_GRAPHS, pack
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from numpy.typing import NDArray

    from models.manifest import AudioInput, ImageInput, Modality
    from models.verification import Layout

SIDE = 40
"""Of the grey pictures that are compared: at 32 a tenth of the crops and frames is lost, at 48 little is won."""
BANDS, FRAMES_A_SECOND = 48, 16.0
"""Of the maps of sounds that are compared."""
MOST_FRAMES = 255
LETTERS = (16, 24)
"""Rows and columns of the letters of a text that are compared: seventy words."""
TEXTS = 10
"""Generated texts for one image or sound: they cost little, and few of them are near each other."""
GENERATED = 300
FALSE_MATCH_RATE = 0.002


def add_verification(
    folder: Path,
    seed: int,
    photographs: Path | None = None,
    recordings: Path | None = None,
    *,
    only: Collection[str] = (),
    generated: int = GENERATED,
    rate: float = FALSE_MATCH_RATE,
    cosines: Mapping[str, float] | None = None,
) -> Manifest:
    """Give the texts, images and sounds of the bundle in `folder` features, and calibrate what a flag asks of them.

    The graphs of images change, and with them the bundle's id; where they give features already, and for the others,
    it stays. Images that go into a graph as patches are left as they are.

    Args:
        folder: of the bundle; graphs and manifest are written anew.
        seed: of the generated originals that the thresholds are chosen on.
        photographs, recordings: folders of others, each of another thing.
        only: the modalities that are looked at, where not all are; the others stay as they are.
        generated: how many of each kind.
        rate: at most this share of the originals may have a false neighbour that agrees.
        cosines: by modality, from which parts alone that agree are flagged, see `models.manifest.Verification`.

    Returns:
        The manifest as written.
    """
    manifest = read_manifest(folder)
    asked = [one for one in manifest.modalities if _shape(one) is not None and (not only or one.name in only)]
    files, found = dict(manifest.files), dict(manifest.verification) if only else {}
    for modality in asked:
        found[modality.name] = _uncalibrated(modality, rate, (cosines or {}).get(modality.name))
        if found[modality.name].layout in GIVEN_BY_GRAPHS:
            for graph in {str(modality.graph), manifest.gpu_graphs.get(modality.name, str(modality.graph))}:
                add_features(folder / graph, found[modality.name].height)
                files[graph] = sha256_of(folder / graph)
    manifest = msgspec.structs.replace(manifest, files=files, verification=found)
    write_manifest(folder, manifest)
    for modality in asked:
        items: list[Any] = _texts(seed, TEXTS * generated) if modality.text is not None else []
        if modality.image is not None:
            items += _pictures(seed, photographs, generated, modality.image)
        if modality.audio is not None:
            items += _sounds(seed, recordings, generated, modality.audio)
        manifest.verification[modality.name] = _calibrated(folder, modality.name, items)
    write_manifest(folder, manifest)
    return manifest


def _uncalibrated(modality: Modality, rate: float, cosine: float | None) -> Verification:
    shape = _shape(modality)
    assert shape is not None  # noqa: S101  # only such are asked for
    layout, height, width = shape
    return Verification(
        layout=layout,
        height=height,
        width=width,
        threshold=1.0,
        cosine=cosine,
        false_match_rate=rate,
        originals=0,
        found=0,
        interval=(0.0, 1.0),
    )


def _shape(modality: Modality) -> tuple[Layout, int, int] | None:
    """Layout, height and width of the maps of a modality; None where it has none."""
    if modality.graph is None:
        return None
    if modality.text is not None:
        return "text", *LETTERS
    if modality.image is not None and modality.image.patch is None:
        side = min(SIDE, modality.image.size)
        return "image", side, side
    if modality.audio is not None:
        frames = round(FRAMES_A_SECOND * modality.audio.window / modality.audio.rate)
        return "sound", BANDS, min(frames, MOST_FRAMES)
    return None


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


def _texts(seed: int, generated: int) -> list[str]:
    rng = np.random.default_rng([seed, 63])
    return [generate_caption(rng) for _ in range(generated)]


def _pictures(seed: int, photographs: Path | None, generated: int, form: ImageInput) -> Iterator[NDArray[np.uint8]]:
    rng = np.random.default_rng([seed, 61])
    for path in files_of(photographs, IMAGE_ENDINGS):
        yield fit_image(read_image(path), form)
    for _ in range(generated):
        yield fit_image(draw_image(rng)[0], form)


def _sounds(seed: int, recordings: Path | None, generated: int, form: AudioInput) -> Iterator[NDArray[np.float32]]:
    """First windows of recordings, and of generated ones: half of them in pairs of one timbre and tempo."""
    rng = np.random.default_rng([seed, 62])
    heard = [read_sound(path) for path in files_of(recordings, SOUND_ENDINGS)]
    heard += [draw_sound(rng)[0] for _ in range(generated - generated // 4 * 2)]
    pairs = [draw_originals(rng, 2, ("audio",)) for _ in range(generated // 4)]
    heard += [one.samples for pair in pairs for one in pair if one.samples is not None]
    for samples in heard:
        played = soxr.resample(samples, AUDIO_RATE, form.rate) if form.rate != AUDIO_RATE else samples
        window = to_windows(played, form.rate, form.window / form.rate, 1)[0]
        if not silent(window):
            yield window


def _calibrated(folder: Path, name: str, items: list[Any]) -> Verification:
    bundle = open_bundle(folder, provider="cpu", intra_op_threads=1)
    given = bundle.manifest.verification[name]
    looked = bundle.encoders[name].look(items)
    assert looked.features is not None  # noqa: S101  # the manifest says so
    count = len(items)
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
    parser = argparse.ArgumentParser(description="Let a bundle verify texts, images and sounds before a flag.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--photographs", type=Path, help="a folder of photographs, each of another thing")
    parser.add_argument("--recordings", type=Path, help="a folder of recordings, each of another thing")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--generated", type=int, default=GENERATED, help="originals of each kind that are made")
    parser.add_argument("--rate", type=float, default=FALSE_MATCH_RATE, help="of originals with a false neighbour")
    parser.add_argument("--only", action="append", default=[], metavar="MODALITY", help="may be given several times")
    parser.add_argument(
        "--cosine",
        action="append",
        default=[],
        type=_named,
        metavar="MODALITY=COSINE",
        help="from which posts of that modality alone that agree are flagged; may be given several times",
    )
    given = parser.parse_args()
    manifest = add_verification(
        given.bundle,
        given.seed,
        given.photographs,
        given.recordings,
        only=given.only,
        generated=given.generated,
        rate=given.rate,
        cosines=dict(given.cosine),
    )
    for name, found in manifest.verification.items():
        print(f"{name}: {found.threshold} ({found.found} of {found.originals} originals have a false neighbour)")  # noqa: T201
    print(manifest.bundle_id)  # noqa: T201


def _named(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    return name, float(value)


if __name__ == "__main__":
    main()
