"""A bundle as the command shows it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from consumers.shown.bundle import describe_bundle
from models.manifest import BundleError
from tests.bundles import write_tiny_bundle

if TYPE_CHECKING:
    from pathlib import Path


def test_a_description_says_what_the_manifest_says(tmp_path: Path) -> None:
    manifest = write_tiny_bundle(tmp_path)
    found = describe_bundle(str(tmp_path))
    assert found["bundle"] == manifest.bundle_id
    assert list(found["modalities"]) == ["text", "image", "audio"]
    assert found["thresholds"]["join"] == manifest.thresholds.join
    assert json.loads(json.dumps(found)) == found


def test_a_bundle_that_is_not_there_is_named() -> None:
    with pytest.raises(BundleError, match="nowhere"):
        describe_bundle("nowhere")
