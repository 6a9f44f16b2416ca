from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.encoders.batches import CPU_ROWS, GPU_ROWS, run_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Doubling:
    def __init__(self, provider: str) -> None:
        self.provider = provider
        self.calls: list[int] = []

    def get_providers(self) -> list[str]:
        return [self.provider]

    def run(self, _names: list[str], inputs: dict[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        self.calls.append(len(inputs["x"]))
        return [inputs["x"] * 2]


@pytest.mark.parametrize(
    ("provider", "most"), [("CPUExecutionProvider", CPU_ROWS), ("CUDAExecutionProvider", GPU_ROWS)]
)
@pytest.mark.parametrize("count", [1, CPU_ROWS, CPU_ROWS + 1, 3 * GPU_ROWS - 1])
def test_rows_come_back_in_order_from_calls_of_bounded_size(count: int, provider: str, most: int) -> None:
    session = Doubling(provider)
    rows = np.arange(count * 2, dtype=np.float32).reshape(count, 2)
    assert np.array_equal(run_rows(session, {"x": rows}), rows * 2)
    assert max(session.calls) <= most
    assert len(session.calls) == -(-count // most)


def test_half_precision_comes_back_as_float32() -> None:
    class Half:
        def get_providers(self) -> list[str]:
            return ["CPUExecutionProvider"]

        def run(self, *_: object) -> list[NDArray[np.float16]]:
            return [np.ones((1, 2), dtype=np.float16)]

    assert run_rows(Half(), {"x": np.zeros((1, 2))}).dtype == np.float32
