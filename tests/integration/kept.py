"""A platform whose cells are kept in snapshots, and everything that a test does with it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import redis
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from consumers.names import cell_log_topic
from consumers.recovery.snapshot_store import SnapshotStore, Stored
from consumers.settings import Redis, Snapshots
from consumers.shown.snapshots import snapshot_findings
from tests.command import shoal
from tests.integration.exactly_once import assert_exactly_once, caption
from tests.integration.platform import Platform, eventually, make_topics, variables_of

if TYPE_CHECKING:
    from pathlib import Path

    from consumers.checks.findings import Finding


class Kept:
    """A platform on a Redis of its own that keeps snapshots, in a folder by default; and the posts published."""

    def __init__(self, platform: Platform, url: str, folder: Path, every_seconds: float, **snapshots: Any) -> None:
        place = {"location": f"file://{folder}/snapshots/", "timeout_seconds": 5.0} | snapshots
        kept = Snapshots(every_seconds=every_seconds, **place)
        section = Redis(url=url, prefix="own", timeout_seconds=1.0)
        self.settings = platform.settings.model_copy(update={"redis": section, "snapshots": kept})
        self.platform = Platform(self.settings)
        self.published: list[tuple[int, int]] = []
        self.client: Any = redis.Redis.from_url(url)
        self.folder = folder
        make_topics(self.platform)

    @property
    def snapshots(self) -> SnapshotStore:
        assert self.settings.snapshots.location is not None
        return SnapshotStore(self.settings, self.platform.bundle, self.settings.snapshots.location)

    def publish(self, count: int) -> None:
        """Publish so many posts more, and wait until all are decided."""
        start = len(self.published)
        self.published += self.platform.publish(*(caption(number) for number in range(start, start + count)))
        self.platform.decided(len(self.published))

    def publish_with_a_verdict(self, count: int) -> None:
        self.publish(count)
        self.platform.give_verdict("uphold", "scam", self.platform.decided(count)["post-1"])

    def take(self) -> Stored:
        """Take a snapshot as the command does; the owner may just be taking one itself."""

        def taken() -> Finding:
            [finding] = snapshot_findings(self.settings, cell=None, location=None)
            return finding

        eventually(taken, lambda finding: finding.state == "good")
        return self.snapshots.stored(0)[0]

    def position(self, stored: Stored) -> int:
        return self.snapshots.end(stored).position

    def trim(self, offset: int) -> None:
        """Let the cell log begin at `offset`, as its retention does."""
        admin = AdminClient({"bootstrap.servers": self.settings.kafka.bootstrap_servers})
        place = TopicPartition(cell_log_topic(self.settings, self.platform.bundle), 0, offset)
        admin.delete_records([place])[place].result(30)

    def path(self, stored: Stored) -> Path:
        return self.folder / "snapshots" / stored.path

    def damage(self, stored: Stored) -> None:
        data = bytearray(self.path(stored).read_bytes())
        data[len(data) // 2] ^= 1
        self.path(stored).write_bytes(data)

    def assert_whole(self) -> None:
        """Nothing lost, nothing twice, and the state is what snapshot and log say."""
        assert_exactly_once(self.platform, self.published)
        assert self.platform.state_differences() == []

    def shoal(
        self, *arguments: str, code: int = 0, environment: dict[str, str] | None = None
    ) -> list[dict[str, Any]]:
        """Run the command in a process of its own with these settings; gives what it says as JSON."""
        done = shoal(*arguments, "--json", **variables_of(self.settings) | (environment or {}))
        assert done.returncode == code, done.stdout + done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]
