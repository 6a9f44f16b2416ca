"""Media of a post -> their files: from the message itself, or from a store that the settings allow."""

from __future__ import annotations

import base64
import binascii
import hashlib
import threading
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import from_url

from consumers.steps import reasons
from consumers.steps.reasons import Rejected

if TYPE_CHECKING:
    from consumers.contracts.post import Media
    from consumers.settings import Limits
    from consumers.settings import Media as MediaSettings
    from consumers.work import PostInWork

SCHEMES = ("file", "s3", "gs", "az")

_stores: dict[tuple[str, float], Any] = {}
_opening = threading.Lock()


def fetch(work: PostInWork, settings: MediaSettings, limits: Limits) -> None:
    """Fill `work.files` with the media's bytes, modality by modality.

    A part that cannot be had leaves its reason in `work.parts`; the other parts count.
    """
    if work.failure is not None or work.post is None:
        return
    for number, media in enumerate(work.post.media):
        if number >= limits.parts:
            work.parts.setdefault(media.kind, reasons.TOO_MANY_PARTS)
            continue
        try:
            work.files.setdefault(media.kind, []).append(_file(media, settings, limits))
        except Rejected as rejection:
            work.parts[media.kind] = rejection.reason


def _file(media: Media, settings: MediaSettings, limits: Limits) -> bytes:
    if media.data is not None:
        file = _inline(media.data, limits)
    elif media.uri is not None:
        file = _stored(media.uri, settings, limits)
    else:
        raise Rejected(reasons.NO_CONTENT, "neither data nor uri")
    if not file:
        raise Rejected(reasons.EMPTY, "a file of no bytes")
    if media.sha256 is not None and hashlib.sha256(file).hexdigest() != media.sha256.lower():
        raise Rejected(reasons.DIGEST_MISMATCH, "the file is not the one that sha256 names")
    return file


def _inline(data: str, limits: Limits) -> bytes:
    padding = data[-2:].count("=")
    if len(data) * 3 // 4 - padding > limits.media_bytes:
        raise Rejected(reasons.TOO_LARGE, f"the limit is {limits.media_bytes} bytes (limits.media_bytes)")
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Rejected(reasons.BAD_BASE64, str(error)) from error


def _stored(uri: str, settings: MediaSettings, limits: Limits) -> bytes:
    prefix, path = allowed_place(uri, settings.prefixes)
    store = _store(prefix, settings)
    try:
        size = obstore.head(store, path)["size"]
        if size > limits.media_bytes:
            raise Rejected(reasons.TOO_LARGE, f"{size} bytes, the limit is {limits.media_bytes} (limits.media_bytes)")
        return bytes(obstore.get(store, path).bytes())
    except (NotFoundError, FileNotFoundError) as error:
        raise Rejected(reasons.URI_NOT_FOUND, "no such object") from error
    except (BaseError, OSError) as error:
        raise Rejected(reasons.URI_UNREADABLE, type(error).__name__) from error


def allowed_place(uri: str, prefixes: tuple[str, ...]) -> tuple[str, str]:
    """The allowed prefix that `uri` is below, and the path below it.

    Raises:
        Rejected: no prefix allows it, or it tries to leave its prefix.
    """
    for prefix in prefixes:
        folder = prefix if prefix.endswith("/") else prefix + "/"
        if not uri.startswith(folder) or urlsplit(folder).scheme not in SCHEMES:
            continue
        path = unquote(uri.removeprefix(folder))
        if any(part in {"", ".", ".."} for part in path.replace("\\", "/").split("/")) or "\0" in path:
            break
        if folder.startswith("file://") and not _stays_inside(folder, path):
            break
        return folder, path
    raise Rejected(reasons.URI_NOT_ALLOWED, "not below one of media.prefixes")


def _stays_inside(folder: str, path: str) -> bool:
    """Whether a path, its symbolic links followed, is below its folder."""
    root = Path(unquote(urlsplit(folder).path)).resolve()
    return (root / path).resolve().is_relative_to(root)


def _store(prefix: str, settings: MediaSettings) -> Any:
    key = (prefix, settings.timeout_seconds)
    with _opening:
        if key not in _stores:
            options: dict[str, Any] = next(
                (dict(o) for p, o in settings.options.items() if p.rstrip("/") == prefix.rstrip("/")), {}
            )
            if not prefix.startswith("file://"):
                options["client_options"] = {"timeout": f"{settings.timeout_seconds}s"}
                options["retry_config"] = {
                    "max_retries": 2,
                    "retry_timeout": timedelta(seconds=settings.timeout_seconds),
                }
            _stores[key] = from_url(prefix, **options)
        return _stores[key]
