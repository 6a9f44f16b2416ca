"""The rates of a bundle's encoders, and what they are measured by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from consumers.options import settings_from
from consumers.shown.bench import Bench, encoder_rows
from models.encoder_rates import padding_of, together

if TYPE_CHECKING:
    from pathlib import Path


def test_every_encoder_is_measured_at_every_batch_size() -> None:
    settings = settings_from(None, ["encode.provider=cpu", "encode.intra_op_threads=1"])
    *rows, alone, four = encoder_rows(settings, Bench((1, 4), 0.0))
    assert [(row["encoder"], row["batch"]) for row in rows] == [
        (name, size) for name in ("text", "image", "audio") for size in (1, 4)
    ]
    assert [(row["encoder"], row["batch"]) for row in (alone, four)] == [("posts", 1), ("posts", 4)]
    for row in (*rows, alone, four):
        assert row["items/s"] > 0
    for row in rows:
        assert row["provider"] == "CPU"
        assert row["variant"] == "fp32"
        assert row["GFLOP/s"] > 0
        assert row["of peak"] is None or 0 < row["of peak"] <= 1
        assert row["over plain"] > 0
        assert row["over torch"] is None
        assert 0 < row["fill"] <= 1
        assert 0 <= row["padding"] < 1


@pytest.mark.torch
def test_a_reference_bundle_is_measured_beside_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiler is left out: it takes a minute, and a name that runs and one that fails will do."""
    torch = pytest.importorskip("torch")
    compiled: list[object] = []

    def compiler(module: object, *, dynamic: bool) -> object:
        assert not dynamic
        compiled.append(module)
        if len(compiled) == 2:
            raise RuntimeError("no compiler here\nand more")
        return module

    monkeypatch.setattr(torch, "compile", compiler)
    from consumers.commands.export import ServedFiles
    from models.export.reference import write_reference

    said: list[str] = []
    folder, checkpoints = write_reference(
        tmp_path, "tiny", gpu_variant=None, plain_attention=False, read=ServedFiles(), say=said.append
    )
    given = ["encode.provider=cpu", "encode.intra_op_threads=1", f"bundle={folder}"]
    rows = list(encoder_rows(settings_from(None, given), Bench((3,), 0.0, checkpoints, said.append)))
    assert [row["encoder"] for row in rows] == ["text", "image", "audio", "posts"]
    for row in rows[:-1]:
        assert row["over torch"] > 0, said
        assert row["GFLOP/s"] > 0
    assert [row["over compiled"] is None for row in rows[:-1]] == [False, True, False]
    assert said[-1] == "image: compiled does not run here: no compiler here"


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
