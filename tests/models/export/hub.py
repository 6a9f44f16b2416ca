"""A server that speaks what huggingface_hub asks of the Hub: which commit, which files, and the files."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from tests.http_server import Response, http_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.http_server import Request

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "shoal/tiny"
BRANCHES = ("main", "second", COMMIT)


class _Hub:
    """One model, NAME, at one commit; `asked` is what has been asked of it."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        self._folder = folder

    def answer(self, request: Request) -> Response:
        self.asked.append(f"{request.method} {request.path}")
        path = unquote(urlsplit(request.path).path)
        found = (file for file in self._folder.rglob("*") if file.is_file())
        files = {file.relative_to(self._folder).as_posix(): file for file in found}
        for branch in BRANCHES:
            if path == f"/api/models/{NAME}/revision/{branch}":
                return _json({"id": NAME, "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]})
            if path == f"/api/models/{NAME}/tree/{branch}":
                return _json([_entry(name, file) for name, file in files.items()])
        name = path.removeprefix(f"/{NAME}/resolve/{COMMIT}/")
        if name in files:
            return _response(files[name].read_bytes(), "application/octet-stream")
        return _response(b"{}", "application/json", HTTPStatus.NOT_FOUND, ("X-Error-Code", "RevisionNotFound"))


def _json(value: Any) -> Response:
    return _response(json.dumps(value).encode(), "application/json")


def _response(body: bytes, kind: str, status: int = HTTPStatus.OK, *more: tuple[str, str]) -> Response:
    told = (("Content-Type", kind), ("X-Repo-Commit", COMMIT), ("ETag", f'"{hashlib.sha256(body).hexdigest()}"'))
    return Response(status, (*told, *more), body)


def _entry(name: str, file: Path) -> dict[str, Any]:
    body = file.read_bytes()
    return {"type": "file", "path": name, "size": len(body), "oid": hashlib.sha256(body).hexdigest()}


@contextmanager
def hub(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve the folder as NAME: the address for HF_ENDPOINT, and what has been asked."""
    served = _Hub(folder)
    with http_server(served.answer) as address:
        yield address, served.asked
