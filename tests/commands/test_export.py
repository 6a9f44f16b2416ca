"""`shoal export`: what is wrong is one line."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from consumers.cli import main
from consumers.commands.export import ServedFiles
from models.manifest import AudioInput, ImageInput
from tests.steps.media_files import sound_file

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def failing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The last line of a command that fails, run in this process: torch is slow to import."""
    monkeypatch.setattr(sys, "argv", ["shoal", *words])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1
    return capsys.readouterr().err.splitlines()[-1]


def test_an_unknown_architecture_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    (tmp_path / "model.safetensors").write_bytes(b"")
    line = failing(monkeypatch, capsys, "export", "text", str(tmp_path), str(tmp_path / "out"))
    assert line.startswith("shoal: ")
    assert "Known for text: albert, bert" in line
    assert not (tmp_path / "out").exists()


def test_an_unknown_variant_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = failing(monkeypatch, capsys, "export", "image", "x", str(tmp_path / "out"), "--variant", "fp8")
    assert "fp8" in line


def test_a_recipe_that_is_not_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "No such file" in failing(monkeypatch, capsys, "export", "bundle", str(tmp_path / "recipe.toml"))


def test_a_sample_that_cannot_be_read_is_the_users_mistake() -> None:
    from models.export.checkpoint import ExportError

    with pytest.raises(ExportError, match="a sample image of 3 bytes cannot be used"):
        ServedFiles().image(b"GIF", ImageInput(size=8))
    silence = sound_file(np.zeros(8_000, dtype=np.float32), "WAV")
    with pytest.raises(ExportError, match="cannot be used: nothing to hear"):
        ServedFiles().audio(silence, AudioInput(rate=8_000, window=8_000, max_windows=2))


def test_recordings_that_are_only_sampled_are_not_compared() -> None:
    from models.export.measure import comparable

    form = AudioInput(rate=16_000, window=16_000, max_windows=2)
    short, long = (sound_file(np.ones(seconds * 16_000, dtype=np.float32), "WAV", 16_000) for seconds in (3, 4))
    assert comparable(form, [short, long]) == [short]
    assert comparable(ImageInput(size=8), [short, long]) == [short, long]
