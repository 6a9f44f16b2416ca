"""How fast encoders are by batch size, how full their calls, and how near to what the processor can do."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import onnxruntime
from threadpoolctl import threadpool_limits

from models.encoders.batches import OUTPUT, most_rows
from models.flops import count_flops

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from models.bundle import Encoder

    Inputs = Mapping[str, NDArray[Any]]

ROUNDS = 3
"""At least; the best counts."""

PEAK_SIZE, PEAK_ROUNDS = 1024, 8


class Rate(NamedTuple):
    """An encoder at a batch size.

    Attributes:
        items: in a batch: texts, images, windows or vectors.
        rate: items a second, from tokenizing or stacking to the embedding.
        fill: rows of a call, over the most that the device gets at once.
        padding: share of the tokens, patches or samples in a call that are only padding.
        flops: achieved, a second, inside the calls; padding counts as work. None for a graph not on the CPU.
        peak_share: of `flops` in the processor's peak; None where that is not known.
        over_plain: `rate`, over that of the same batch in one call to an onnxruntime session with its defaults.
    """

    items: int
    rate: float
    fill: float
    padding: float
    flops: float | None
    peak_share: float | None
    over_plain: float


@dataclass
class RecordingSession:
    """A session that notes what it is given and how long it takes."""

    session: Any
    calls: list[Inputs] = field(default_factory=list)
    seconds: float = 0.0

    def get_providers(self) -> list[str]:
        """Of the session."""
        providers: list[str] = self.session.get_providers()
        return providers

    def run(self, outputs: Sequence[str], inputs: Inputs) -> Any:
        """Of the session."""
        self.calls.append(inputs)
        start = time.perf_counter()
        try:
            return self.session.run(outputs, inputs)
        finally:
            self.seconds += time.perf_counter() - start


def plain_session(path: Path, providers: Sequence[Any], threads: int) -> Any:
    """What onnxruntime opens when nothing is set but the number of threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=list(providers))


def measure_rate(
    encoder: Encoder,
    recording: RecordingSession,
    plain: Any,
    path: Path,
    items: Sequence[Any],
    *,
    seconds: float,
    peak: float | None,
) -> Rate:
    """Measure one batch of items, over and over.

    Args:
        encoder: around `recording`.
        plain: a session of the same graph, see `plain_session`.
        path: of the graph.
        seconds: for the encoder, and as long for the plain session.
        peak: operations a second that the processor reaches.
    """
    encoder.embed(items)
    recording.calls.clear()
    encoder.embed(items)
    calls = list(recording.calls)
    whole = together(calls)
    plain.run([OUTPUT], whole)
    spent, inside = _best(lambda: encoder.embed(items), recording, seconds)
    alone, _ = _best(lambda: plain.run([OUTPUT], whole), None, seconds)
    on_cpu = recording.get_providers()[0] == "CPUExecutionProvider"
    flops = sum(count_flops(path, call) for call in calls) / inside if on_cpu else None
    rows = [len(next(iter(call.values()))) for call in calls]
    return Rate(
        items=len(items),
        rate=len(items) / spent,
        fill=sum(rows) / (len(rows) * most_rows(recording)),
        padding=padding_of(calls),
        flops=flops,
        peak_share=None if flops is None or peak is None else flops / peak,
        over_plain=alone / spent,
    )


def _best(work: Callable[[], object], recording: RecordingSession | None, seconds: float) -> tuple[float, float]:
    """The shortest time of `work`, and how much of it was spent in the session."""
    best, inside, begun, rounds = float("inf"), 0.0, time.perf_counter(), 0
    while rounds < ROUNDS or time.perf_counter() - begun < seconds:
        before, start = (0.0 if recording is None else recording.seconds), time.perf_counter()
        work()
        spent = time.perf_counter() - start
        if spent < best:
            best, inside = spent, (spent if recording is None else recording.seconds - before)
        rounds += 1
        if recording is not None:
            recording.calls.clear()
    return best, inside


def together(calls: Sequence[Inputs]) -> dict[str, NDArray[Any]]:
    """Several calls as one, padded with zeros to the widest."""
    joined: dict[str, NDArray[Any]] = {}
    for name in calls[0]:
        arrays = [call[name] for call in calls]
        shape = np.max([array.shape for array in arrays], axis=0)
        widths = [[(0, 0), *((0, most - size) for most, size in zip(shape[1:], array.shape[1:], strict=True))]
                  for array in arrays]  # fmt: skip
        joined[name] = np.concatenate([np.pad(array, width) for array, width in zip(arrays, widths, strict=True)])
    return joined


def padding_of(calls: Sequence[Inputs]) -> float:
    """The share of tokens, patches or samples that an encoder has only filled up with."""
    used = sum(_used(call)[0] for call in calls)
    given = sum(_used(call)[1] for call in calls)
    return 1.0 - used / given


def _used(call: Inputs) -> tuple[int, int]:
    """How much of a call says something, and how much there is."""
    if "attention_mask" in call:
        return int(call["attention_mask"].sum()), int(call["attention_mask"].size)
    if "shapes" in call:
        return int(call["shapes"].prod(axis=1).sum()), int(np.prod(call["pixels"].shape[:2]))
    if "samples" in call:
        return int(call["samples"].sum()), int(call["waveform"].size)
    first = next(iter(call.values()))
    return int(first.size), int(first.size)


def cpu_peak(threads: int) -> float:
    """Operations a second of a large float32 product, the best of some; 0 threads leave the library its own."""
    one = np.random.default_rng(0).standard_normal((PEAK_SIZE, PEAK_SIZE), dtype=np.float32)
    best = float("inf")
    with threadpool_limits(threads or None, "blas"):
        for _ in range(PEAK_ROUNDS):
            start = time.perf_counter()
            one @ one
            best = min(best, time.perf_counter() - start)
    return 2.0 * PEAK_SIZE**3 / best
