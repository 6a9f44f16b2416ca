"""What a device can do at most, as far as it can be measured: a large matrix product."""

from __future__ import annotations

import importlib.util
import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from threadpoolctl import threadpool_limits

from models.providers import CPU

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LEAST_ROUNDS = 3
STEADY = 1.5
"""Where the median round takes longer than the best by this factor, the device had other work."""

CPU_SIZE, GPU_SIZE, GPU_CHAIN = 1024, 8192, 8
FLOAT, FLOAT16, BFLOAT16 = 1, 10, 16
_ONNX_TYPES = {"fp32": FLOAT, "fp16": FLOAT16, "bf16": BFLOAT16}


@dataclass
class Peak:
    """A product that is run beside what is measured, in turns with it.

    Attributes:
        how: in words.
        operations: floating-point operations of a round.
        work: does a round.
        rounds: seconds of those done.
    """

    how: str
    operations: float
    work: Callable[[], object]
    rounds: list[float] = field(default_factory=list)

    def measure(self) -> None:
        """Do a round."""
        start = time.perf_counter()
        self.work()
        self.rounds.append(time.perf_counter() - start)

    @property
    def best(self) -> float | None:
        """Operations a second; None where the rounds are too few or differ too much to say."""
        if len(self.rounds) < LEAST_ROUNDS or statistics.median(self.rounds) > STEADY * min(self.rounds):
            return None
        return self.operations / min(self.rounds)

    def share(self, achieved: float) -> float | None:
        """Of operations a second in the best; None where that is not known, or plainly was not the peak."""
        best = self.best
        return None if best is None or achieved > best else achieved / best


def peak_for(providers: Sequence[Any], variant: str, threads: int) -> Peak | None:
    """The product for graphs of a variant on the first of these providers; None for int8, which has no such product.

    Args:
        threads: of the processor; 0 takes as many as it has cores.
    """
    if variant not in _ONNX_TYPES:
        return None
    if list(providers) == [CPU]:
        return cpu_peak(threads)
    if importlib.util.find_spec("torch") is not None:
        import torch  # noqa: PLC0415  # not there where Shoal only runs

        if torch.cuda.is_available():
            return _torch_peak(torch, variant)
    return graph_peak([one for one in providers if one != CPU], variant)


def cpu_peak(threads: int, size: int = CPU_SIZE) -> Peak:
    """A product of float32 by the library of numpy."""
    one = np.random.default_rng(0).standard_normal((size, size), dtype=np.float32)

    def work() -> None:
        with threadpool_limits(threads or None, "blas"):
            one @ one

    return Peak(f"numpy, {size} x {size}", 2.0 * size**3, work)


def _torch_peak(torch: Any, variant: str, size: int = GPU_SIZE) -> Peak:
    """Products in the variant's type; those of float32 in TF32, as onnxruntime does them."""
    torch.backends.cuda.matmul.allow_tf32 = True
    kind = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[variant]
    one = torch.randn(size, size, device="cuda", dtype=kind)

    def work() -> None:
        for _ in range(GPU_CHAIN):
            one @ one
        torch.cuda.synchronize()

    return Peak(f"torch, {variant}, {size} x {size}", 2.0 * size**3 * GPU_CHAIN, work)


def graph_peak(
    providers: Sequence[Any], variant: str, size: int = GPU_SIZE, chain: int = GPU_CHAIN, device: str = "cuda"
) -> Peak:
    """Products in a graph of onnxruntime, one behind the other, without copies from or to the host."""
    options = onnxruntime.SessionOptions()
    # nothing may be merged, and no product be done once for all
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(product_graph(size, variant, chain), options, providers=list(providers))
    drawn = np.random.default_rng(0).standard_normal((size, size), dtype=np.float32) / np.sqrt(np.float32(size))
    given = onnxruntime.OrtValue.ortvalue_from_numpy(drawn, device, 0)
    binding = session.io_binding()
    binding.bind_ortvalue_input("first", given)
    binding.bind_ortvalue_input("second", given)
    binding.bind_output("result", device)
    how = f"onnxruntime, {variant}, {size} x {size}"
    return Peak(how, 2.0 * size**3 * chain, lambda: session.run_with_iobinding(binding))


def product_graph(size: int, variant: str, chain: int) -> bytes:
    """An ONNX model: `first` (size, size) float32, `chain` times multiplied with `second`, gives `result`.

    Written by hand, as protobuf has it (onnx.proto3): the onnx package is not there where Shoal only runs.
    """
    kind = _ONNX_TYPES[variant]
    nodes = [_node("Cast", [name], f"{name}.0", kind) for name in ("first", "second")]
    nodes += [_node("MatMul", [f"first.{place}", "second.0"], f"first.{place + 1}") for place in range(chain)]
    nodes.append(_node("Cast", [f"first.{chain}"], "result", FLOAT))
    side = _message(1, _number(1, size))
    form = _message(2, _message(1, _number(1, FLOAT) + _message(2, side + side)))
    values = {name: _text(1, name) + form for name in ("first", "second", "result")}
    graph = b"".join(_message(1, node) for node in nodes) + _text(2, "product")
    graph += _message(11, values["first"]) + _message(11, values["second"]) + _message(12, values["result"])
    return _number(1, 8) + _message(7, graph) + _message(8, _number(2, 17))


def _node(operator: str, inputs: Sequence[str], output: str, kind: int | None = None) -> bytes:
    """NodeProto; with `kind`, the attribute `to` of a Cast."""
    made = b"".join(_text(1, name) for name in inputs) + _text(2, output) + _text(3, output) + _text(4, operator)
    if kind is not None:
        made += _message(5, _text(1, "to") + _number(3, kind) + _number(20, 2))
    return made


def _number(place: int, value: int) -> bytes:
    return _varint(place << 3) + _varint(value)


def _message(place: int, content: bytes) -> bytes:
    return _varint(place << 3 | 2) + _varint(len(content)) + content


def _text(place: int, value: str) -> bytes:
    return _message(place, value.encode())


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])
