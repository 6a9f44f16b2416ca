"""The wheel that is built from the tree is whole: it runs where the tree is not."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.servers import ROOT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what the wheel holds, and nothing else."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder / "dist"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    [wheel] = (folder / "dist").glob("shoal-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def shoal(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as the wheel has it, from an empty folder."""
    program = "import sys; sys.path.insert(0, sys.argv.pop(1)); from consumers.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-P", "-c", program, installed, *arguments],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith(("SHOAL_", "PYTHON"))}
        | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def test_the_wheel_holds_the_code_and_the_default_bundle_and_no_more(installed: Path) -> None:
    assert {path.name for path in installed.iterdir()} - {"consumers", "models"} == {"shoal-0.1.0.dist-info"}
    shipped = installed / "consumers" / "shipped" / "compact"
    assert {path.name for path in shipped.iterdir()} == {path.name for path in (ROOT / "onnx" / "compact").iterdir()}
    assert (installed / "models" / "synthetic" / "posts.py").exists()
    assert list((installed / "consumers" / "state" / "scripts").glob("*.lua"))


def test_everybody_may_read_what_the_wheel_holds(installed: Path) -> None:
    """The image's user is not the one that installs it."""
    [wheel] = (installed.parent / "dist").glob("shoal-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        modes = {file.filename: file.external_attr >> 16 for file in archive.infolist()}
    assert [name for name, mode in modes.items() if mode & 0o444 != 0o444] == []


def test_the_bundle_of_the_wheel_verifies_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    done = shoal(installed, tmp_path, "bundle", "verify")
    assert done.returncode == 0, done.stderr
    assert "image.onnx" in done.stdout


def test_the_wheel_runs_the_main_job_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    done = shoal(installed, tmp_path, "demo", "--posts", "240", "--plain")
    assert "240 sent, 240 decided" in done.stdout, done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []
