"""What is looked at while a scenario runs: decisions as they come, committed offsets, memory."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec
import psutil
from confluent_kafka import Consumer, KafkaException, TopicPartition

from consumers.contracts.decision import Decision
from consumers.kafka.lookup import open_reader
from consumers.kafka.topics import kafka_properties
from consumers.names import assign_group, cell_log_topic, encode_group, route_group

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.settings import Settings

SAMPLE_SECONDS = 0.2
WAIT_SECONDS = 0.05
NOTHING = -1
"""Stands for a group that has committed nothing."""


class DecisionWatch:
    """Reads committed decisions as they come, in a thread of its own.

    Attributes:
        arrived: cell -> when its decisions were seen, in seconds of the monotonic clock.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stop = threading.Event()
        self._places: dict[str, tuple[int, int]] = {}
        self.sources: set[tuple[str, int, int]] = set()
        self.arrived: dict[int, list[float]] = {cell: [] for cell in range(settings.assign.cells)}
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def place_of(self, post_id: str, seconds: float) -> tuple[int, int] | None:
        """Cell and cell offset of the decision about a post; None when there is none within `seconds`."""
        deadline = time.monotonic() + seconds
        while post_id not in self._places:
            if time.monotonic() > deadline:
                return None
            time.sleep(WAIT_SECONDS)
        return self._places[post_id]

    def first_after(self, cell: int, moment: float) -> float | None:
        """When the first decision of a cell was seen after a moment."""
        return next((when for when in self.arrived[cell] if when > moment), None)

    def close(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._thread.join(10)

    def _read(self) -> None:
        reader = open_reader(self._settings)
        reader.assign([TopicPartition(self._settings.topics.decisions, cell, 0) for cell in self.arrived])
        while not self._stop.is_set():
            message = reader.poll(WAIT_SECONDS)
            if message is None or message.error() is not None:
                continue
            decision = msgspec.json.decode(message.value() or b"", type=Decision)
            self.arrived[decision.cell].append(time.monotonic())
            self._places[decision.post_id or ""] = (decision.cell, decision.cell_offset)
            source = decision.source
            self.sources.add((source.topic_id, source.partition, source.offset))
        reader.close()


class Sampler:
    """Looks at the groups' committed offsets and the workers' memory again and again.

    Attributes:
        went_back: one line for each committed offset that became smaller.
        moved: consumer -> when its committed offsets were last seen to have grown.
        highest_mb: the most memory of one worker.
        pids: of the workers to look at.
    """

    def __init__(self, settings: Settings, bundle: str) -> None:
        self.went_back: list[str] = []
        self.moved: dict[str, list[float]] = {"encode": [], "assign": [], "route": []}
        self.highest_mb = 0.0
        self.pids: set[int] = set()
        self._seen: dict[tuple[str, int], int] = {}
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._settings = settings
        cells = cell_log_topic(settings, bundle)
        self._groups = {
            "encode": (encode_group(settings, bundle), settings.topics.posts),
            "assign": (assign_group(settings, bundle), cells),
            "route": (route_group(settings, bundle), settings.topics.verdicts),
        }
        self._readers: dict[str, Consumer] = {}
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def forget(self, name: str) -> None:
        """A group's offsets have been set back on purpose, or its topic is another now."""
        with self.forgetting(name):
            pass

    @contextmanager
    def forgetting(self, name: str) -> Iterator[None]:
        """Not look while a group's offsets are set back on purpose, and forget what was seen of them."""
        with self._lock:
            yield
            self._seen = {key: offset for key, offset in self._seen.items() if key[0] != name}
            self._readers.pop(name, None)

    def close(self) -> None:
        """Look once more, and stop."""
        self._stop.set()
        self._thread.join(20)

    def _look(self) -> None:
        last = False
        while not last:
            last = self._stop.wait(SAMPLE_SECONDS)
            for pid in list(self.pids):
                try:
                    self.highest_mb = max(self.highest_mb, psutil.Process(pid).memory_info().rss / 2**20)
                except psutil.Error:
                    continue
            with self._lock:
                for name in self._groups:
                    try:
                        self._compare(name)
                    except KafkaException:
                        continue
        for reader in self._readers.values():
            reader.close()

    def _compare(self, name: str) -> None:
        group, topic = self._groups[name]
        if name not in self._readers:
            properties = kafka_properties(self._settings) | {"isolation.level": "read_uncommitted"}
            self._readers[name] = Consumer(properties | {"group.id": group, "enable.auto.commit": False})
        reader = self._readers[name]
        found = reader.list_topics(topic, timeout=1.0).topics[topic]
        for place in reader.committed([TopicPartition(topic, number) for number in found.partitions], timeout=1.0):
            before, now = self._seen.get((name, place.partition), NOTHING), max(place.offset, NOTHING)
            if place.error is not None:
                continue
            if now < before:
                self.went_back.append(
                    f"the committed offset of {name} in partition {place.partition} went from {before} "
                    f"to {'nothing' if now == NOTHING else now}"
                )
            elif now > before:
                self.moved[name].append(time.monotonic())
            self._seen[name, place.partition] = now
