"""Health and the port that serves it."""

from __future__ import annotations

import http.client
import socket
from contextlib import closing

import pytest

from consumers.http import CONNECTIONS, Health, PortError, serving
from consumers.metrics import POSTS
from consumers.settings import Http
from tests.integration.platform import eventually


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def get(port: int | None, path: str) -> tuple[int, str]:
    assert port is not None
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def answers(port: int) -> bool:
    try:
        return get(port, "/livez")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def test_a_consumer_that_has_not_started_is_live_but_neither_started_nor_ready() -> None:
    health = Health(("encode",), silence_seconds=5, clock=Clock())
    assert health.live()[0]
    assert health.started() == (False, "encode: not started\n")
    assert health.ready() == (False, "encode: not ready\n")


def test_a_consumer_silent_for_too_long_is_dead_and_named() -> None:
    clock = Clock()
    health = Health(("encode", "assign"), silence_seconds=5, clock=clock)
    health.set_started("encode")
    health.set_started("assign")
    clock.now += 4
    health.beat("assign")
    clock.now += 3
    assert health.live() == (False, "encode: silent for 7 s\n")
    health.beat("encode")
    assert health.live()[0]


def test_readiness_needs_every_consumer() -> None:
    health = Health(("encode", "assign"))
    health.set_ready("encode", ready=True)
    assert not health.ready()[0]
    health.set_ready("assign", ready=True)
    assert health.ready()[0]
    health.set_ready("encode", ready=False)
    assert health.ready() == (False, "encode: not ready\n")


def test_readiness_says_what_each_consumer_was_given_and_where_the_encoders_run() -> None:
    health = Health(("encode", "route"))
    health.set_encoders({"image": "CUDAExecutionProvider"})
    health.set_ready("encode", ready=True, note="4 partitions")
    assert health.ready() == (
        False,
        "route: not ready\nencode: 4 partitions\nencoder image: CUDAExecutionProvider\n",
    )
    health.set_ready("route", ready=True)
    assert health.ready() == (True, "ready\nencode: 4 partitions\nencoder image: CUDAExecutionProvider\n")


def test_probes_and_metrics_are_served_on_a_free_port() -> None:
    health = Health(("encode",))
    with serving(Http(port=0, host="127.0.0.1"), health) as port:
        assert get(port, "/livez")[0] == 200
        assert get(port, "/readyz") == (503, "encode: not ready\n")
        health.set_ready("encode", ready=True)
        assert get(port, "/readyz?verbose=1")[0] == 200
        assert get(port, "/startupz")[0] == 503
        status, text = get(port, "/metrics")
        assert status == 200
        assert f"# HELP {next(iter(POSTS.describe())).name}" in text
        assert get(port, "/other")[0] == 404


def test_idle_connections_beyond_the_bound_are_closed_and_the_port_recovers() -> None:
    with serving(Http(port=0, host="127.0.0.1"), Health(())) as port:
        assert port is not None
        idle = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(CONNECTIONS)]
        with closing(socket.create_connection(("127.0.0.1", port), timeout=30)) as one_more:
            assert one_more.recv(1) == b""
        for connection in idle:
            connection.close()
        eventually(lambda: answers(port), bool)


def test_a_taken_port_says_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(PortError, match=rf"http 127.0.0.1:{port}: .* set SHOAL_HTTP__PORT"),
            serving(Http(port=port, host="127.0.0.1"), Health(())),
        ):
            pass


def test_no_port_serves_nothing() -> None:
    with serving(Http(port=None), Health(())) as port:
        assert port is None
