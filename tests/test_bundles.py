from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from consumers import bundles
from consumers.bundles import find_bundle
from models.manifest import BundleError
from tests.bundles import write_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_is_found_by_its_path(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path, ("text",))
    assert find_bundle(str(tmp_path)) == tmp_path


def test_a_shipped_bundle_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny_bundle(tmp_path / "tiny", ("text",))
    monkeypatch.setattr(bundles, "_SHIPPED", (tmp_path / "absent", tmp_path))
    assert find_bundle("tiny") == tmp_path / "tiny"


def test_an_unknown_name_is_answered_with_the_known_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny_bundle(tmp_path / "tiny", ("text",))
    monkeypatch.setattr(bundles, "_SHIPPED", (tmp_path,))
    with pytest.raises(BundleError, match=r"'nothing'.*tiny"):
        find_bundle("nothing")


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json"):
        find_bundle(str(tmp_path))
