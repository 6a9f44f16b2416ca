"""One tower of a bundle: from the checkpoint to the graph in the folder, measured or refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

import onnx
from models.export.attention import count_fused
from models.export.checkpoint import ExportError, find_checkpoint
from models.export.families import build_tower
from models.export.graphs import INPUTS, ParityError, export_tower
from models.export.measure import (
    Kept,
    actual_rows,
    comparable,
    count_flops,
    encoder_for,
    expected_rows,
    largest_difference,
    machine,
    measure_rate,
    served_items,
)
from models.export.session import open_session
from models.export.towers import attention_layers, quiet
from models.export.variants import LIMITS, VARIANTS, emulated_bf16, to_half, to_int8
from models.manifest import GPU_SUFFIX, WEIGHTS_SUFFIX, AudioInput, Export, ImageInput, Modality, TextInput

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from models.export.checkpoint import Checkpoint
    from models.export.heads import Head
    from models.export.measure import SampleEncoder
    from models.export.samples import Read, Samples
    from models.export.towers import Tower

OBSERVED_BATCHES = 4
"""Batches that are looked at for overflow and for the ranges of int8."""


class Whole(nn.Module):
    """Tower and head: what the graph computes."""

    def __init__(self, network: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.network, self.head = network, head

    def forward(self, first: torch.Tensor, second: torch.Tensor | None = None) -> torch.Tensor:
        """One or two inputs -> unit vectors (batch, dimension)."""
        rows = self.network(first) if second is None else self.network(first, second)
        result: torch.Tensor = self.head(rows.float())
        return result


@dataclass(frozen=True, slots=True)
class ExportedTower:
    """A graph in a folder with all that the manifest says of it, and its encoder, open on the CPU."""

    modality: Modality
    export: Export
    encoder: SampleEncoder
    files: tuple[str, ...]
    licence: str | None


def prepare_tower(kind: str, source: str, options: Any) -> tuple[Checkpoint, Tower]:
    """Open a checkpoint and build its tower.

    Raises:
        ExportError: it cannot be exported.
    """
    checkpoint = find_checkpoint(source)
    with quiet():
        return checkpoint, build_tower(kind, checkpoint, options)


def write_tower(
    name: str,
    checkpoint: Checkpoint,
    tower: Tower,
    head: Head,
    folder: Path,
    *,
    variant: str,
    weight: float,
    samples: Samples,
    read: Read,
    only_text: bool = True,
    fused: bool = True,
    seconds: float = 1.0,
) -> ExportedTower:
    """Export a tower to `folder`, measure it, and refuse it where it is too far from transformers.

    Args:
        name: of the modality; it names the files, with GPU_SUFFIX behind it for a second graph.
        head: brings the tower's vectors to the joint dimension.
        variant: fp32, fp16, bf16 or int8.
        samples: at least two of the tower's kind.
        read: how the running system reads files.
        fused: attention becomes onnxruntime's own operator.
        only_text: no other text modality is in the bundle: the tokenizer is called tokenizer.json.
        seconds: to measure the rate for.

    Raises:
        ExportError: overflow in float16.
        ParityError: the graph's unit vectors differ from transformers' by more than the variant may.
    """
    if variant not in VARIANTS:
        raise ExportError(f"variant {variant!r} is not known; known: {', '.join(VARIANTS)}")
    raw = comparable(tower.form, samples.of(tower.kind))
    if len(raw) < 2:
        raise ExportError(f"{len(raw)} samples of {tower.kind} that can be compared; two or more are needed")
    files = [_save_tokenizer(tower, folder, name, only_text=only_text)] if tower.tokenizer is not None else []
    tokenizer = folder / (files[0] if files else "none")
    with quiet():
        expected = expected_rows(tower, head, raw)
        items = served_items(tower.form, raw, read)
        kept = Kept()
        encoder_for(tower.form, kept, tokenizer).embed([item for several in items for item in several])
        whole = Whole(tower.network, head).eval()
        flops = count_flops(whole, tower.form, kept.batches[0])
        batches = kept.batches[:OBSERVED_BATCHES]
        if variant in {"fp16", "bf16"}:
            to_half(tower, variant, [_tensors(batch) for batch in batches])
        path = folder / f"{name}.onnx"
        export_tower(whole, tower.kind, _example(tower.kind, kept.batches[0]), path, fused=fused)
    if variant == "int8":

        def parity() -> float:
            encoder, _, _ = _opened(tower, path, tokenizer, variant)
            return largest_difference(expected, actual_rows(encoder, items))

        with quiet():
            tower.remarks.append(to_int8(path, batches, parity))
    encoder, session, rate_on = _opened(tower, path, tokenizer, variant)
    worst = largest_difference(expected, actual_rows(encoder, items))
    beside = path.name + WEIGHTS_SUFFIX
    files += [path.name, *([beside] if (folder / beside).is_file() else [])]
    if not worst <= LIMITS[variant]:  # a NaN is not below it either
        for file in files:
            (folder / file).unlink()
        raise ParityError(
            f"{checkpoint.source} as {name} in {variant}: |1 - cosine| to transformers is {worst:.1e}, "
            f"more than {LIMITS[variant]:.0e}; not written"
        )
    export = Export(
        checkpoint=checkpoint.source,
        weights=checkpoint.weights,
        family=tower.family,
        pooling=f"{tower.pooling}; {head.told}",
        variant=variant,  # type: ignore[arg-type]  # one of VARIANTS
        parity=float(f"{worst:.2e}"),
        parity_items=len(raw),
        attention_layers=attention_layers(tower.network),
        fused_attention=count_fused(onnx.load(path, load_external_data=False)),
        bytes=sum((folder / file).stat().st_size for file in files if file != tokenizer.name),
        flops=flops,
        rate=measure_rate(session, tower.form, kept.batches[0], seconds) if rate_on else 0.0,
        rate_on=rate_on or "not measured: onnxruntime has no bfloat16 on the CPU",
        remarks=tuple(tower.remarks),
    )
    modality = _modality(name, tower, weight, path.name, tokenizer.name)
    return ExportedTower(modality, export, encoder, tuple(files), checkpoint.licence)


def _save_tokenizer(tower: Tower, folder: Path, name: str, *, only_text: bool) -> str:
    if tower.tokenizer is None or not isinstance(tower.form, TextInput):
        raise ExportError("a text tower without a tokenizer")
    file = "tokenizer.json" if only_text else f"{name.removesuffix(GPU_SUFFIX)}.tokenizer.json"
    tower.tokenizer.save(str(folder / file), pretty=False)
    return file


def _tensors(batch: dict[str, NDArray[Any]]) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(np.ascontiguousarray(rows)) for rows in batch.values())


def _example(kind: str, batch: dict[str, NDArray[Any]]) -> tuple[NDArray[Any], ...]:
    """Two rows at most: tracing needs no more, and more is slow."""
    return tuple(batch[name][:2] for name in INPUTS[kind] if name in batch)


def _opened(tower: Tower, path: Path, tokenizer: Path, variant: str) -> tuple[SampleEncoder, Any, str]:
    """The encoder on the CPU, its session, and where its rate can be measured; bfloat16 is emulated there."""
    if variant != "bf16":
        session = open_session(path, variant=variant)
        return encoder_for(tower.form, session, tokenizer), session, machine()
    emulated = path.with_suffix(".emulated.onnx")
    emulated_bf16(path, emulated)
    session = open_session(emulated, optimized=False)
    emulated.unlink()
    return encoder_for(tower.form, session, tokenizer), session, ""


def _modality(name: str, tower: Tower, weight: float, graph: str, tokenizer: str) -> Modality:
    """As the manifest has it; the mean is not known yet."""
    form: dict[str, Any] = {tower.kind: tower.form}
    if isinstance(tower.form, TextInput):
        fields = {field: getattr(tower.form, field) for field in TextInput.__struct_fields__}
        form = {"text": TextInput(**{**fields, "tokenizer": tokenizer})}
    if not isinstance(tower.form, TextInput | ImageInput | AudioInput):
        raise TypeError(type(tower.form))
    return Modality(name=name, kind=tower.kind, weight=weight, graph=graph, mean=(), **form)  # type: ignore[arg-type]
