"""Health of the consumers, and the port that serves it: /livez, /readyz, /startupz and /metrics."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from prometheus_client import MetricsHandler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from consumers.settings import Http

CONNECTIONS = 16
"""Connections served at once; one more is closed without an answer."""

CONNECTION_SECONDS = 5.0

Report = tuple[bool, str]


class PortError(RuntimeError):
    """The port cannot be taken; the message is one line with what to do."""


class Health:
    """What each consumer says of itself. Safe to use from several threads.

    A consumer is expected from the start, beats while its thread goes round (whether or not Kafka and Redis answer),
    says once that it has started, and says whether it can do its work now.

    Args:
        names: the consumers that run in this process.
        silence_seconds: a started consumer that has not beaten for longer is dead.
        clock: seconds that never go back.
    """

    def __init__(
        self, names: tuple[str, ...], *, silence_seconds: float = 60.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._silence = silence_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._beats: dict[str, float] = {}
        self._started = dict.fromkeys(names, False)
        self._ready = dict.fromkeys(names, False)
        self._notes = dict.fromkeys(names, "")
        self._encoders: dict[str, str] = {}

    def beat(self, name: str) -> None:
        """The thread of `name` is going round."""
        with self._lock:
            self._beats[name] = self._clock()

    def set_started(self, name: str) -> None:
        """`name` has everything it needs; from now on its silence is death."""
        with self._lock:
            self._beats[name] = self._clock()
            self._started[name] = True

    def set_ready(self, name: str, ready: bool, note: str = "") -> None:
        """Whether `name` can do its work now; `note` says what it has been given, for whoever reads /readyz."""
        with self._lock:
            self._ready[name] = ready
            self._notes[name] = note

    def set_encoders(self, providers: dict[str, str]) -> None:
        """The execution provider that each modality's encoder really runs on, once they are open and warm."""
        with self._lock:
            self._encoders = dict(providers)

    def live(self) -> Report:
        """Whether no started consumer has fallen silent."""
        with self._lock:
            now = self._clock()
            silent = {
                name: now - self._beats[name]
                for name, started in self._started.items()
                if started and now - self._beats[name] > self._silence
            }
        if silent:
            return False, "".join(f"{name}: silent for {seconds:.0f} s\n" for name, seconds in silent.items())
        return True, "live\n"

    def ready(self) -> Report:
        """Whether every consumer can do its work now; then what each has been given, and where the encoders run."""
        with self._lock:
            ready, text = _all(self._ready, "ready")
            text += "".join(f"{name}: {note}\n" for name, note in self._notes.items() if note)
            text += "".join(f"encoder {name}: {provider}\n" for name, provider in self._encoders.items())
            return ready, text

    def started(self) -> Report:
        """Whether every consumer has started."""
        with self._lock:
            return _all(self._started, "started")


def _all(states: dict[str, bool], word: str) -> Report:
    missing = [name for name, state in states.items() if not state]
    return not missing, "".join(f"{name}: not {word}\n" for name in missing) or f"{word}\n"


class _Handler(MetricsHandler):
    timeout = CONNECTION_SECONDS
    health: Health

    def do_GET(self) -> None:  # noqa: N802  # the standard library's name
        path = self.path.partition("?")[0]
        reports = {"/livez": self.health.live, "/readyz": self.health.ready, "/startupz": self.health.started}
        if path == "/metrics":
            super().do_GET()
        elif path in reports:
            good, text = reports[path]()
            self._answer(HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE, text)
        else:
            self._answer(HTTPStatus.NOT_FOUND, "known: /livez /readyz /startupz /metrics\n")

    def _answer(self, status: HTTPStatus, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    """One thread a connection, at most CONNECTIONS of them, each with a time limit."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type[_Handler]) -> None:
        self._places = threading.BoundedSemaphore(CONNECTIONS)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away or stayed silent is its own affair."""


@contextmanager
def serving(settings: Http, health: Health) -> Iterator[int | None]:
    """Serve health and metrics while the block runs; gives the port, or None when none is configured.

    Raises:
        PortError: the port cannot be taken.
    """
    if settings.port is None:
        yield None
        return
    handler = type("Handler", (_Handler,), {"health": health})
    with _open(settings, handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), name="http", daemon=True)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join(CONNECTION_SECONDS)


def _open(settings: Http, handler: type[_Handler]) -> _Server:
    try:
        return _Server((settings.host, settings.port or 0), handler)
    except OSError as error:
        where = f"http {settings.host}:{settings.port}"
        raise PortError(f"{where}: {error.strerror}; set SHOAL_HTTP__PORT (0 takes a free port)") from error
