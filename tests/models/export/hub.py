"""A server that speaks what huggingface_hub asks of the Hub: which commit, which files, and the files."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "shoal/tiny"
BRANCHES = ("main", "second", COMMIT)


class _Hub(BaseHTTPRequestHandler):
    """One model, NAME, at one commit."""

    protocol_version = "HTTP/1.1"

    def __init__(self, folder: Path, asked: list[str], *arguments: Any) -> None:
        self.folder, self.asked = folder, asked
        super().__init__(*arguments)

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  # its name where it comes from
        self.asked.append(format % arguments)

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        files = {file.relative_to(self.folder).as_posix(): file for file in self.folder.rglob("*") if file.is_file()}
        for branch in BRANCHES:
            if path == f"/api/models/{NAME}/revision/{branch}":
                return self._json({"id": NAME, "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]})
            if path == f"/api/models/{NAME}/tree/{branch}":
                return self._json([_entry(name, file) for name, file in files.items()])
        name = path.removeprefix(f"/{NAME}/resolve/{COMMIT}/")
        if name in files:
            return self._send(files[name].read_bytes(), "application/octet-stream")
        return self._send(b"{}", "application/json", 404, {"X-Error-Code": "RevisionNotFound"})

    def _json(self, value: Any) -> None:
        self._send(json.dumps(value).encode(), "application/json")

    def _send(self, body: bytes, kind: str, status: int = 200, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        told = {"Content-Type": kind, "Content-Length": str(len(body)), "X-Repo-Commit": COMMIT, "ETag": _tag(body)}
        for name, value in (told | (more or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _tag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()}"'


def _entry(name: str, file: Path) -> dict[str, Any]:
    body = file.read_bytes()
    return {"type": "file", "path": name, "size": len(body), "oid": hashlib.sha256(body).hexdigest()}


@contextmanager
def hub(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve the folder as NAME: the address for HF_ENDPOINT, and what has been asked."""
    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Hub, folder, asked))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
