"""A trained tower as an ONNX graph, and how far the two differ on real inputs."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch

import onnx
from models.export.attention import translations
from models.export.session import OUTPUT, open_session
from models.manifest import WEIGHTS_SUFFIX

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

PARITY_LIMIT = 1e-5

INPUTS: dict[str, tuple[str, ...]] = {
    "text": ("input_ids", "attention_mask"),
    "image": ("pixels", "shapes"),
    "audio": ("waveform", "samples"),
}
"""Names of each kind's graph inputs, in the order of the tower's arguments; the second is not always there."""

ONE_FILE_BYTES = 1_500_000_000
"""Weights beyond this go into a file beside the graph: a protobuf ends at 2 GiB."""


class ParityError(RuntimeError):
    """The exported graph does not compute what the network computes."""


def export_tower(
    tower: nn.Module, kind: str, example: tuple[NDArray[np.generic], ...], path: Path, *, fused: bool = False
) -> None:
    """Write the tower as one ONNX file with a dynamic batch (and, for texts, a dynamic number of tokens).

    Args:
        tower: the network; it is put into evaluation mode.
        kind: text, image or audio.
        example: one batch of at least two inputs, one array for each input of the kind.
        path: the file to write; weights are inside it, or beside it where they are too many.
        fused: attention becomes onnxruntime's own operator, which other runtimes do not have.
    """
    tower.eval()
    # without bounds of their own: a network's own limits, as of its positions, are found while it is traced
    dynamic: dict[int, object] = {0: torch.export.Dim.DYNAMIC}
    if kind == "text":
        dynamic[1] = torch.export.Dim.DYNAMIC
    arguments = tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in example)
    level = logging.getLogger("torch.onnx").level
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                tower,
                arguments,
                dynamo=True,
                input_names=list(INPUTS[kind][: len(example)]),
                output_names=[OUTPUT],
                dynamic_shapes=tuple(dynamic for _ in arguments),
                optimize=True,
                verbose=False,
                custom_translation_table=translations() if fused else None,
            )
    finally:
        logging.getLogger("torch.onnx").setLevel(level)
    if program is None:
        raise ParityError(f"{path}: torch.onnx.export returned no program")
    graph = program.model.graph
    # torch names the results of its embedding layers so, and does not see the clash with the output
    for value in [*graph.initializers.values(), *(value for node in graph for value in node.outputs)]:
        if value.name == OUTPUT and not value.is_graph_output():
            value.name = "embedding_of_tokens"
    model = program.model_proto
    _forget_origin(model)
    save_graph(model, path)


def save_graph(model: onnx.ModelProto, path: Path) -> None:
    """Check a graph and write it, its weights inside or, where they are too many, beside it."""
    size = sum(len(weight.raw_data) for weight in model.graph.initializer)
    if size <= ONE_FILE_BYTES:
        onnx.checker.check_model(model)
        onnx.save_model(model, str(path))
        return
    weights = path.name + WEIGHTS_SUFFIX
    (path.parent / weights).unlink(missing_ok=True)  # onnx would write behind what is there
    onnx.save_model(model, str(path), save_as_external_data=True, location=weights)
    onnx.checker.check_model(str(path))


def _forget_origin(model: onnx.ModelProto) -> None:
    """Drop stack traces and module paths: they name files of the machine that exported and change the digest."""
    model.doc_string = ""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    model.graph.doc_string = ""
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        value.doc_string = ""
        del value.metadata_props[:]
    for function in model.functions:
        del function.metadata_props[:]
        for node in function.node:
            node.doc_string = ""
            del node.metadata_props[:]


def measure_parity(tower: nn.Module, kind: str, path: Path, batches: list[tuple[NDArray[np.generic], ...]]) -> float:
    """The largest |1 - cosine| between the network's and the graph's embeddings over all rows of all batches.

    Raises:
        ParityError: it is above PARITY_LIMIT.
    """
    tower.eval()
    session = open_session(path)
    worst = 0.0
    for batch in batches:
        with torch.no_grad():
            expected = tower(*(torch.from_numpy(np.ascontiguousarray(a)) for a in batch)).numpy().astype(np.float64)
        given = dict(zip(INPUTS[kind][: len(batch)], batch, strict=True))
        actual = np.asarray(session.run([OUTPUT], given)[0]).astype(np.float64)
        cosine = (expected * actual).sum(axis=1) / np.maximum(
            np.linalg.norm(expected, axis=1) * np.linalg.norm(actual, axis=1), 1e-12
        )
        worst = float(np.maximum(worst, np.abs(1.0 - cosine).max()))  # keeps what is not a number, unlike max
    if not worst <= PARITY_LIMIT:
        raise ParityError(f"{path}: parity {worst:.2e} is above {PARITY_LIMIT:.0e}")
    return worst
