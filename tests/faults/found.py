"""Everything that a run has left behind: topics, committed offsets, Redis, and what was seen meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from confluent_kafka import TopicPartition

from consumers.contracts import cell_log
from consumers.contracts.cell_log import DeadRecord, PostRecord
from consumers.contracts.decision import Decision
from consumers.contracts.flag import Flag
from consumers.contracts.verdict import Verdict
from consumers.kafka.dead_letters import list_dead_letters
from consumers.kafka.lookup import open_reader, read_topic
from consumers.kafka.topic_watch import TopicWatch
from consumers.names import assign_group, cell_log_topic, encode_group, route_group
from consumers.recovery.verify import Difference, VerifyError, verify_cell
from consumers.state.reading import opened_state

if TYPE_CHECKING:
    from consumers.contracts.cell_log import Record
    from consumers.kafka.dead_letters import DeadLetter
    from consumers.recovery.verify import Held
    from consumers.settings import Settings
    from models.bundle import Bundle
    from models.manifest import Manifest
    from models.quantizer import Quantizer
    from tests.faults.stream import StreamPost
    from tests.faults.trace import Note
    from tests.integration.platform import Platform


class Logged(NamedTuple):
    """A record of a cell's log."""

    offset: int
    value: bytes
    record: Record


class Written(NamedTuple):
    """A record of an output topic."""

    partition: int
    value: bytes


@dataclass(kw_only=True)
class Found:
    """What the checker judges.

    Attributes:
        exact: whether everything must stand exactly once (with transactions), or may be repeated (without).
        replayed: whether posts were read a second time on purpose.
        logs: cell -> its log.
        posts: (topic id, partition, offset) of every record of the posts topic.
        published: what the stream knows about them, by the same.
        committed: consumer -> partition -> committed offset.
        positions: cell -> the position in Redis; absent where Redis holds none.
        went_back: committed offsets that were seen to become smaller, one line each.
        late: what did not happen in time, one line each.
        stopped: cell -> the position at which it was stopped on purpose, for good.
    """

    settings: Settings
    manifest: Manifest
    quantizer: Quantizer | None
    exact: bool = True
    replayed: bool = False
    logs: dict[int, list[Logged]] = field(default_factory=dict)
    posts: set[tuple[str, int, int]] = field(default_factory=set)
    published: dict[tuple[str, int, int], StreamPost] = field(default_factory=dict)
    verdicts: list[Verdict] = field(default_factory=list)
    decisions: list[tuple[Written, Decision]] = field(default_factory=list)
    flags: list[tuple[Written, Flag]] = field(default_factory=list)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    committed: dict[str, dict[int, int]] = field(default_factory=dict)
    positions: dict[int, int] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    trace: list[Note] = field(default_factory=list)
    went_back: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    stopped: dict[int, int] = field(default_factory=dict)
    memory_mb: float = 0.0
    most_memory_mb: float = float("inf")

    @property
    def bundle_id(self) -> str:
        """Of the bundle that the run was made with."""
        return self.manifest.bundle_id

    @property
    def unfolded(self) -> set[tuple[str, int, int]]:
        """Posts that stand in the log of a stopped cell where it will never come: nothing is decided about them."""
        return {
            (entry.record.source.topic_id, entry.record.source.partition, entry.record.source.offset)
            for cell, position in self.stopped.items()
            for entry in self.logs[cell]
            if entry.offset >= position and isinstance(entry.record, PostRecord | DeadRecord)
        }


def read_logs(settings: Settings, bundle: str) -> dict[int, list[Logged]]:
    """The log of every cell, as far as it is still there."""
    logs: dict[int, list[Logged]] = {cell: [] for cell in range(settings.assign.cells)}
    for message in read_topic(settings, cell_log_topic(settings, bundle)):
        value = message.value() or b""
        logs[message.partition() or 0].append(Logged(message.offset() or 0, value, cell_log.decode(value)))
    return logs


def state_in_redis(settings: Settings, cell: int) -> tuple[int | None, Held]:
    """Position and entries of a cell that nobody writes to now; None and nothing where Redis holds nothing of it."""
    with opened_state(settings) as (_, store):
        state = store.read(cell)
    if state is None:
        return None, {}
    return state.position, {(entry.kind, entry.field): entry.value for entry in state.entries}


def read_everything(found: Found, platform: Platform, bundle: Bundle) -> None:
    """Fill in what stands in Kafka and in Redis now."""
    settings, names = found.settings, found.settings.topics
    found.logs = read_logs(settings, bundle.bundle_id)
    identity = TopicWatch(settings, names.posts).topic_id
    found.posts = {
        (identity, message.partition() or 0, message.offset() or 0) for message in read_topic(settings, names.posts)
    }
    for message in read_topic(settings, names.decisions):
        written = Written(message.partition() or 0, message.value() or b"")
        found.decisions.append((written, msgspec.json.decode(written.value, type=Decision)))
    for message in read_topic(settings, names.flags):
        written = Written(message.partition() or 0, message.value() or b"")
        found.flags.append((written, msgspec.json.decode(written.value, type=Flag)))
    found.verdicts = [msgspec.json.decode(value, type=Verdict) for value in platform.values(names.verdicts)]
    found.dead_letters = list(list_dead_letters(settings))
    found.committed = committed_offsets(settings, bundle.bundle_id)
    _compare_state(found)


def _compare_state(found: Found) -> None:
    with opened_state(found.settings) as (manifest, store):
        for cell in found.logs:
            if cell in found.stopped:
                state = store.read(cell)
                found.positions |= {} if state is None else {cell: state.position}
                continue
            try:
                verified = verify_cell(found.settings, manifest, store, cell)
            except VerifyError as error:
                found.differences.append(Difference("meta", str(cell), str(error)))
                continue
            if verified is not None:
                found.positions[cell] = verified.position
                found.differences += verified.differences


def committed_offsets(settings: Settings, bundle: str) -> dict[str, dict[int, int]]:
    """The committed offsets by consumer and partition; partitions without one are left out."""
    cells = cell_log_topic(settings, bundle)
    groups = {
        "encode": (encode_group(settings, bundle), settings.topics.posts),
        "assign": (assign_group(settings, bundle), cells),
        "route": (route_group(settings, bundle), settings.topics.verdicts),
    }
    found: dict[str, dict[int, int]] = {}
    for name, (group, topic) in groups.items():
        reader = open_reader(settings, group)
        partitions = reader.list_topics(topic, timeout=10).topics[topic].partitions
        places = reader.committed([TopicPartition(topic, number) for number in partitions], timeout=10)
        reader.close()
        found[name] = {place.partition: place.offset for place in places if place.offset >= 0}
    return found
