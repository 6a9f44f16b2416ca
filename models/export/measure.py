"""What is measured on an exported graph: parity from file to vector, FLOPs, rate."""

from __future__ import annotations

import io
import platform
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from models.encoders.audio import AudioEncoder
from models.encoders.image import ImageEncoder
from models.encoders.text import TextEncoder
from models.export.samples import pixels_of, signal_of, windows_of
from models.manifest import AudioInput, ImageInput

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

    from models.export.samples import Read
    from models.export.towers import Form, Tower

ROWS = 8
"""Items at once while the rate is measured."""
TOKENS = 64
"""Of the text whose FLOPs are counted, where the encoder takes so many."""

SampleEncoder = TextEncoder | ImageEncoder | AudioEncoder


class Kept:
    """Stands in for a session: keeps the inputs that an encoder would run, and gives unit vectors."""

    def __init__(self) -> None:
        self.batches: list[dict[str, NDArray[Any]]] = []

    def run(self, _names: Sequence[str], inputs: dict[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Keep the inputs."""
        self.batches.append(inputs)
        return [np.ones((len(next(iter(inputs.values()))), 1), dtype=np.float32)]


def encoder_for(form: Form, session: Any, tokenizer: Path) -> SampleEncoder:
    """The encoder of the running system for a graph."""
    if isinstance(form, ImageInput):
        return ImageEncoder(session, form)
    if isinstance(form, AudioInput):
        return AudioEncoder(session, form)
    return TextEncoder(session, tokenizer, form)


def comparable(form: Form, raw: Sequence[Any]) -> list[Any]:
    """The raw parts without recordings so long that the running system only listens to windows spread over them."""
    if not isinstance(form, AudioInput):
        return list(raw)
    longest = form.window * (form.max_windows + 1) / form.rate
    return [file for file in raw if soundfile.info(io.BytesIO(file)).duration <= longest]


def served_items(form: Form, raw: Sequence[Any], read: Read) -> list[list[Any]]:
    """What the running system makes of raw parts before the encoder: for each a list of its items."""
    if isinstance(form, ImageInput):
        return [[read.image(file, form)] for file in raw]
    if isinstance(form, AudioInput):
        return [list(read.audio(file, form)) for file in raw]
    return [[text] for text in raw]


def expected_rows(tower: Tower, head: nn.Module, raw: Sequence[Any]) -> NDArray[np.float64]:
    """What transformers makes of raw parts, through the head: unit rows (n, dimension)."""
    rows = []
    with torch.no_grad():
        for part in raw:
            found = head(tower.reference(_reference_items(tower.form, part)).float())
            rows.append(found.double().mean(dim=0).numpy())
    return _unit(np.stack(rows))


def _reference_items(form: Form, part: Any) -> list[Any]:
    if isinstance(form, ImageInput):
        return [pixels_of(part)]
    if isinstance(form, AudioInput):
        return windows_of(signal_of(part, form.rate), form)
    return [part]


def actual_rows(encoder: SampleEncoder, items: Sequence[Sequence[Any]]) -> NDArray[np.float64]:
    """What Shoal makes of the same: unit rows (n, dimension)."""
    flat = [item for several in items for item in several]
    rows = encoder.embed(flat).astype(np.float64)
    ends = np.cumsum([len(several) for several in items])[:-1]
    return _unit(np.stack([part.mean(axis=0) for part in np.split(rows, ends)]))


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def largest_difference(expected: NDArray[np.float64], actual: NDArray[np.float64]) -> float:
    """The largest |1 - cosine| of two sets of unit rows; NaN where there are any."""
    return float(np.abs(1.0 - (expected * actual).sum(axis=1)).max())


def one_item(form: Form, batch: dict[str, NDArray[Any]], rows: int) -> dict[str, NDArray[Any]]:
    """So many rows to count and to time: texts are brought to TOKENS tokens, as most captions have fewer."""
    taken = {name: np.resize(values, (rows, *values.shape[1:])) for name, values in batch.items()}
    if isinstance(form, ImageInput | AudioInput):
        return taken
    tokens = form.max_tokens if form.full else min(TOKENS, form.max_tokens)
    ids = np.resize(batch["input_ids"][batch["attention_mask"] > 0], (rows, tokens))
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}


def count_flops(whole: nn.Module, form: Form, batch: dict[str, NDArray[Any]]) -> int:
    """Floating-point operations of one item, as torch counts them: a multiplication and an addition are two."""
    one = {name: torch.from_numpy(np.ascontiguousarray(rows)) for name, rows in one_item(form, batch, 1).items()}
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        whole(*one.values())
    return int(counter.get_total_flops())


def measure_rate(session: Any, form: Form, batch: dict[str, NDArray[Any]], seconds: float) -> float:
    """Items a second of a session that is open, in batches of ROWS."""
    rows, count = one_item(form, batch, ROWS), ROWS
    session.run(None, rows)
    began, done = time.perf_counter(), 0
    while not done or time.perf_counter() - began < seconds:
        session.run(None, rows)
        done += count
    return float(f"{done / (time.perf_counter() - began):.3g}")


def machine() -> str:
    """Where a rate was measured."""
    return f"CPU ({platform.processor() or platform.machine()}), 1 thread, batches of {ROWS}"
