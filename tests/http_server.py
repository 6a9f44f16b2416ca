"""A small HTTP server in a thread of its own, for tests in which somebody must answer."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Request:
    """What came, whole.

    Attributes:
        at: seconds of a clock that never goes back.
        headers: by their names in lower case.
    """

    at: float
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Response(NamedTuple):
    """What is said to it; the length is added."""

    status: int = HTTPStatus.OK
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@contextmanager
def http_server(answer: Callable[[Request], Response]) -> Iterator[str]:
    """The address, http://host:port, of a server that answers so; `answer` runs in a thread of each connection.

    A request whose sender went away in the middle is not shown.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            length = int(self.headers.get("content-length", 0))
            body = self.rfile.read(length)
            if len(body) < length:
                self.close_connection = True
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            response = answer(Request(time.monotonic(), self.command, self.path, headers, body))
            self.send_response(response.status)
            for name, value in response.headers:
                self.send_header(name, value)
            if response.status != HTTPStatus.NO_CONTENT:
                self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(response.body)

        do_GET = do_HEAD = do_POST = _answer  # noqa: N815  # the standard library's names

        def log_message(self, *_given: Any) -> None:
            """Say nothing."""

    with _Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(LOOK_SECONDS,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    """Its end waits for no connection: a client may keep one open, or a test may let one hang."""

    daemon_threads = True
    block_on_close = False

    def handle_error(self, *_given: Any) -> None:
        """A client that went away is what some tests are about."""
