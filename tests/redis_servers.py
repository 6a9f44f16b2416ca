"""Redis servers that a test may do anything to: kill, fill, flush, freeze, fail over; single, a pair, a cluster."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis

from tests.servers import Missing, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

START_SECONDS = 90.0
SLOTS = 16_384
NODE_TIMEOUT_MS = 2_000


class RedisServer:
    """A redis-server in a folder of its own; `client` may be used for anything while it runs.

    Attributes:
        port, url: stay the same over restarts.
        client: for what a test does to the server, never the client under test.
    """

    def __init__(self, folder: Path, *options: str, executable: str | None = None) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client: Any = redis.Redis.from_url(self.url, socket_timeout=10.0)
        self._log = folder / "redis.log"
        self._command = [
            executable or system_redis(), "--port", str(self.port), "--dir", str(folder), "--save", "",
            "--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0", *options,
        ]  # fmt: skip
        self.start()

    def start(self) -> None:
        """Start it with what its folder holds."""
        with self._log.open("a") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        wait_until(self._answers, self._log.read_text)

    def kill(self) -> None:
        """End it without a word, as a lost machine does."""
        self.wake()
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """Let it stand still: it takes connections and answers nobody."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def wake(self) -> None:
        """Let a frozen server go on."""
        if self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGCONT)

    def dump(self) -> bytes:
        """What it holds now, as a file for `restart_with`."""
        self.client.save()
        return (self.folder / "dump.rdb").read_bytes()

    def restart_with(self, dump: bytes | None) -> None:
        """Kill it and start it with an older dump, or with nothing."""
        self.kill()
        (self.folder / "dump.rdb").unlink(missing_ok=True)
        if dump is not None:
            (self.folder / "dump.rdb").write_bytes(dump)
        self.start()

    def fill(self) -> None:
        """Out of memory from now on: writes that need more are refused."""
        self.client.config_set("maxmemory", 1)

    def empty(self) -> None:
        """Memory is there again."""
        self.client.config_set("maxmemory", 0)

    def make_read_only(self) -> None:
        """A replica of nobody: it answers reads and refuses writes."""
        self.client.replicaof("127.0.0.1", 1)

    def promote(self) -> None:
        """A primary, with what it has."""
        self.client.replicaof("NO", "ONE")

    def stop_replication(self) -> None:
        """Its replicas hear nothing more of it, and cannot come back; its clients notice nothing."""
        self.client.acl_setuser("default", enabled=True, commands=["-psync", "-sync"])
        self.client.client_kill_filter(_type="replica")

    def close(self) -> None:
        """End it for good."""
        self.client.close()
        self.kill()

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"redis-server ended: {self._log.read_text()[-2000:]}")
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False


@contextmanager
def own_redis(*options: str, executable: str | None = None) -> Iterator[RedisServer]:
    """A server that holds nothing.

    Raises:
        Missing: this machine has no redis-server.
    """
    with tempfile.TemporaryDirectory(prefix="shoal-redis-") as folder:
        server = RedisServer(Path(folder), *options, executable=executable)
        try:
            yield server
        finally:
            server.close()


@contextmanager
def replicated_redis(*options: str) -> Iterator[tuple[RedisServer, RedisServer]]:
    """A primary and its replica, in step."""
    with own_redis(*options) as primary, own_redis(*options) as replica:
        replica.client.replicaof("127.0.0.1", primary.port)
        wait_until(lambda: replica.client.info("replication")["master_link_status"] == "up")
        yield primary, replica


class RedisCluster:
    """Primaries that share the slots evenly, the first ones with a replica each; the URL is that of the last."""

    def __init__(self, primaries: list[RedisServer], replicas: list[RedisServer]) -> None:
        self.primaries = primaries
        self.replicas = replicas
        self.url = primaries[-1].url

    def node_of(self, key: str) -> RedisServer:
        """The primary that holds a key."""
        slot = int(self.primaries[0].client.cluster("keyslot", key))
        return self.primaries[slot * len(self.primaries) // SLOTS]

    def wait_whole(self) -> None:
        """Wait until every node that runs finds the cluster whole."""
        nodes = [node for node in [*self.primaries, *self.replicas] if node._process.poll() is None]
        wait_until(lambda: all(_is_whole(node, len(nodes)) for node in nodes))


@contextmanager
def redis_cluster(primaries: int = 3, replicas: int = 0, executable: str | None = None) -> Iterator[RedisCluster]:
    """A real cluster; replica n follows primary n."""
    options = [
        "--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT_MS),
        "--cluster-replica-validity-factor", "0",
    ]  # fmt: skip
    with ExitStack() as stack:
        nodes = [stack.enter_context(own_redis(*options, executable=executable)) for _ in range(primaries + replicas)]
        for number, node in enumerate(nodes[:primaries]):
            first, end = (-(-SLOTS * place // primaries) for place in (number, number + 1))
            node.client.execute_command("CLUSTER", "ADDSLOTS", *range(first, end))
            node.client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in nodes[1:]:
            node.client.cluster("meet", "127.0.0.1", nodes[0].port)
        wait_until(lambda: all(_knows(node) == len(nodes) for node in nodes))
        for replica, primary in zip(nodes[primaries:], nodes, strict=False):
            replica.client.cluster("replicate", primary.client.cluster("myid").decode())
        cluster = RedisCluster(nodes[:primaries], nodes[primaries:])
        cluster.wait_whole()
        for replica in cluster.replicas:
            wait_until(lambda one=replica: one.client.info("replication")["master_link_status"] == "up")  # type: ignore[misc]
        yield cluster


def _is_whole(node: RedisServer, nodes: int) -> bool:
    return node.client.cluster("info")["cluster_state"] == "ok" and _knows(node) >= nodes


def _knows(node: RedisServer) -> int:
    """How many nodes it is connected to, itself included."""
    return sum(known["connected"] for known in node.client.cluster("nodes").values())


def system_redis() -> str:
    """The redis-server of this machine.

    Raises:
        Missing: there is none.
    """
    found = shutil.which("redis-server")
    if found is None:
        raise Missing("no redis-server: install Redis")
    return found


def wait_until(holds: Callable[[], bool], why: Callable[[], str] = lambda: "it did not come so far") -> None:
    """Wait for something that a server should soon be.

    Raises:
        RuntimeError: it has not become so, with the end of what `why` says.
    """
    deadline = time.monotonic() + START_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise RuntimeError(why()[-2000:])
        time.sleep(0.02)
