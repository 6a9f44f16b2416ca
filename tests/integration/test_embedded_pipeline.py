"""The same job on the embedded broker, at least once: what repeats is identical, and the state counts it once."""

from __future__ import annotations

import json
import os
import threading
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from consumers.assign import run_assign
from consumers.cells.outputs import outgoing
from consumers.cells.owner import CellOwner
from consumers.checks.findings import CheckError
from consumers.contracts import cell_log
from consumers.embedded import embedded_broker, embedded_redis
from consumers.http import Health
from consumers.kafka.delivery import Aborted
from consumers.names import cell_log_topic
from consumers.settings import Kafka, Redis
from consumers.shown.explain import explain_decision, explain_file
from consumers.state.store import StateStore
from models.bundle import open_bundle
from tests.integration.platform import Platform, Worker, eventually, platform_settings, working

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.settings import Settings

TEXT = "double your coins today, send them to this address and get twice as many back {}"


@pytest.fixture
def embedded(bundle: Path) -> Iterator[Platform]:
    with embedded_broker() as broker, embedded_redis() as url:
        connection = Kafka(
            bootstrap_servers=broker.address,
            delivery="at-least-once",
            topic_identity=broker.identity,
            properties={"session.timeout.ms": 6000, "heartbeat.interval.ms": 500},
        )
        platform = Platform(platform_settings(bundle, connection, Redis(url=url)))
        topics = platform.settings.topics
        broker.create(topics.posts, topics.decisions, topics.flags, topics.verdicts, topics.dead_letters)
        broker.create(cell_log_topic(platform.settings, platform.bundle))
        yield platform


def members(settings: Settings, bundle: str) -> int:
    """Posts that the state has counted."""
    store = StateStore(settings.redis, bundle, 1)
    found = list(store.entries(0, "members"))
    store.close()
    return len(found)


def test_posts_verdicts_and_flags_without_transactions(embedded: Platform, tmp_path: Path) -> None:
    with working(embedded.settings, tmp_path):
        embedded.publish(*({"post_id": f"a-{n}", "caption": TEXT.format(n)} for n in range(10)), b"not JSON")
        found = embedded.decided(11)
        embedded.give_verdict("uphold", "scam", found["a-3"])
        log = cell_log_topic(embedded.settings, embedded.bundle)
        eventually(
            lambda: [cell_log.decode(value) for value in embedded.values(log)],
            lambda records: any(isinstance(record, cell_log.VerdictRecord) for record in records),
        )
        embedded.publish(*({"post_id": f"b-{n}", "caption": TEXT.format(n)} for n in range(10)))
        found = embedded.decided(21)
    assert {found[f"a-{n}"].outcome for n in range(10)} == {"clear"}
    assert {found[f"b-{n}"].outcome for n in range(10)} == {"flagged"}
    assert Counter(one.outcome for one in found.values())["dead_letter"] == 1


def test_a_decision_is_explained_by_any_of_its_names(embedded: Platform, tmp_path: Path) -> None:
    settings = embedded.settings
    with working(settings, tmp_path):
        embedded.publish(*({"post_id": f"a-{n}", "caption": TEXT.format(n)} for n in range(3)), b"not JSON")
        embedded.give_verdict("uphold", "scam", embedded.decided(4)["a-1"])
        flags = eventually(embedded.flags, lambda found: len(found) >= 2)
    decision = next(one for one in embedded.decisions() if one.post_id == "a-2")
    place = f"{decision.cell}:{decision.cell_offset}"
    found = [explain_decision(settings, name, 2) for name in (decision.decision_id, "a-2", place)]
    assert [one.decision for one in found] == [decision] * 3
    assert [(flag.post_id, flag.cause) for flag in found[0].flags] == [("a-2", "retroactive")]
    assert {flag.post_id for flag in flags} >= {"a-2"}
    assert found[0].outcome == "flagged"
    (tmp_path / "post.json").write_text(json.dumps({"post_id": "new", "caption": TEXT.format(2)}))
    asked = explain_file(settings, tmp_path / "post.json", 2)
    assert asked.decision is None
    assert asked.clusters == found[0].clusters
    dead = next(one for one in embedded.decisions() if one.outcome == "dead_letter")
    with pytest.raises(CheckError, match="not-json"):
        explain_decision(settings, dead.decision_id, 2)
    with pytest.raises(CheckError, match="no decision"):
        explain_decision(settings, "a-77", 2)


def test_what_repeats_is_identical_and_counts_once(
    embedded: Platform, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner dies after its records were acknowledged and before their offset was committed."""
    deliver = CellOwner.deliver
    died: list[int] = []

    def die_after(self: CellOwner, outputs: Any, position: int, group: Any) -> None:
        if len(died) < 2 and any(kept.role == "decisions" for kept in outputs):
            died.append(position)
            self._delivery.deliver([outgoing(kept, embedded.settings, embedded.bundle) for kept in outputs])
            raise Aborted("test", "the process died here")
        deliver(self, outputs, position, group)

    monkeypatch.setattr(CellOwner, "deliver", die_after)
    opened = open_bundle(bundle, provider="cpu", intra_op_threads=1)
    stop = threading.Event()
    owner = threading.Thread(target=run_assign, args=(embedded.settings, opened, stop, Health(("assign",))))
    owner.start()
    try:
        with working(embedded.settings, tmp_path, "encode"):
            embedded.publish(*({"post_id": f"a-{n}", "caption": TEXT.format(n)} for n in range(20)))
            eventually(embedded.decisions, lambda found: len({one.post_id for one in found}) == 20)
            embedded.publish(*({"post_id": f"b-{n}", "caption": TEXT.format(n)} for n in range(5)))
            eventually(embedded.decisions, lambda found: len({one.post_id for one in found}) == 25)
    finally:
        stop.set()
        owner.join(60)
    assert len(died) == 2
    contents: dict[str, set[bytes]] = defaultdict(set)
    values = embedded.values(embedded.settings.topics.decisions)
    for value, decision in zip(values, embedded.decisions(), strict=True):
        contents[decision.decision_id].add(value)
    assert len(values) > 25
    assert len(contents) == 25
    assert {len(found) for found in contents.values()} == {1}
    assert members(embedded.settings, embedded.bundle) == 25


@pytest.mark.parametrize("where", ["a full disk", "a pipe that nobody reads"])
def test_a_log_that_cannot_be_written_costs_no_post(embedded: Platform, tmp_path: Path, where: str) -> None:
    log = Path("/dev/full")
    reader = None
    if where != "a full disk":
        log = tmp_path / "pipe"
        os.mkfifo(log)
        reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    worker = Worker(embedded.settings, log)
    if reader is not None:
        os.close(reader)
    try:
        embedded.publish(*({"post_id": f"a-{n}", "caption": TEXT.format(n)} for n in range(10)), b"not JSON")
        found = embedded.decided(11)
        assert worker.stop() == 0
    finally:
        if worker.process.poll() is None:
            worker.kill()
    assert sum(decision.outcome == "dead_letter" for decision in found.values()) == 1
