"""Posts that take their process along: each is a dead letter after one restart, and its neighbours are decided."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from consumers.dead_letters import list_dead_letters
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

        def look() -> int:
            if self.worker.process.poll() is not None:
                assert self.worker.process.poll() != 0
                self.worker = self._start()
            return len(self._platform.decisions())

        eventually(look, lambda found: found >= count, 120)


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
