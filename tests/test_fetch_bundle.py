"""A bundle out of a store, whole or not at all."""

from __future__ import annotations

from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest

from consumers.fetch_bundle import fetch_bundle
from consumers.settings import BundleStore, SettingsError
from models.bundle import open_bundle
from models.manifest import FILE_NAME, BundleError, sha256_of
from tests.bundles import unreadable, write_tiny_bundle
from tests.http_server import Response, http_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.http_server import Request


class Stored:
    """A bundle in a store, as it was put there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bundle_id = write_tiny_bundle(folder, ("text",)).bundle_id
        self.sha256 = sha256_of(folder / FILE_NAME)
        self.address = f"file://{folder}/"

    def fetch(self, target: Path, *, bundle_id: str | None = None, sha256: str | None = None) -> bool:
        return fetch_bundle(
            self.address, target, BundleStore(), bundle_id=bundle_id or self.bundle_id, manifest_sha256=sha256
        )


@pytest.fixture
def stored(tmp_path: Path) -> Stored:
    return Stored(tmp_path / "store" / "tiny")


def refused(
    stored: Stored, target: Path, reason: str, *, bundle_id: str | None = None, sha256: str | None = None
) -> None:
    """The bundle is refused for this reason, and nothing of it is left."""
    with pytest.raises(BundleError, match=reason):
        stored.fetch(target, bundle_id=bundle_id, sha256=sha256)
    assert not target.exists() or not list(target.iterdir())
    assert [path for path in target.parent.iterdir() if path != target] == []


def test_a_fetched_bundle_opens_and_others_may_read_it(stored: Stored, tmp_path: Path) -> None:
    target = tmp_path / "volume" / "tiny"
    assert stored.fetch(target, sha256=stored.sha256)
    assert open_bundle(target, provider="cpu").bundle_id == stored.bundle_id
    assert unreadable(target) == set()
    assert target.stat().st_mode & 0o777 == 0o755
    assert list(target.parent.iterdir()) == [target]


def test_a_bundle_that_is_there_already_is_not_fetched_again(stored: Stored, tmp_path: Path) -> None:
    target = tmp_path / "volume" / "tiny"
    target.mkdir(parents=True)
    assert stored.fetch(target)
    (stored.folder / FILE_NAME).unlink()
    assert not stored.fetch(target, sha256=stored.sha256)


def test_a_bundle_comes_over_http(stored: Stored, tmp_path: Path, served: str) -> None:
    target = tmp_path / "volume" / "tiny"
    assert fetch_bundle(
        f"{served}/store/tiny",
        target,
        BundleStore(options={f"{served}/store/tiny": {"allow_http": "true"}}),
        bundle_id=stored.bundle_id,
        manifest_sha256=stored.sha256,
    )
    assert {path.name for path in target.iterdir()} == {path.name for path in stored.folder.iterdir()}


def test_a_changed_file_is_refused(stored: Stored, tmp_path: Path) -> None:
    graph = stored.folder / "text.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"!")
    refused(stored, tmp_path / "volume" / "tiny", "text.onnx: not what the manifest says")


def test_another_bundle_is_refused(stored: Stored, tmp_path: Path) -> None:
    refused(stored, tmp_path / "volume" / "tiny", "wanted tiny-00000000", bundle_id="tiny-00000000")


def test_a_manifest_with_other_thresholds_is_refused_by_its_digest(stored: Stored, tmp_path: Path) -> None:
    manifest = stored.folder / FILE_NAME
    manifest.write_text(manifest.read_text().replace('"join": 0.75', '"join": 0.05'))
    assert stored.fetch(tmp_path / "elsewhere" / "tiny")
    refused(stored, tmp_path / "volume" / "tiny", "manifest.json has the sha256", sha256=stored.sha256)


def test_a_missing_file_is_named(stored: Stored, tmp_path: Path) -> None:
    (stored.folder / "quantizer.safetensors").unlink()
    refused(stored, tmp_path / "volume" / "tiny", "quantizer.safetensors")


def test_a_file_outside_of_the_bundle_is_refused(stored: Stored, tmp_path: Path) -> None:
    manifest = stored.folder / FILE_NAME
    manifest.write_text(manifest.read_text().replace('"quantizer.safetensors": ', '"../outside": '))
    (stored.folder.parent / "outside").write_bytes((stored.folder / "quantizer.safetensors").read_bytes())
    with pytest.raises(BundleError):
        stored.fetch(tmp_path / "volume" / "tiny")
    assert not (tmp_path / "volume" / "outside").exists()


def test_a_folder_that_holds_something_else_is_left_alone(stored: Stored, tmp_path: Path) -> None:
    target = tmp_path / "volume"
    target.mkdir()
    (target / "letter.txt").write_text("mine")
    with pytest.raises(BundleError, match="in use"):
        stored.fetch(target)
    assert [path.name for path in target.iterdir()] == ["letter.txt"]


def test_a_damaged_bundle_in_the_folder_is_not_taken_for_good(stored: Stored, tmp_path: Path) -> None:
    target = tmp_path / "volume" / "tiny"
    stored.fetch(target)
    (target / "text.onnx").write_bytes(b"")
    with pytest.raises(BundleError, match=r"text\.onnx not as the manifest says"):
        stored.fetch(target)


def test_an_address_that_names_no_store_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="bundle: 'ftp://host/tiny' must start with"):
        fetch_bundle("ftp://host/tiny", tmp_path / "tiny", BundleStore(), bundle_id="tiny-0", manifest_sha256=None)


def piece_of(folder: Path, request: Request) -> Response:
    """A file of the folder, or the range of it that is asked for, as every object store serves them."""
    whole = (folder / request.path.lstrip("/")).read_bytes()
    first, _, last = request.headers.get("range", "").removeprefix("bytes=").partition("-")
    start, end = int(first or 0), int(last or len(whole) - 1)
    piece = whole[start : end + 1]
    headers = (
        ("Content-Range", f"bytes {start}-{start + len(piece) - 1}/{len(whole)}"),
        ("Last-Modified", formatdate(0, usegmt=True)),
    )
    return Response(HTTPStatus.PARTIAL_CONTENT if first else HTTPStatus.OK, headers, piece)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The address of a server of the files in `tmp_path`."""
    with http_server(partial(piece_of, tmp_path)) as address:
        yield address
