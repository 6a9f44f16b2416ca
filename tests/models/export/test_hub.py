"""Checkpoints by their Hugging Face id, from a server on this machine that speaks as the Hub does."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from tests.command import shoal  # noqa: E402
from tests.models.export.checkpoints import make  # noqa: E402
from tests.models.export.hub import COMMIT, NAME, hub  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path


def test_an_id_with_its_revision_becomes_a_bundle_and_is_fetched_once(tmp_path: Path) -> None:
    checkpoint = make("vit", tmp_path)
    (checkpoint / "pytorch_model.bin").write_bytes(b"may run code")
    home = str(tmp_path / "home")
    output = tmp_path / "mine"
    with hub(checkpoint) as (address, asked):
        given = {"HF_ENDPOINT": address, "HF_HOME": home, "OMP_NUM_THREADS": "1"}
        found = shoal("export", "image", f"{NAME}@second", str(output), "--json", **given)
        assert found.returncode == 0, found.stderr
        assert not any("pytorch_model.bin" in line for line in asked)
    told = json.loads(found.stdout)["exports"]["image"]
    assert told["checkpoint"] == f"{NAME}@{COMMIT}"
    assert told["parity"] < 1e-5
    # the server is gone: what was fetched is taken from the cache
    again = shoal("export", "image", f"{NAME}@second", str(output), "--json", **given)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["bundle"] == json.loads(found.stdout)["bundle"]


def test_a_revision_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    with hub(tmp_path / "checkpoint") as (address, _):
        given = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home")}
        found = shoal("export", "image", f"{NAME}@gone", str(tmp_path / "mine"), **given)
    said = _last(found.stderr)
    assert found.returncode == 1
    assert f"checkpoint {NAME!r}" in said
    assert "Hugging Face does not give it" in said


@pytest.mark.parametrize("offline", [{}, {"HF_HUB_OFFLINE": "1"}])
def test_no_way_to_the_hub_is_one_clear_line(tmp_path: Path, offline: dict[str, str]) -> None:
    given = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "home"), **offline}
    found = shoal("export", "image", NAME, str(tmp_path / "mine"), **given)
    said = _last(found.stderr)
    assert found.returncode == 1
    assert "no such folder here, and Hugging Face does not give it" in said
    assert "Traceback" not in found.stderr
    assert not (tmp_path / "mine").exists()


def _last(said: str) -> str:
    return said.strip().splitlines()[-1]
