"""The script for a GPU runs from end to end, here on the CPU and with tiny encoders."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from tests.benchmarks.gpu import main  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

TINY = ["--size", "tiny", "--provider", "cpu", "--batches", "3", "--seconds", "0"]


def test_everything_is_measured_proven_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda module, **_: module)  # the compiler itself takes a minute
    file = tmp_path / "found" / "gpu.json"
    assert main([*TINY, "--folder", str(tmp_path), "--json", str(file)]) == 0
    found = json.loads(file.read_text())
    assert [row["encoder"] for row in found["rows"]] == ["text", "image", "audio", "posts"]
    for name in ("text", "image", "audio"):
        told = found["proof"]["fp32, buffers"][name]
        assert told["provider"] == "CPUExecutionProvider"
        assert told["operators"]["CPUExecutionProvider"] > 0
    assert all(row["over torch"] > 0 for row in found["rows"][:-1])


def test_what_there_is_no_time_for_is_named(tmp_path: Path) -> None:
    file = tmp_path / "gpu.json"
    assert main([*TINY, "--budget", "0", "--folder", str(tmp_path), "--json", str(file)]) == 1
    assert json.loads(file.read_text())["left_out"] == ["fp32"]
