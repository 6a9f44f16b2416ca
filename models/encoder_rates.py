"""How fast encoders are by batch size, how full their calls, and how near to what the device can do."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from models.encoders.batches import OUTPUT
from models.encoders.buckets import Buckets, buckets_of, size_for
from models.flops import count_flops
from models.providers import left_out

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from models.bundle import Encoder
    from models.peaks import Peak

Inputs = Mapping[str, NDArray[Any]]
Contender = Callable[[Inputs], object]
"""Another way to compute one call."""

ROUNDS = 3
"""At least; the best counts."""


class Rate(NamedTuple):
    """An encoder at a batch size.

    Attributes:
        items: in a batch: texts, images, windows or vectors.
        rate: items a second, from tokenizing or stacking to the embedding.
        fill: rows of a call, over those that it is filled up to, or over the most that the device gets at once.
        padding: share of the tokens, patches or samples in a call that are only padding.
        flops: achieved, a second, inside the calls; padding counts as work. None where they cannot be counted.
        peak_share: of `flops` in the peak; None where the measurement does not say.
        over: `rate`, over that of other ways to compute the same, each measured in turns with it.
    """

    items: int
    rate: float
    fill: float
    padding: float
    flops: float | None
    peak_share: float | None
    over: dict[str, float]


@dataclass
class RecordingSession:
    """A session that notes what it is given and how long it takes."""

    session: Any
    calls: list[Inputs] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def buckets(self) -> Buckets:
        """Of the session."""
        return buckets_of(self.session)

    def run(self, outputs: Sequence[str], inputs: Inputs) -> Any:
        """Of the session."""
        self.calls.append(inputs)
        start = time.perf_counter()
        try:
            return self.session.run(outputs, inputs)
        finally:
            self.seconds += time.perf_counter() - start


class FlopCounter:
    """Operations of calls of a graph, counted once for each width on one row: they grow with the rows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[tuple[Any, ...], int | None] = {}

    def of(self, call: Inputs, rows: int) -> int | None:
        """Of a call of so many rows; None where the graph does not run on the CPU, as in bfloat16."""
        shape = tuple((name, values.shape[1:]) for name, values in call.items())
        if shape not in self._known:
            try:
                self._known[shape] = count_flops(self._path, {name: values[:1] for name, values in call.items()})
            except Exception:  # noqa: BLE001  # onnxruntime's own classes
                self._known[shape] = None
        one = self._known[shape]
        return None if one is None else one * rows


def plain_session(path: Path, providers: Sequence[Any], threads: int, variant: str = "fp32") -> Any:
    """What onnxruntime opens when nothing is set but the number of threads."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(
        str(path), options, providers=list(providers), disabled_optimizers=left_out(variant)
    )


def plain_run(session: Any) -> Contender:
    """One call of a plain session."""
    return lambda inputs: session.run([OUTPUT], inputs)


def measure_rate(
    encoder: Encoder,
    recording: RecordingSession,
    counter: FlopCounter,
    items: Sequence[Any],
    *,
    seconds: float,
    peak: Peak | None,
    whole: Mapping[str, Contender],
    by_call: Mapping[str, Contender],
) -> Rate:
    """Measure one batch of items, over and over, in turns with others and with the peak.

    Args:
        encoder: around `recording`.
        counter: of its graph's operations.
        seconds: for each of those that take turns.
        peak: of the device; its rounds add up over calls.
        whole: by name, others that get the batch as one call, padded to the widest.
        by_call: by name, others that get the calls that the encoder makes.
    """
    encoder.embed(items)
    recording.calls.clear()
    encoder.embed(items)
    calls = list(recording.calls)
    joined = together(calls)
    works: dict[str, Callable[[], object]] = {"": lambda: encoder.embed(items)}
    works |= {name: (lambda other=other: other(joined)) for name, other in whole.items()}  # type: ignore[misc]
    works |= {name: (lambda other=other: [other(call) for call in calls]) for name, other in by_call.items()}  # type: ignore[misc]
    best, inside = _in_turns(works, recording, peak, seconds)
    rows = [len(next(iter(call.values()))) for call in calls]
    sizes = [size_for(count, recording.buckets) for count in rows]
    counted = [counter.of(call, size) for call, size in zip(calls, sizes, strict=True)]
    known = [one for one in counted if one is not None]
    flops = sum(known) / inside if len(known) == len(calls) else None
    most = sizes if recording.buckets.fixed else [recording.buckets.rows[-1]] * len(rows)
    return Rate(
        items=len(items),
        rate=len(items) / best[""],
        fill=sum(rows) / sum(most),
        padding=padding_of(calls),
        flops=flops,
        peak_share=None if flops is None or peak is None else peak.share(flops),
        over={name: spent / best[""] for name, spent in best.items() if name},
    )


def _in_turns(
    works: Mapping[str, Callable[[], object]], recording: RecordingSession, peak: Peak | None, seconds: float
) -> tuple[dict[str, float], float]:
    """The shortest time of each, and how much of that of the first was spent in the session."""
    best, inside = dict.fromkeys(works, float("inf")), 0.0
    for work in works.values():
        work()  # what is made at the first call does not count
    begun, rounds = time.perf_counter(), 0
    while rounds < ROUNDS or time.perf_counter() - begun < seconds * len(works):
        for name, work in works.items():
            before, start = recording.seconds, time.perf_counter()
            work()
            spent = time.perf_counter() - start
            if spent < best[name]:
                best[name] = spent
                inside = recording.seconds - before if name == "" else inside
        if peak is not None:
            peak.measure()
        recording.calls.clear()
        rounds += 1
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
