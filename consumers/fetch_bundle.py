"""A bundle out of a store, into a folder: whole and as its digests say, or not at all."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import BaseError

from consumers.stores import store_of
from models.bundle import verify_bundle
from models.manifest import FILE_NAME, BundleError, ManifestError, read_manifest, sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.settings import BundleStore
    from models.manifest import Manifest

PIECE_BYTES = 8 * 2**20
"""Of one request, so that each ends within its timeout however large a graph is."""

LARGEST_MANIFEST_BYTES = 16 * 2**20


def fetch_bundle(
    address: str, folder: Path, store: BundleStore, *, bundle_id: str, manifest_sha256: str | None
) -> bool:
    """Copy the bundle at `address` into `folder`, which must be absent or empty, or hold it already.

    The files lie in a folder beside `folder` until all of them are as the manifest says.

    Args:
        address: the bundle's folder in a store: s3://, gs://, az://, https://, file://.
        folder: where it goes.
        store: how the store is reached.
        bundle_id: the id it must have.
        manifest_sha256: the digest of its manifest. It covers thresholds, which the id leaves out, and every file.

    Returns:
        False when the bundle was there already, and nothing was copied.

    Raises:
        BundleError: it is another bundle, a file differs from its digest, the store refuses, or the folder is in use.
        SettingsError: the address or its options cannot be used.
    """
    if _there(folder, bundle_id, manifest_sha256):
        return False
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".fetching-", dir=folder.parent) as name, _calling(address):
        scratch = Path(name) / "bundle"
        scratch.mkdir()
        source = store_of(address, store)
        manifest = _fetch_manifest(source, address, scratch, bundle_id, manifest_sha256)
        for file, digest in sorted(manifest.files.items()):
            if _fetch_file(source, file, scratch / file) != digest:
                raise BundleError(f"{address}: {file}: not what the manifest says; put the bundle there anew")
        _put_in_place(scratch, folder)
    return True


def _there(folder: Path, bundle_id: str, manifest_sha256: str | None) -> bool:
    """Whether the folder holds the bundle.

    Raises:
        BundleError: it holds something else.
    """
    if not folder.exists() or not any(folder.iterdir()):
        return False
    try:
        _require_identity(str(folder), folder, bundle_id, manifest_sha256)
        changed = [report.name for report in verify_bundle(folder) if report.state != "ok"]
    except ManifestError as error:
        raise BundleError(f"{folder}: in use: {error}; empty it or give another") from error
    if changed:
        raise BundleError(f"{folder}: {', '.join(changed)} not as the manifest says; empty the folder")
    return True


def _fetch_manifest(
    source: Any, address: str, scratch: Path, bundle_id: str, manifest_sha256: str | None
) -> Manifest:
    size = obstore.head(source, FILE_NAME)["size"]
    if size > LARGEST_MANIFEST_BYTES:
        raise BundleError(f"{address}: {FILE_NAME} has {size:,} bytes, at most {LARGEST_MANIFEST_BYTES:,} are read")
    _fetch_file(source, FILE_NAME, scratch / FILE_NAME)
    manifest = _require_identity(address, scratch, bundle_id, manifest_sha256)
    for name in manifest.files:
        if Path(name).name != name or name.startswith(".") or "\\" in name:
            raise BundleError(f"{address}: file {name!r} is not directly in the bundle's folder")
    return manifest


def _require_identity(where: str, folder: Path, bundle_id: str, manifest_sha256: str | None) -> Manifest:
    digest = sha256_of(folder / FILE_NAME) if (folder / FILE_NAME).is_file() else None
    if manifest_sha256 is not None and digest != manifest_sha256.lower():
        raise BundleError(f"{where}: {FILE_NAME} has the sha256 {digest}, wanted {manifest_sha256.lower()}")
    manifest = read_manifest(folder)
    if manifest.bundle_id != bundle_id:
        raise BundleError(f"{where}: is {manifest.bundle_id}, wanted {bundle_id}")
    return manifest


def _fetch_file(source: Any, name: str, target: Path) -> str:
    """Copy one file in pieces; gives its sha256."""
    digest = hashlib.sha256()
    size = obstore.head(source, name)["size"]
    with target.open("wb") as file:
        for start in range(0, size, PIECE_BYTES):
            piece = bytes(obstore.get_range(source, name, start=start, end=min(start + PIECE_BYTES, size)))
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


def _put_in_place(scratch: Path, folder: Path) -> None:
    """Name it at once with all that is in it. The owner alone may enter a temporary folder; this one, everybody."""
    scratch.chmod(0o755)
    if folder.exists():
        folder.rmdir()
    scratch.rename(folder)


@contextmanager
def _calling(address: str) -> Iterator[None]:
    try:
        yield
    except (BaseError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BundleError(f"{address}: {reason}") from error
