from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.encoders.batches import run_rows
from models.encoders.buckets import CPU_BUCKETS, GPU_BUCKETS, Buckets

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Doubling:
    def __init__(self, buckets: Buckets) -> None:
        self.buckets = buckets
        self.calls: list[int] = []

    def run(self, _names: list[str], inputs: dict[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        self.calls.append(len(inputs["x"]))
        return [inputs["x"] * 2]


@pytest.mark.parametrize("buckets", [CPU_BUCKETS, GPU_BUCKETS, Buckets((3, 7), fixed=True)])
@pytest.mark.parametrize("count", [1, 16, 17, 383])
def test_rows_come_back_in_order_from_calls_of_bounded_size(count: int, buckets: Buckets) -> None:
    session = Doubling(buckets)
    rows = np.arange(count * 2, dtype=np.float32).reshape(count, 2)
    assert np.array_equal(run_rows(session, {"x": rows}), rows * 2)
    assert max(session.calls) <= buckets.rows[-1]


def test_a_session_without_buckets_is_called_as_a_cpu_wants() -> None:
    session = Doubling(CPU_BUCKETS)
    del session.buckets
    run_rows(session, {"x": np.zeros((40, 1), np.float32)})
    assert session.calls == [16, 16, 8]


def test_half_precision_comes_back_as_float32() -> None:
    class Half:
        def run(self, *_: object) -> list[NDArray[np.float16]]:
            return [np.ones((1, 2), dtype=np.float16)]

    assert run_rows(Half(), {"x": np.zeros((1, 2))}).dtype == np.float32
