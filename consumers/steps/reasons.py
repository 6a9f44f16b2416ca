"""Why a post or a part of it is not used: a small closed set, fit for metric labels and headers."""

from __future__ import annotations

from typing import Final

EMPTY: Final = "empty"
INVALID: Final = "invalid"
TOO_LARGE: Final = "too-large"
TOO_LONG: Final = "too-long"
TOO_MANY_PIXELS: Final = "too-many-pixels"
TOO_MANY_PARTS: Final = "too-many-parts"
BAD_BASE64: Final = "bad-base64"
DIGEST_MISMATCH: Final = "digest-mismatch"
URI_NOT_ALLOWED: Final = "uri-not-allowed"
URI_NOT_FOUND: Final = "uri-not-found"
URI_UNREADABLE: Final = "uri-unreadable"
NO_CONTENT: Final = "no-content"
UNKNOWN_KIND: Final = "unknown-kind"
UNDECODABLE: Final = "undecodable"
BLANK: Final = "blank"
SILENT: Final = "silent"
WRONG_SIZE: Final = "wrong-size"
NOT_FINITE: Final = "not-finite"
NO_ENCODER: Final = "no-encoder"
NO_PARTS: Final = "no-parts"
NO_USABLE_PART: Final = "no-usable-part"
EMBEDDING_FAILED: Final = "embedding-failed"
RECORD_TOO_LARGE: Final = "record-too-large"
INTERNAL_ERROR: Final = "internal-error"
KILLS_ENCODER: Final = "kills-encoder"


class Rejected(Exception):  # noqa: N818  # a part's fate, told to the step that carries on without it
    """A part that cannot be used: one of the reasons above, and a detail for people."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
