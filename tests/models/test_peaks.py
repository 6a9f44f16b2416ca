"""A peak is told only where the measurement supports it, and its product is a real one."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from models.peaks import Peak, cpu_peak, graph_peak, peak_for, product_graph
from models.providers import CPU


def with_rounds(*seconds: float) -> Peak:
    return Peak("given", 100.0, lambda: None, list(seconds))


def test_the_best_of_steady_rounds_is_the_peak() -> None:
    assert with_rounds(1.0, 1.1, 1.2).best == 100.0
    assert with_rounds(1.0, 1.1, 1.2).share(50.0) == pytest.approx(0.5)


@pytest.mark.parametrize("rounds", [(), (1.0, 1.0), (1.0, 1.9, 2.0)])
def test_few_rounds_and_rounds_that_differ_say_nothing(rounds: tuple[float, ...]) -> None:
    assert with_rounds(*rounds).best is None
    assert with_rounds(*rounds).share(50.0) is None


def test_more_than_the_peak_means_that_it_was_not_the_peak() -> None:
    assert with_rounds(1.0, 1.0, 1.0).share(101.0) is None


def test_int8_has_no_such_product() -> None:
    assert peak_for([CPU], "int8", 1) is None


def test_the_processors_product_takes_its_time() -> None:
    peak = cpu_peak(1, size=64)
    peak.measure()
    assert peak.rounds[0] > 0
    assert peak.operations == 2 * 64**3


@pytest.mark.parametrize("variant", ["fp32", "fp16"])
@pytest.mark.parametrize("chain", [1, 3])
def test_the_graph_written_by_hand_multiplies(variant: str, chain: int) -> None:
    session = onnxruntime.InferenceSession(product_graph(200, variant, chain), providers=[CPU])
    one = np.random.default_rng(0).standard_normal((200, 200), dtype=np.float32) / np.float32(15)
    expected = one
    for _ in range(chain):
        expected = expected @ one
    found = session.run(["result"], {"first": one, "second": one})[0]
    assert np.abs(found - expected).max() < (1e-4 if variant == "fp32" else 0.05)


def test_the_product_in_a_graph_runs_without_torch() -> None:
    peak = graph_peak([CPU], "fp32", size=64, chain=2, device="cpu")
    for _ in range(3):
        peak.measure()
    assert peak.operations == 2 * 64**3 * 2
    assert min(peak.rounds) > 0
