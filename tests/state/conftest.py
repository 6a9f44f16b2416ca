"""Real Redis servers: every version that this machine has."""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import redis

from consumers.embedded import redis_executable as redis_executable_of_the_demo
from tests.conftest import lacks

if TYPE_CHECKING:
    from collections.abc import Iterator


def _free_port() -> int:
    """Below the ports that the system gives out, and low enough for a cluster's second port, 10,000 above."""
    while True:
        port = random.randrange(12_000, 32_000)
        with socket.socket() as one, socket.socket() as two:
            try:
                one.bind(("127.0.0.1", port))
                two.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
        return port


@contextmanager
def redis_server(executable: str, *options: str) -> Iterator[str]:
    """A server with these options on a free port; gives its URL."""
    with tempfile.TemporaryDirectory(prefix="shoal-state-") as folder:
        port = _free_port()
        command = [executable, "--port", str(port), "--save", "", "--dir", folder, *options]
        with (Path(folder) / "log").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            client: Any = redis.Redis(port=port)
            deadline = time.monotonic() + 10
            while True:
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    assert time.monotonic() < deadline, (Path(folder) / "log").read_text()
                    time.sleep(0.02)
            client.close()
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.kill()
            process.wait()


@pytest.fixture(scope="session", params=["system", "embedded"])
def redis_executable(request: pytest.FixtureRequest) -> str:
    if request.param == "embedded":
        return redis_executable_of_the_demo()
    found = shutil.which("redis-server")
    if found is None:
        lacks("no redis-server: install Redis")
    return found


@pytest.fixture(scope="session")
def _server(redis_executable: str) -> Iterator[str]:
    with redis_server(redis_executable) as url:
        yield url


@pytest.fixture
def state_redis(_server: str) -> Iterator[str]:
    """The URL of an empty Redis."""
    client: Any = redis.Redis.from_url(_server)
    client.flushall()
    yield _server
    client.config_set("maxmemory", 0)
    client.close()
