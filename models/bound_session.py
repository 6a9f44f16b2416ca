"""A session with fixed buffers on its device, owned by one thread."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from models.encoders.buckets import size_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from models.encoders.buckets import Buckets

GRAPH = "gpu_graph_id"
NO_GRAPH = "-1"
"""A run with this id is neither captured nor replayed."""


@dataclass(frozen=True, slots=True)
class _Bound:
    """One shape of calls: its buffers, which stay at their addresses, and how it is run.

    Attributes:
        inputs, outputs: by name, on the device.
        filled: by name, where rows are put together on the host before they are copied.
    """

    binding: Any
    options: Any
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    filled: dict[str, NDArray[Any]]


class BoundSession:
    """Runs a session like its own `run`, through buffers that are made once for each shape.

    Calls may come from any thread; one thread of this object alone talks to the session, as CUDA graphs need, which
    onnxruntime keeps for each thread apart.

    Args:
        session: an onnxruntime InferenceSession.
        device: where its buffers are: `cuda` or `cpu`.
        buckets: the shapes of its calls.
        graphs: whether each shape is captured as a CUDA graph; the session must have been opened for that.
    """

    def __init__(self, session: Any, device: str, buckets: Buckets, *, graphs: bool = False) -> None:
        self.buckets = buckets
        self._session = session
        self._device = device
        self._graphs = graphs
        self._bound: dict[tuple[Any, ...], _Bound] = {}
        self._owner = ThreadPoolExecutor(1, thread_name_prefix="device")

    @property
    def shapes(self) -> int:
        """How many shapes of calls have buffers."""
        return len(self._bound)

    def get_providers(self) -> list[str]:
        """Of the session."""
        providers: list[str] = self._session.get_providers()
        return providers

    def get_provider_graph_assignment_info(self) -> Any:
        """Of the session."""
        return self._session.get_provider_graph_assignment_info()

    def run(self, outputs: Sequence[str], inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """The outputs called so, of inputs with one row an item, at most as many as the largest bucket holds."""
        return self._owner.submit(self._run, tuple(outputs), inputs).result()

    def _run(self, outputs: tuple[str, ...], inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        count = len(next(iter(inputs.values())))
        size = size_for(count, self.buckets)
        shape = (outputs, size, *((name, rows.shape[1:]) for name, rows in inputs.items()))
        bound = self._bound.get(shape)
        if bound is None:
            bound = self._bound[shape] = self._bind(outputs, inputs, size)
        for name, rows in inputs.items():
            bound.inputs[name].update_inplace(_filled(rows, bound.filled[name]))
        self._session.run_with_iobinding(bound.binding, bound.options)
        # on a CPU `numpy` may be the buffer itself, which the next call writes
        return [np.array(bound.outputs[name].numpy()[:count]) for name in outputs]

    def _bind(self, outputs: tuple[str, ...], inputs: Mapping[str, NDArray[Any]], size: int) -> _Bound:
        """Buffers for one shape; a run without a graph tells what the outputs are like."""
        filled = {name: np.empty((size, *rows.shape[1:]), rows.dtype) for name, rows in inputs.items()}
        given = {name: self._buffer(rows) for name, rows in filled.items()}
        binding = self._session.io_binding()
        for name, rows in inputs.items():
            given[name].update_inplace(_filled(rows, filled[name]))
            binding.bind_ortvalue_input(name, given[name])
        for name in outputs:
            binding.bind_output(name, "cpu")
        self._session.run_with_iobinding(binding, self._options(NO_GRAPH))
        made = dict(zip(outputs, map(self._buffer, binding.copy_outputs_to_cpu()), strict=True))
        binding.clear_binding_outputs()
        for name, value in made.items():
            binding.bind_ortvalue_output(name, value)
        # 0 is onnxruntime's own
        return _Bound(binding, self._options(str(len(self._bound) + 1)), given, made, filled)

    def _buffer(self, like: NDArray[Any]) -> Any:
        made = onnxruntime.OrtValue.ortvalue_from_shape_and_type
        return made(list(like.shape), like.dtype.type, self._device, 0)

    def _options(self, graph: str) -> Any:
        options = onnxruntime.RunOptions()
        if self._graphs:
            options.add_run_config_entry(GRAPH, graph)
        return options


def _filled(rows: NDArray[Any], buffer: NDArray[Any]) -> NDArray[Any]:
    """The rows as they are where they fill the buffer, else in it, with the last one repeated behind them."""
    if rows.shape == buffer.shape and rows.dtype == buffer.dtype:
        return rows
    buffer[: len(rows)] = rows
    buffer[len(rows) :] = rows[-1]
    return buffer
