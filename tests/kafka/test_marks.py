"""Where reading begins, what a commit says besides, and what follows from a worker that died."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from confluent_kafka import TopicPartition

from consumers.encoding.suspects import Suspects
from consumers.kafka.delivery import RecordsGoneError
from consumers.kafka.marks import Mark, begin, leave, read_mark, regain
from consumers.settings import Settings
from tests.fake_log import FakeConsumer, FakeLog, FakeWatch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OURS, NOBODY, DEAD = Mark("id", "worker-2"), Mark("id"), Mark("id", "worker-1")
END = 100
AT_HAND = 30


class Reader:
    """A consumer of two partitions that has just been given them, and real suspects."""

    def __init__(self, folder: Path) -> None:
        self.log = FakeLog(partitions=2, count=END)
        self.consumer = FakeConsumer(
            self.log, {"on_assign": lambda consumer, places: consumer.incremental_assign(places)}
        )
        self.suspects = Suspects(Settings(), folder)
        self.consumer.halted.set()
        self.consumer.poll(0.0)

    def commit(self, partition: int, offset: int, mark: str) -> None:
        self.log.commit([TopicPartition("posts", partition, offset, mark)])

    def begin(self) -> dict[int, int]:
        """Partition -> where it is read from."""
        places = begin(
            cast("Any", self.consumer), cast("Any", FakeWatch()), OURS, self.suspects, at_hand=AT_HAND, timeout=5.0
        )
        return {place.partition: place.offset for place in places}

    def leave(self) -> dict[int, str]:
        """Partition -> the mark that is left."""
        leave(cast("Any", self.consumer), self.consumer.assignment(), OURS, self.suspects, 5.0)
        return self.log.marks


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    reader.suspects.close()


def test_reading_begins_at_what_is_committed_or_at_the_beginning_under_our_name(reader: Reader) -> None:
    reader.log.low = 3
    reader.commit(1, 40, NOBODY.text())
    assert reader.begin() == {0: 3, 1: 40}
    assert reader.consumer.positions == {0: 3, 1: 40}
    assert reader.log.marks == {0: OURS.text(), 1: OURS.text()}
    assert reader.begin() == {}
    reader.commit(1, 50, OURS.text())
    regain(cast("Any", reader.consumer))
    assert reader.begin() == {0: 3, 1: 50}
    assert reader.leave() == {0: NOBODY.text(), 1: NOBODY.text()}


def test_what_a_dead_worker_had_at_hand_is_suspect_until_it_has_been_tried(reader: Reader) -> None:
    reader.commit(0, 40, DEAD.text())
    reader.commit(1, 40, NOBODY.text())
    reader.begin()
    assert (reader.suspects.expected(0), reader.suspects.expected(1)) == (True, False)
    # the next one must try what this one has not
    assert reader.leave() == {0: OURS.text(), 1: NOBODY.text()}


def test_a_worker_that_died_with_nothing_at_hand_leaves_no_suspects(reader: Reader) -> None:
    """Nothing was written after its death: whoever comes next ends well, and is not taken for dead."""
    reader.commit(0, END, DEAD.text())
    reader.begin()
    assert not reader.suspects.expected(0)
    assert reader.leave()[0] == NOBODY.text()


def test_a_mark_that_is_another_s_is_left_alone(reader: Reader) -> None:
    reader.begin()
    reader.commit(0, 5, DEAD.text())
    assert reader.leave() == {0: DEAD.text(), 1: NOBODY.text()}


def test_offsets_of_another_topic_are_refused(reader: Reader) -> None:
    reader.commit(0, 40, Mark("another").text())
    with pytest.raises(RecordsGoneError, match="another is now id; skip posts"):
        reader.begin()
    assert reader.log.committed == {0: 40}


@pytest.mark.parametrize("text", [None, "", "nonsense", "[]", '{"worker": "w"}'])
def test_what_is_no_mark_of_ours_is_none(text: str | None) -> None:
    assert read_mark(text) is None


def test_a_mark_is_read_as_it_was_written() -> None:
    assert [read_mark(mark.text()) for mark in (OURS, NOBODY)] == [OURS, NOBODY]
