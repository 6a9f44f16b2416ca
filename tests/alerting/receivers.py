"""Receivers that a test may do anything to: a real HTTP server and a real SMTP server."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from aiosmtpd.controller import Controller

from consumers.contracts.notification import Notification
from tests.servers import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from email.message import EmailMessage

PATIENCE_SECONDS = 60.0


class Request(NamedTuple):
    """What came: when, with which headers (lower case), and the body."""

    at: float
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def notification(self) -> Notification:
        """The body as our own format."""
        return msgspec.json.decode(self.body, type=Notification)


class Answer(NamedTuple):
    """What the receiver says, after how long."""

    status: int = 204
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    after: float = 0.0


class Receiver:
    """An HTTP server.

    Attributes:
        requests: everything that came.
        answer: says what to answer to a request; `taken` are those answered with 2xx.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.taken: list[Request] = []
        self.answer: Callable[[Request], Answer] = lambda _: Answer()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("content-length", 0))
                body = self.rfile.read(length)
                if len(body) < length:
                    # who sent it was killed in the middle
                    self.close_connection = True
                    return
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(time.monotonic(), self.path, headers, body)
                receiver.requests.append(request)
                answer = receiver.answer(request)
                receiver.closing.wait(answer.after)
                if answer.status < 300:
                    receiver.taken.append(request)
                self.send_response(answer.status)
                for name, value in answer.headers:
                    self.send_header(name, value)
                self.send_header("content-length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_given: Any) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_given: Any) -> None:
                """A client that went away is what tests are about."""

        self.closing = threading.Event()
        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def notifications(self) -> list[Notification]:
        """What it has taken."""
        return [request.notification for request in self.taken]

    def close(self) -> None:
        """Answer nobody any more."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def receiver() -> Iterator[Receiver]:
    """An HTTP server that takes everything until it is told otherwise."""
    opened = Receiver()
    try:
        yield opened
    finally:
        opened.close()


class Mailbox:
    """An SMTP server; `reply` is what it says to a message."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.reply = "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802  # noqa: N802  # aiosmtpd's name
        if self.reply.startswith("250"):
            self.messages.append(message_from_bytes(envelope.content, policy=policy.default))
        return self.reply


@contextmanager
def mailbox() -> Iterator[tuple[Mailbox, str]]:
    """An SMTP server, and the URL by which Apprise writes to it."""
    box, port = Mailbox(), free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield box, f"mailto://127.0.0.1:{port}?from=shoal@example.org&to=moderators@example.org"
    finally:
        controller.stop()


def wait_until(holds: Callable[[], object], why: Callable[[], object] = lambda: "it did not come so far") -> None:
    """Wait for something that should soon be.

    Raises:
        AssertionError: it has not become so.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, why()
        time.sleep(0.02)
