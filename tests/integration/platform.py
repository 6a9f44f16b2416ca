"""A platform around Shoal: it publishes posts, its moderators give verdicts, it reads what comes out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec
from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from consumers.changes.verdicts import send_verdict, verdict_message
from consumers.contracts.decision import Decision
from consumers.contracts.flag import Flag
from consumers.contracts.post import SCHEMA
from consumers.kafka.delivery import open_delivery
from consumers.kafka.lookup import open_reader, read_topic
from consumers.kafka.topics import create_topics, needed_topics
from consumers.recovery.verify import Difference, verify_cell
from consumers.settings import Assign, Encode, Http, Kafka, Limits, Media, Redis, Settings, Topics
from consumers.state.reading import opened_state
from models.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from consumers.contracts.verdict import Verdict

T = TypeVar("T")

PATIENCE_SECONDS = 120.0

LARGEST_POST = 40 * 2**20
"""What the posts topic takes here: more than Shoal does, to see what becomes of it."""


class Platform:
    """Topics of its own on a shared broker, and everything that a test does with them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.bundle = read_manifest(Path(settings.bundle)).bundle_id
        self._producer = Producer(
            {
                "bootstrap.servers": settings.kafka.bootstrap_servers,
                "message.max.bytes": LARGEST_POST,
                "linger.ms": 5,
                "log_level": 0,
            }
        )

    def partitions(self, topic: str) -> int:
        """How many partitions the producer of posts sees."""
        return len(self._producer.list_topics(topic, timeout=5.0).topics[topic].partitions)

    def publish(self, *posts: dict[str, Any] | bytes | None, partition: int = -1) -> list[tuple[int, int]]:
        """Write posts to the posts topic and wait until Kafka has them; bytes and None go as they are.

        Returns:
            Partition and offset of each.
        """
        errors: list[Any] = []
        places: list[tuple[int, int]] = []

        def report(error: Any, message: Message) -> None:
            errors.extend([error] if error else [])
            places.append((message.partition() or 0, message.offset() or 0))

        for post in posts:
            fields = post if isinstance(post, dict) else {}
            value = json.dumps({"schema": SCHEMA} | fields).encode() if isinstance(post, dict) else post
            self._producer.produce(
                self.settings.topics.posts,
                key=str(fields.get("post_id", "none")),
                value=value,
                headers=[("trace", b"1")],
                partition=partition,
                on_delivery=report,
            )
            self._producer.poll(0)
        assert self._producer.flush(30) == 0
        assert errors == []
        return places

    def decisions(self) -> list[Decision]:
        """Every decision so far."""
        return [msgspec.json.decode(value, type=Decision) for value in self.values(self.settings.topics.decisions)]

    def flags(self) -> list[Flag]:
        """Every revision of every flag so far."""
        return [msgspec.json.decode(value, type=Flag) for value in self.values(self.settings.topics.flags)]

    def values(self, topic: str) -> list[bytes]:
        """What a reader of committed records sees in a topic."""
        return [message.value() or b"" for message in read_topic(self.settings, topic)]

    def decided(self, count: int, seconds: float = PATIENCE_SECONDS) -> dict[str, Decision]:
        """Wait for so many decisions; gives the last one about each post."""
        found = eventually(self.decisions, lambda found: len(found) >= count, seconds)
        return {decision.post_id or decision.decision_id: decision for decision in found}

    def state_differences(self) -> list[Difference]:
        """In which Redis differs from the fold of the cell logs, over all cells."""
        found: list[Difference] = []
        with opened_state(self.settings) as (manifest, store):
            for cell in range(self.settings.assign.cells):
                verified = verify_cell(self.settings, manifest, store, cell)
                assert verified is not None
                found += verified.differences
        return found

    def bring(self, *verdicts: Verdict) -> None:
        """Write verdicts as they are to the verdicts topic, all of them into one batch."""
        delivery = open_delivery(self.settings, f"{self.settings.kafka.group}.bringing")
        delivery.deliver([verdict_message(self.settings, verdict) for verdict in verdicts])
        delivery.close()

    def give_verdict(self, decision: Any, policy: str, about: Decision, actor: str = "moderator") -> None:
        """A moderator upholds or overturns that the post of a decision violates a policy."""
        send_verdict(
            self.settings,
            decision=decision,
            policy=policy,
            actor=actor,
            post_id=about.post_id,
            cell=about.cell,
            cell_offset=about.cell_offset,
        )


class Running(Protocol):
    """A process that has been started; subprocess.Popen is one."""

    pid: int

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; gives its exit code. Raises subprocess.TimeoutExpired."""

    def kill(self) -> None:
        """End it without a word."""

    def send_signal(self, sig: int) -> None:
        """Send it a signal."""


class Worker:
    """A `shoal run` in a process of its own.

    Args:
        launch: starts the command `shoal` with these arguments and this environment, writing to this file.
        variables: added to its environment.
    """

    def __init__(
        self,
        settings: Settings,
        log: Path,
        *names: str,
        launch: Callable[[list[str], dict[str, str], Path], Running] | None = None,
        **variables: str,
    ) -> None:
        self.log = log
        self.names = names
        arguments = ["run", *(("--only", ",".join(names)) if names else ())]
        self.process = (launch or _launch)(arguments, environment_of(settings) | variables, log)

    def wait_ready(self, seconds: float = 120.0) -> None:
        """Wait until every consumer of it can work."""
        eventually(lambda: self._get("/readyz"), lambda answer: answer is not None, seconds)

    def metric(self, name: str, **labels: str) -> float:
        """The value of a sample now; 0 when it is not there."""
        wanted = {f'{key}="{value}"' for key, value in labels.items()}
        text = eventually(lambda: self._get("/metrics"), lambda answer: answer is not None)
        for line in (text or "").splitlines():
            sample, _, value = line.rpartition(" ")
            found, _, rest = sample.partition("{")
            if found == name and wanted <= set(rest.rstrip("}").split(",")):
                return float(value)
        return 0.0

    def kill(self) -> None:
        """End it without a word, as a lost machine does."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Ask it to end; gives its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def events(self, name: str) -> list[dict[str, Any]]:
        """The lines of its log with this event; the last one may be half written."""
        whole = [line for line in self.log.read_text().splitlines(keepends=True) if line.endswith("}\n")]
        lines = [json.loads(line) for line in whole if line.startswith("{")]
        return [line for line in lines if line.get("event") == name]

    def _get(self, path: str) -> str | None:
        assert self.process.poll() is None, self.log.read_text()[-4000:]
        served = self.events("serving")
        if not served:
            return None
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{served[0]['port']}{path}", timeout=30) as answer:
                return str(answer.read().decode())
        except OSError:
            return None


def variables_of(settings: Settings) -> dict[str, str]:
    """Settings as the environment gives them."""
    sections = settings.model_dump(mode="json", exclude_defaults=True)
    return {
        f"SHOAL_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in sections.items()
    }


def environment_of(settings: Settings) -> dict[str, str]:
    """The whole environment of a `shoal` with these settings."""
    others = {key: value for key, value in os.environ.items() if not key.startswith("SHOAL_")}
    return others | variables_of(settings) | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}


def _launch(arguments: list[str], environment: dict[str, str], log: Path) -> Running:
    command = [sys.executable, "-m", "consumers.cli", *arguments]
    with log.open("w") as file:
        return subprocess.Popen(command, stdout=file, stderr=file, env=environment)


@contextmanager
def working(settings: Settings, folder: Path, *names: str) -> Iterator[Worker]:
    """A worker that is ready, and that ends well when asked."""
    worker = Worker(settings, folder / f"worker-{uuid.uuid4().hex[:6]}.log", *names)
    try:
        worker.wait_ready()
        yield worker
        assert worker.stop() == 0, worker.log.read_text()[-4000:]
    finally:
        if worker.process.poll() is None:
            worker.kill()


def platform_settings(bundle: Path, kafka: Kafka, redis: Redis, **sections: Any) -> Settings:
    """Settings with names of their own, so that many platforms share one broker and one Redis."""
    name = f"p{uuid.uuid4().hex[:8]}"
    given: dict[str, Any] = {
        "assign": Assign(batch_wait_ms=5.0),
        "encode": Encode(batch_posts=32, batch_wait_ms=10.0, decode_threads=2, intra_op_threads=1, provider="cpu"),
        "limits": Limits(),
        "media": Media(),
    }
    return Settings(
        bundle=str(bundle),
        kafka=kafka.model_copy(update={"group": name}),
        redis=redis.model_copy(update={"prefix": name}),
        topics=Topics(**{field: f"{name}-{field.replace('_', '-')}" for field in Topics.model_fields}),
        http=Http(port=0, host="127.0.0.1"),
        **(given | sections),
    )


def make_topics(platform: Platform) -> None:
    """Create the topics; posts and dead letters take more than Shoal's limit."""
    wanted = needed_topics(platform.settings, platform.bundle)
    large = {"max.message.bytes": str(LARGEST_POST + 2**20)}
    create_topics(
        platform.settings,
        [
            replace(topic, configuration=topic.configuration | large)
            if topic.role in {"posts", "dead_letters"}
            else topic
            for topic in wanted
        ],
    )
    reader = open_reader(platform.settings)
    try:
        eventually(lambda: _can_be_read(reader, [topic.name for topic in wanted]), bool)
    finally:
        reader.close()


def _can_be_read(reader: Consumer, topics: Sequence[str]) -> bool:
    """A topic is there somewhat before its partitions have a leader who knows of it."""
    try:
        for topic in topics:
            found = reader.list_topics(topic, timeout=5.0).topics[topic]
            if found.error is not None:
                return False
            for partition in found.partitions:
                reader.get_watermark_offsets(TopicPartition(topic, partition), timeout=5.0)
    except KafkaException:
        return False
    return True


def eventually(look: Callable[[], T], until: Callable[[T], bool], seconds: float = PATIENCE_SECONDS) -> T:
    """Look again and again until it is as it should be."""
    deadline = time.monotonic() + seconds
    found = look()
    while not until(found):
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
        found = look()
    return found
