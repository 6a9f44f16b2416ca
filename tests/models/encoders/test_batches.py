from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.encoders.batches import MOST_ROWS, run_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Doubling:
    def __init__(self) -> None:
        self.calls: list[int] = []

    def run(self, _names: list[str], inputs: dict[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        self.calls.append(len(inputs["x"]))
        return [inputs["x"] * 2]


@pytest.mark.parametrize("count", [1, MOST_ROWS, MOST_ROWS + 1, 3 * MOST_ROWS - 1])
def test_rows_come_back_in_order_from_calls_of_bounded_size(count: int) -> None:
    session = Doubling()
    rows = np.arange(count * 2, dtype=np.float32).reshape(count, 2)
    assert np.array_equal(run_rows(session, {"x": rows}), rows * 2)
    assert max(session.calls) <= MOST_ROWS
    assert len(session.calls) == -(-count // MOST_ROWS)


def test_half_precision_comes_back_as_float32() -> None:
    class Half:
        def run(self, *_: object) -> list[NDArray[np.float16]]:
            return [np.ones((1, 2), dtype=np.float16)]

    assert run_rows(Half(), {"x": np.zeros((1, 2))}).dtype == np.float32
