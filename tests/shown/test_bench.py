"""The rates of a bundle's encoders, and what they are measured by."""

from __future__ import annotations

import numpy as np
import pytest

from consumers.options import settings_from
from consumers.shown.bench import encoder_rows
from models.encoder_rates import padding_of, together


def test_every_encoder_is_measured_at_every_batch_size() -> None:
    settings = settings_from(None, ["encode.provider=cpu", "encode.intra_op_threads=1"])
    rows = list(encoder_rows(settings, (1, 4), seconds=0.0))
    assert [(row["encoder"], row["batch"]) for row in rows] == [
        (name, size) for name in ("text", "image", "audio") for size in (1, 4)
    ]
    for row in rows:
        assert row["provider"] == "CPU"
        assert row["items/s"] > 0
        assert row["GFLOP/s"] > 0
        assert row["of peak"] > 0
        assert row["over plain"] > 0
        assert 0 < row["fill"] <= 1
        assert 0 <= row["padding"] < 1


def test_padding_is_what_says_nothing() -> None:
    tokens = {"input_ids": np.ones((2, 4), np.int64), "attention_mask": np.array([[1, 1, 0, 0], [1, 1, 1, 1]])}
    assert padding_of([tokens]) == pytest.approx(0.25)
    patches = {"pixels": np.zeros((1, 8, 3), np.uint8), "shapes": np.array([[2, 3]])}
    assert padding_of([patches]) == pytest.approx(0.25)
    windows = {"waveform": np.zeros((2, 10), np.float32), "samples": np.array([5, 10])}
    assert padding_of([windows]) == pytest.approx(0.25)
    assert padding_of([{"vector": np.zeros((3, 4), np.float32)}]) == 0


def test_calls_are_put_together_padded_to_the_widest() -> None:
    whole = together([{"a": np.ones((2, 3))}, {"a": np.ones((1, 5))}])
    assert whole["a"].shape == (3, 5)
    assert whole["a"].sum() == 2 * 3 + 5
