"""A tiny bundle of real graphs, written in a moment and without training.

Equal parts give equal embeddings, altered copies near ones, different parts far ones: texts are compared by their
runs of three bytes, images by their brightness pattern, sounds by their spectrum.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from models.manifest import (
    AudioInput,
    ImageInput,
    Manifest,
    Modality,
    Provenance,
    TextInput,
    Thresholds,
    VectorInput,
    sha256_of,
    write_manifest,
)
from models.quantizer_file import QUANTIZER, write_quantizer
from onnx import TensorProto, checker, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from onnx import NodeProto

DIMENSION = 32
MAX_TOKENS = 256
IMAGE_SIZE = 16
RATE = 8_000
WINDOW = 8_000
MAX_WINDOWS = 4
VECTOR_SIZE = 6
CELLS = (2, 4, 8, 16)


def write_tiny_bundle(folder: Path, modalities: Sequence[str] = ("text", "image", "audio")) -> Manifest:
    """Write a bundle named `tiny` into `folder` (made when it is not there).

    Args:
        folder: where it goes.
        modalities: `text`, `image`, `audio`; any other name becomes a vector of VECTOR_SIZE numbers.

    Returns:
        The manifest as written; the same modalities give the same bundle id everywhere.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = tuple(_modality(folder, name) for name in modalities)
    rng = np.random.default_rng(5)
    centres = {f"cells_{count}": _unit(rng.standard_normal((count, DIMENSION * len(written)))) for count in CELLS}
    write_quantizer(folder, centres)
    manifest = Manifest(
        name="tiny",
        version="1",
        dimension=DIMENSION,
        modalities=written,
        quantizer=QUANTIZER,
        thresholds=Thresholds(join=0.75, cohesion=0.5, centroid=0.75, exemplar=0.75, modality=0.5, twin=0.93),
        half_life_seconds=3_600.0,
        files={path.name: sha256_of(path) for path in sorted(folder.iterdir()) if path.name != "manifest.json"},
        provenance=Provenance(command="tests", seed=5, created_at="2026-01-01T00:00:00Z", shoal="0", data=()),
        licence="Apache-2.0",
    )
    write_manifest(folder, manifest)
    return manifest


def _modality(folder: Path, name: str) -> Modality:
    mean = (0.0,) * DIMENSION
    graph = f"{name}.onnx"
    if name == "text":
        _write_tokenizer(folder / "tokenizer.json")
        _write_text(folder / graph)
        text = TextInput(tokenizer="tokenizer.json", max_tokens=MAX_TOKENS)
        return Modality(name=name, kind="text", graph=graph, mean=mean, text=text)
    if name == "image":
        _write_image(folder / graph)
        return Modality(name=name, kind="image", graph=graph, mean=mean, image=ImageInput(size=IMAGE_SIZE))
    if name == "audio":
        _write_audio(folder / graph)
        audio = AudioInput(rate=RATE, window=WINDOW, max_windows=MAX_WINDOWS)
        return Modality(name=name, kind="audio", graph=graph, mean=mean, audio=audio)
    _write_vector(folder / graph)
    return Modality(name=name, kind="vector", graph=graph, mean=mean, vector=VectorInput(size=VECTOR_SIZE))


def _write_tokenizer(path: Path) -> None:
    """One token a byte, plus one for the padding: every text can be told in them."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<pad>": 0} | {symbol: index for index, symbol in enumerate(alphabet, start=1)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(path), pretty=False)


def _write_text(path: Path) -> None:
    """Every run of three bytes has a direction of its own; single bytes count a little, for the shortest texts."""
    rng = np.random.default_rng(1)
    tables = {f"table_{place}": rng.choice([-1.0, 1.0], (257, DIMENSION)) for place in range(3)}
    nodes = [helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT)]
    nodes.append(helper.make_node("Unsqueeze", ["mask", "last"], ["mask_3d"]))
    for place in range(3):
        nodes += [
            helper.make_node("Slice", ["input_ids", f"from_{place}", f"to_{place}", "one"], [f"ids_{place}"]),
            helper.make_node("Gather", [f"table_{place}", f"ids_{place}"], [f"rows_{place}"]),
        ]
    nodes += [
        helper.make_node("Mul", ["rows_0", "rows_1"], ["pairs"]),
        helper.make_node("Mul", ["pairs", "rows_2"], ["threes"]),
        helper.make_node("Slice", ["mask_3d", "from_2", "to_2", "one"], ["mask_of_threes"]),
        helper.make_node("Mul", ["threes", "mask_of_threes"], ["threes_there"]),
        helper.make_node("ReduceSum", ["threes_there", "one"], ["sum_of_threes"], keepdims=0),
        helper.make_node("Gather", ["table_0", "input_ids"], ["rows"]),
        helper.make_node("Mul", ["rows", "mask_3d"], ["rows_there"]),
        helper.make_node("ReduceSum", ["rows_there", "one"], ["sum_of_ones"], keepdims=0),
        helper.make_node("Mul", ["sum_of_ones", "little"], ["some_of_ones"]),
        helper.make_node("Add", ["sum_of_threes", "some_of_ones"], ["sum"]),
        *_normalised("sum"),
    ]
    constants = {name: table.astype(np.float32) for name, table in tables.items()}
    constants |= {f"from_{place}": np.array([place]) for place in range(3)}
    constants |= {f"to_{place}": np.array([place - 2 or 2**40]) for place in range(3)}
    constants |= {"one": np.array([1]), "last": np.array([-1]), "little": np.array([0.1], dtype=np.float32)}
    inputs = {name: (TensorProto.INT64, ["batch", "tokens"]) for name in ("input_ids", "attention_mask")}
    _write(path, nodes, inputs, constants)


def _write_image(path: Path) -> None:
    rng = np.random.default_rng(2)
    size = IMAGE_SIZE * IMAGE_SIZE * 3
    nodes = [
        helper.make_node("Cast", ["pixels"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["numbers", "axes"], ["mean"], keepdims=1),
        helper.make_node("Sub", ["numbers", "mean"], ["centred"]),
        helper.make_node("Reshape", ["centred", "flat"], ["row"]),
        helper.make_node("MatMul", ["row", "projection"], ["projected"]),
        *_normalised("projected"),
    ]
    constants = {
        "axes": np.array([1, 2]),
        "flat": np.array([-1, size]),
        "projection": rng.standard_normal((size, DIMENSION)).astype(np.float32),
    }
    _write(path, nodes, {"pixels": (TensorProto.UINT8, ["batch", IMAGE_SIZE, IMAGE_SIZE, 3])}, constants)


def _write_audio(path: Path) -> None:
    """A log spectrum of few bands, averaged over the window and centred."""
    rng = np.random.default_rng(3)
    length, bands = 256, 64
    times = np.arange(length) / RATE
    hertz = np.geomspace(80, 3_800, bands)
    phases = 2 * np.pi * hertz[:, None] * times
    kernels = np.concatenate([np.cos(phases), np.sin(phases)])[:, None] * np.hanning(length)
    nodes = [
        helper.make_node("Unsqueeze", ["waveform", "one"], ["channel"]),
        helper.make_node("Conv", ["channel", "kernels"], ["waves"], strides=[length]),
        helper.make_node("Mul", ["waves", "waves"], ["squares"]),
        helper.make_node("Split", ["squares"], ["cosines", "sines"], axis=1, num_outputs=2),
        helper.make_node("Add", ["cosines", "sines"], ["power"]),
        helper.make_node("ReduceMean", ["power", "two"], ["mean_power"], keepdims=0),
        helper.make_node("Add", ["mean_power", "floor"], ["heard"]),
        helper.make_node("Log", ["heard"], ["loudness"]),
        helper.make_node("ReduceMean", ["loudness", "one"], ["mean"], keepdims=1),
        helper.make_node("Sub", ["loudness", "mean"], ["centred"]),
        helper.make_node("MatMul", ["centred", "projection"], ["projected"]),
        *_normalised("projected"),
    ]
    constants = {
        "kernels": kernels.astype(np.float32),
        "projection": rng.standard_normal((bands, DIMENSION)).astype(np.float32),
        "floor": np.array([1e-3], dtype=np.float32),
        "one": np.array([1]),
        "two": np.array([2]),
    }
    _write(path, nodes, {"waveform": (TensorProto.FLOAT, ["batch", WINDOW])}, constants)


def _write_vector(path: Path) -> None:
    rng = np.random.default_rng(4)
    nodes = [helper.make_node("MatMul", ["vector", "projection"], ["projected"]), *_normalised("projected")]
    constants = {"projection": rng.standard_normal((VECTOR_SIZE, DIMENSION)).astype(np.float32)}
    _write(path, nodes, {"vector": (TensorProto.FLOAT, ["batch", VECTOR_SIZE])}, constants)


def _normalised(name: str) -> list[NodeProto]:
    """`embedding`: the rows of `name` at unit length; rows of zeros get the direction of `fallback`."""
    return [
        helper.make_node("Add", [name, "fallback"], ["never_zero"]),
        helper.make_node("LpNormalization", ["never_zero"], ["embedding"], axis=-1, p=2),
    ]


def _write(
    path: Path,
    nodes: list[NodeProto],
    inputs: Mapping[str, tuple[int, Sequence[str | int]]],
    constants: Mapping[str, NDArray[np.generic]],
) -> None:
    fallback = np.full(DIMENSION, 1e-6, dtype=np.float32)
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", DIMENSION])],
        [numpy_helper.from_array(array, name) for name, array in {**constants, "fallback": fallback}.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    checker.check_model(model)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def unreadable(folder: Path) -> set[str]:
    """Files of a bundle, or its folder, that others may not read although they may read what this process makes."""
    mask = os.umask(0)
    os.umask(mask)
    wanted = 0o444 & ~mask
    return {path.name for path in [folder, *folder.iterdir()] if path.stat().st_mode & wanted != wanted}
