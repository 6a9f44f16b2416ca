"""Which posts are tried after a worker died, and what comes of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import pytest

from consumers.contracts.post import SCHEMA
from consumers.contracts.source import Source
from consumers.encoding.suspects import KILLED, Suspects, memory_of
from consumers.settings import Encode, Settings
from tests.bundles import write_tiny_bundle
from tests.fake_log import FakeMessage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CRASH = "killed its process: SIGSEGV"


class Judged:
    """Suspects whose process is pretended: `deaths` says how a record (partition, offset) ends it, try by try."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.deaths: dict[tuple[int, int], list[str]] = {}
        self.tried: list[tuple[int, int]] = []
        self.suspects = Suspects(Settings(), folder, post_of=lambda message: cast("Any", message))
        monkeypatch.setattr(self.suspects._trial, "death_by", self._death_by)
        monkeypatch.setattr(self.suspects, "_try", self._as_record(self.suspects._try))

    def _as_record(self, try_it: Callable[[Any], str | None]) -> Callable[[Any], str | None]:
        def tried(message: Any) -> str | None:
            message = cast("FakeMessage", message)
            source = Source("posts", "id", message.place, message.number, 0)
            return try_it(type("Record", (), {"source": source}))

        return tried

    def _death_by(self, record: Any) -> str | None:
        place = (record.source.partition, record.source.offset)
        self.tried.append(place)
        return self.deaths[place].pop(0) if self.deaths.get(place) else None

    def examine(self, *places: tuple[int, int]) -> None:
        for partition, offset in places:
            self.suspects.examine(cast("Any", FakeMessage(offset, partition)))

    def death(self, partition: int, offset: int) -> str | None:
        return self.suspects.death(Source("posts", "id", partition, offset, 0))


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Judged:
    return Judged(monkeypatch, tmp_path)


def of(partition: int, *offsets: int) -> list[tuple[int, int]]:
    return [(partition, offset) for offset in offsets]


def test_only_the_first_records_of_the_partition_are_tried_and_none_twice(judged: Judged) -> None:
    judged.suspects.expect(1, start=0, count=3, end=100)
    judged.examine(*of(0, 0, 1), *of(1, 10, 12))
    # a batch given up is read again
    judged.examine(*of(1, 10, 12, 13, 14, 15))
    assert judged.tried == of(1, 10, 12, 13)
    assert not judged.suspects.expected(1)


def test_records_written_after_the_death_are_no_suspects(judged: Judged) -> None:
    judged.suspects.expect(0, start=0, count=10, end=5)
    judged.examine(*of(0, 3, 4, 5, 6))
    assert judged.tried == of(0, 3, 4)


def test_a_record_that_kills_is_remembered_until_it_is_committed_and_others_may_follow(judged: Judged) -> None:
    judged.suspects.expect(0, start=0, count=2, end=100)
    judged.deaths[0, 1] = [CRASH]
    judged.examine(*of(0, 0, 1, 2))
    assert judged.suspects.expected(0)
    judged.examine(*of(0, 3, 4))
    assert judged.tried == of(0, 0, 1, 2, 3)
    assert (judged.death(0, 0), judged.death(0, 1)) == (None, CRASH)
    judged.suspects.forget(Source("posts", "id", 0, 1, 0))
    assert judged.death(0, 1) is None


@pytest.mark.parametrize(("deaths", "found"), [([KILLED], None), ([KILLED, KILLED], KILLED), ([CRASH], CRASH)])
def test_a_process_killed_from_outside_is_asked_again(judged: Judged, deaths: list[str], found: str | None) -> None:
    judged.suspects.expect(0, start=0, count=1, end=100)
    judged.deaths[0, 0] = list(deaths)
    judged.examine((0, 0))
    assert judged.death(0, 0) == found
    assert len(judged.tried) == (1 if deaths == [CRASH] else 2)


def test_records_that_hold_no_post_are_passed_over_and_counted(judged: Judged) -> None:
    judged.suspects._post_of = lambda message: None if message.offset() == 1 else cast("Any", message)
    judged.suspects.expect(0, start=0, count=3, end=100)
    judged.examine(*of(0, 0, 1, 2, 3))
    assert judged.tried == of(0, 0, 2)


class Post(FakeMessage):
    """A post as Kafka gives it."""

    def value(self) -> bytes:
        return json.dumps({"schema": SCHEMA, "post_id": "p", "caption": f"number {self.number}"}).encode()

    def headers(self) -> None:
        return None


def test_an_innocent_post_survives_a_real_process_and_a_bundle_that_does_not_open_costs_nobody(
    tmp_path: Path,
) -> None:
    write_tiny_bundle(tmp_path / "tiny")
    settings = Settings(encode=Encode(provider="cpu", intra_op_threads=1))
    for folder in (tmp_path / "tiny", tmp_path / "absent"):
        suspects = Suspects(settings, folder)
        suspects.expect(0, start=0, count=2, end=10)
        suspects.examine(cast("Any", Post(0, 0)))
        process = suspects._trial._process
        suspects.examine(cast("Any", Post(1, 0)))
        assert suspects.death(Source("posts", "id", 0, 0, 0)) is None
        assert not suspects.expected(0)
        if folder.name == "tiny":
            assert process is suspects._trial._process
            assert memory_of(process.pid) > 0
        suspects.close()
        assert not process.is_alive()
        assert memory_of(process.pid) == 0


def test_a_trial_that_is_cut_short_leaves_its_post_a_suspect(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "tiny")
    asked: list[None] = []

    def meanwhile() -> None:
        asked.append(None)
        if len(asked) == 3:
            suspects.close()

    suspects = Suspects(Settings(encode=Encode(provider="cpu")), tmp_path / "tiny", meanwhile=meanwhile)
    suspects.expect(0, start=0, count=1, end=10)
    suspects.examine(cast("Any", Post(0, 0)))
    assert suspects.closed
    assert suspects.expected(0)
    assert suspects.death(Source("posts", "id", 0, 0, 0)) is None
