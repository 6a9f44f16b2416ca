"""Media of a post -> their files: from the message itself, or from a store that the settings allow."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import msgspec
import obstore
from obstore.exceptions import BaseError, NotFoundError

from consumers.steps import reasons
from consumers.steps.reasons import Rejected
from consumers.stores import SCHEMES, store_of

if TYPE_CHECKING:
    from consumers.contracts.post import Media
    from consumers.encoding.work import PostInWork
    from consumers.settings import Limits
    from consumers.settings import Media as MediaSettings

KINDS = ("image", "audio")
MEDIA = "media"
"""Stands for the modality of a part whose kind nobody knows: what a sender writes there is no metric label."""


def fetch(work: PostInWork, settings: MediaSettings, limits: Limits) -> None:
    """Fill `work.files` with the media's bytes, modality by modality, and free the text that held them.

    A part that cannot be had leaves its reason in `work.parts`; the other parts count.
    """
    if work.failure is not None or work.post is None:
        return
    for number, media in enumerate(work.post.media):
        if media.kind not in KINDS:
            work.parts[MEDIA] = reasons.UNKNOWN_KIND
            continue
        if number >= limits.parts:
            work.parts.setdefault(media.kind, reasons.TOO_MANY_PARTS)
            continue
        try:
            work.files.setdefault(media.kind, []).append(fetched(media, settings, limits))
        except Rejected as rejection:
            work.parts[media.kind] = rejection.reason
    work.post = msgspec.structs.replace(work.post, media=())


def fetched(media: Media, settings: MediaSettings, limits: Limits) -> bytes:
    """The bytes of one part.

    Raises:
        Rejected: they cannot be had, are too many, or are not those that its sha256 names.
    """
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
        return msgspec.convert(data, bytes)  # as strict as base64.b64decode(validate=True), in a quarter of its time
    except msgspec.ValidationError as error:
        raise Rejected(reasons.BAD_BASE64, str(error)) from error


def _stored(uri: str, settings: MediaSettings, limits: Limits) -> bytes:
    prefix, path = allowed_place(uri, settings.prefixes)
    try:
        found = obstore.get(store_of(prefix, settings), path)
        size = found.meta["size"]
        if size > limits.media_bytes:
            raise Rejected(reasons.TOO_LARGE, f"{size} bytes, the limit is {limits.media_bytes} (limits.media_bytes)")
        return bytes(found.bytes())
    except (NotFoundError, FileNotFoundError) as error:
        raise Rejected(reasons.URI_NOT_FOUND, "no such object") from error
    except (BaseError, OSError, ValueError) as error:
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
        if folder.startswith("file://"):
            _check_file(folder, path)
        return folder, path
    raise Rejected(reasons.URI_NOT_ALLOWED, "not below one of media.prefixes")


def _check_file(folder: str, path: str) -> None:
    """Reject a path that, its symbolic links followed, leaves its folder, and one that is no file."""
    root = Path(unquote(urlsplit(folder).path)).resolve()
    try:
        place = (root / path).resolve()
        if place.is_relative_to(root):
            if not place.is_file():  # reading a pipe would wait for ever
                raise Rejected(reasons.URI_NOT_FOUND, "no such file")
            return
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, names that are too long
        raise Rejected(reasons.URI_NOT_FOUND, type(error).__name__) from error
    raise Rejected(reasons.URI_NOT_ALLOWED, "it leaves its prefix")
