"""A worker is asked at its own port whether it is alive; whatever else answers there, or does not, is no life."""

from __future__ import annotations

import json
import socket
from contextlib import closing

import pytest

from consumers.checks import live as module
from consumers.checks.live import check_live
from consumers.http import Health, serving
from consumers.settings import Http
from tests.command import shoal
from tests.servers import free_port


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_worker_that_lives_is_found_where_it_listens() -> None:
    port = free_port()
    with serving(Http(port=port), Health(("encode",))):
        assert check_live(Http(port=port)).state == "good"


def test_a_worker_that_has_fallen_silent_is_named() -> None:
    clock, port = Clock(), free_port()
    health = Health(("encode",), silence_seconds=5, clock=clock)
    health.set_started("encode")
    clock.now = 60.0
    with serving(Http(port=port, host="127.0.0.1"), health):
        finding = check_live(Http(port=port, host="127.0.0.1"))
    assert (finding.state, finding.text) == ("bad", "encode: silent for 60 s")


def test_nobody_there_is_a_bad_finding() -> None:
    assert check_live(Http(port=free_port())).state == "bad"


def test_somebody_who_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIVE_SECONDS", 0.2)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        finding = check_live(Http(port=silent.getsockname()[1]))
    assert finding.state == "bad"
    assert "timed out" in finding.text


@pytest.mark.parametrize("port", [0, None])
def test_a_port_that_nobody_knows_is_said(port: int | None) -> None:
    finding = check_live(Http(port=port))
    assert (finding.state, finding.remedy) == ("bad", "set SHOAL_HTTP__PORT, for both")


def test_the_command_answers_with_its_exit_code() -> None:
    port = free_port()
    arguments = ("check", "--live", "--json", "--set", f"http.port={port}")
    with serving(Http(port=port, host="127.0.0.1"), Health(())):
        alive = shoal(*arguments)
    dead = shoal(*arguments)
    assert (alive.returncode, json.loads(alive.stdout)["state"]) == (0, "good")
    assert (dead.returncode, json.loads(dead.stdout)["state"]) == (1, "bad")
