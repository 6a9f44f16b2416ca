"""`shoal train` and `shoal calibrate`: which command is meant, and what is wrong in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.command import assert_one_line, shoal

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_after_train_means_a_whole_bundle(tmp_path: Path) -> None:
    result = shoal("train", str(tmp_path / "new"), "--minutes", "0.5")
    assert result.returncode == 2
    assert "shoal train whole" in result.stderr
    assert "--minutes" in result.stderr
    assert "shoal train whole" in shoal("train", "--seed", "x", str(tmp_path)).stderr


def test_a_device_that_is_none_is_one_line(tmp_path: Path) -> None:
    for command in (("whole",), ("heads",)):
        data = () if command == ("whole",) else ("--data", str(tmp_path))
        result = shoal("train", *command, str(tmp_path / "new"), *data, "--device", "tpu")
        assert_one_line(result, 2, "--device" if command == ("whole",) else "train heads", "tpu")


def test_posts_that_are_not_there_are_one_line(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nowhere.jsonl")
    assert_one_line(shoal("train", "heads", str(tmp_path / "new"), "--data", nowhere), 2, nowhere, "no such file")


def test_the_bundle_that_comes_with_shoal_is_not_changed(tmp_path: Path) -> None:
    result = shoal("calibrate", "compact", "--data", str(tmp_path))
    assert_one_line(result, 1, "compact", "--output")
