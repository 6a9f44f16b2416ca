"""Posts that take their process along: each is a dead letter after one restart, and its neighbours are decided."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from consumers.contracts import cell_log
from consumers.contracts.cell_log import VerdictRecord
from consumers.contracts.post import Post
from consumers.contracts.verdict import Verdict
from consumers.kafka.dead_letters import list_dead_letters
from consumers.names import cell_log_topic
from consumers.settings import Encode
from tests.integration.exactly_once import assert_exactly_once, caption
from tests.integration.platform import Worker, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.integration.platform import Platform

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

ENCODE = Encode(
    batch_posts=16,
    batch_wait_ms=10.0,
    decode_threads=2,
    intra_op_threads=1,
    provider="cpu",
    stuck_seconds=4.0,
    suspect_bytes=200 * 2**20,
)


class Supervisor:
    """Starts the worker again whenever it has died, as an orchestrator does."""

    def __init__(self, platform: Platform, folder: Path) -> None:
        self._platform = platform
        self._folder = folder
        self.starts = 0
        self.worker = self._start()

    def _start(self) -> Worker:
        self.starts += 1
        log = self._folder / f"worker-{self.starts}.log"
        return Worker(self._platform.settings, log, launch=_launch)

    def decided(self, count: int) -> None:
        """Wait for so many decisions."""
        self._await(lambda: len(self._platform.decisions()), count)

    def routed(self, count: int) -> list[VerdictRecord]:
        """Wait for so many verdicts in the cell log."""
        topic = cell_log_topic(self._platform.settings, self._platform.bundle)

        def look() -> list[VerdictRecord]:
            records = [cell_log.decode(value) for value in self._platform.values(topic)]
            return [record for record in records if isinstance(record, VerdictRecord)]

        self._await(lambda: len(look()), count)
        return look()

    def _await(self, look: Callable[[], int], count: int) -> None:
        def look_after() -> int:
            if self.worker.process.poll() is not None:
                assert self.worker.process.poll() != 0
                self.worker = self._start()
            return look()

        eventually(look_after, lambda found: found >= count, 120)


def _launch(arguments: list[str], environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start `shoal` with a decoder that can be killed."""
    command = [sys.executable, "-m", "tests.integration.poisoned", *arguments]
    with log.open("w") as file:
        return subprocess.Popen(command, stdout=file, stderr=file, env=environment)


@contextmanager
def supervised(platform: Platform, folder: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor(platform, folder)
    try:
        yield supervisor
    finally:
        supervisor.worker.kill()


def test_posts_that_kill_the_process_are_dead_letters_and_innocent_ones_are_not(
    new_platform: Callable[..., Platform], tmp_path: Path
) -> None:
    platform = new_platform(encode=ENCODE)
    with supervised(platform, tmp_path) as supervisor:
        published = platform.publish(*(caption(number) for number in range(20)))
        supervisor.decided(20)
        for number, poison in enumerate(("crash", "memory", "hang")):
            starts = supervisor.starts
            first = 100 * (number + 1)
            published += platform.publish(*(caption(first + step) for step in range(20)))
            published += platform.publish({"post_id": poison, "caption": f"a caption to {poison}"})
            published += platform.publish(*(caption(first + 20 + step) for step in range(20)))
            supervisor.decided(len(published))
            assert supervisor.starts == starts + 1
        # killed at work for no reason of a post's
        published += platform.publish(*(caption(500 + step) for step in range(60)))
        supervisor.worker.kill()
        supervisor.decided(len(published))
        last = supervisor.worker
        assert last.events("a worker died here")
        assert last.stop() == 0
        # ended well: nobody is suspected
        published += platform.publish(*(caption(600 + step) for step in range(20)))
        supervisor.worker = supervisor._start()
        supervisor.decided(len(published))
        assert not supervisor.worker.events("a worker died here")
    assert_exactly_once(platform, published)
    letters = {letter.key: letter for letter in list_dead_letters(platform.settings)}
    assert {letter.reason for letter in letters.values()} == {"kills-encoder"}
    assert set(letters) == {b"crash", b"hang", b"memory"}
    assert "SIGSEGV" in letters[b"crash"].detail
    assert "suspect_bytes" in letters[b"memory"].detail
    assert "longer than 4 s" in letters[b"hang"].detail


def test_a_verdict_whose_post_kills_the_process_is_a_dead_letter_and_its_neighbours_are_routed(
    new_platform: Callable[..., Platform], tmp_path: Path
) -> None:
    platform = new_platform(encode=ENCODE)
    with supervised(platform, tmp_path) as supervisor:
        given = [bringing("first")]
        platform.bring(*given)
        supervisor.routed(1)
        for poison in ("crash", "memory"):
            starts = supervisor.starts
            innocent = [bringing(f"{poison}-{number}", post_id=f"p-{number}") for number in range(10)]
            given += innocent
            platform.bring(*innocent[:5], bringing(poison, caption=f"a caption to {poison}"), *innocent[5:])
            supervisor.routed(len(given))
            assert supervisor.starts == starts + 1
        # what was written after the death is read: nothing is suspect any more
        given.append(bringing("after"))
        platform.bring(given[-1])
        supervisor.routed(len(given))
        assert supervisor.worker.stop() == 0
        supervisor.worker = supervisor._start()
        given.append(bringing("last"))
        platform.bring(given[-1])
        records = supervisor.routed(len(given))
        # ended well: nobody is suspected
        assert not supervisor.worker.events("a worker died here")
    assert Counter(record.verdict_id for record in records) == Counter(verdict.verdict_id for verdict in given)
    letters = list(list_dead_letters(platform.settings))
    assert (
        sorted((letter.reason, letter.step, letter.topic) for letter in letters)
        == [("kills-encoder", "route", platform.settings.topics.verdicts)] * 2
    )
    told = "".join(letter.detail for letter in letters)
    assert "SIGSEGV" in told
    assert "suspect_bytes" in told


def bringing(verdict_id: str, *, caption: str = "a caption as any", post_id: str = "brought") -> Verdict:
    """A verdict that brings a post along."""
    return Verdict(
        verdict_id=verdict_id,
        decision="uphold",
        policy="scam",
        actor="moderator",
        post=Post(post_id=post_id, caption=caption),
    )
