"""Receivers that a test may do anything to: a real HTTP server and a real SMTP server."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from email import message_from_bytes, policy
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from aiosmtpd.controller import Controller

from consumers.contracts.notification import Notification
from tests.http_server import Request, Response, http_server
from tests.servers import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from email.message import EmailMessage

PATIENCE_SECONDS = 60.0


class Told(Request):
    """A request that tells of flags."""

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
        url: where it takes notifications.
        requests: everything that came.
        answer: says what to answer to a request; `taken` are those answered with 2xx.
        closing: set when it answers nobody any more.
    """

    url: str

    def __init__(self) -> None:
        self.requests: list[Told] = []
        self.taken: list[Told] = []
        self.answer: Callable[[Told], Answer] = lambda _: Answer()
        self.closing = threading.Event()

    @property
    def notifications(self) -> list[Notification]:
        """What it has taken."""
        return [request.notification for request in self.taken]

    def respond(self, request: Request) -> Response:
        """Note a request, and answer it."""
        told = Told(**vars(request))
        self.requests.append(told)
        answer = self.answer(told)
        self.closing.wait(answer.after)
        if answer.status < HTTPStatus.MULTIPLE_CHOICES:
            self.taken.append(told)
        return Response(answer.status, answer.headers, answer.body)


@contextmanager
def receiver() -> Iterator[Receiver]:
    """An HTTP server that takes everything until it is told otherwise."""
    opened = Receiver()
    with http_server(opened.respond) as address:
        opened.url = f"{address}/hook"
        try:
            yield opened
        finally:
            opened.closing.set()


class Mailbox:
    """An SMTP server; `reply` is what it says to a message."""

    def __init__(self) -> None:
        self.messages: list[EmailMessage] = []
        self.reply = "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802  # aiosmtpd's name
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
