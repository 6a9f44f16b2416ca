"""The demo from start to end: the parts, the performance on a terminal or in lines, the summary."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from rich.console import Console
from rich.live import Live

from consumers.demo.parts import demo_parts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import FrameType

    from consumers.demo.stage import Performance, Show
    from consumers.demo.view import Scene
    from consumers.settings import Settings

LINE_SECONDS = 2.0


def run_demo(
    *, posts: int, seed: int, bundle: str | None, plain: bool, summary_file: Path | None, began: float
) -> bool:
    """Run the demo; gives whether the job did its work.

    Args:
        posts: length of the stream.
        seed: of the stream.
        bundle: name or folder; None takes the default.
        plain: lines instead of the live view; without a terminal there are lines anyway.
        summary_file: where the summary's numbers go.
        began: when the command began, of the monotonic clock.

    Raises:
        DemoError: the worker or the stream failed.
    """
    console = Console()
    with _interruptible() as interrupted, demo_parts(bundle) as (settings, worker):
        # the worker is starting: what takes long to import is read meanwhile
        from consumers.demo.stage import perform  # noqa: PLC0415

        with _shown(console, plain or not console.is_terminal) as show:
            done = perform(settings, worker, posts=posts, seed=seed, began=began, show=show, interrupted=interrupted)
    return _conclude(console, settings, done, summary_file)


def _conclude(console: Console, settings: Settings, done: Performance, summary_file: Path | None) -> bool:
    from consumers.demo.encoder_rate import measure_encoders  # noqa: PLC0415  # likewise
    from consumers.demo.summary import numbers_of, shortcomings, summary_view  # noqa: PLC0415

    console.print("measuring the encoders alone ...", style="grey58")
    numbers = numbers_of(done.tally, done.seconds, measure_encoders(settings, done.samples))
    console.print(summary_view(numbers, done.tally))
    if summary_file is not None:
        summary_file.write_bytes(msgspec.json.format(msgspec.json.encode(numbers), indent=2) + b"\n")
    lacking = shortcomings(done.tally)
    for line in lacking:
        console.print(f"failed: {line}", style="bold red")
    return not lacking


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; the second one ends the demo at once."""
    event = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        event.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _shown(console: Console, plain: bool) -> Iterator[Show]:
    """How a scene is shown: the live view on a terminal, else a line every two seconds."""
    if plain:
        yield _Lines(console).show
        return
    from consumers.demo.view import live_view  # noqa: PLC0415

    with Live(console=console, screen=True, auto_refresh=False) as live:

        def show(scene: Scene) -> None:
            live.update(live_view(scene, console.width, console.height), refresh=True)

        yield show


@dataclass(slots=True)
class _Lines:
    console: Console
    due: float = 0.0
    verdicts: int = 0

    def show(self, scene: Scene) -> None:
        """Print what is new."""
        for given in scene.tally.verdicts[self.verdicts :]:
            said = f"{given.actor}: {given.decision} {given.policy} (cluster {given.cluster_id})"
            self._print(f"{given.at:6.1f} s  {said}")
        self.verdicts = len(scene.tally.verdicts)
        if scene.now >= self.due:
            self.due = scene.now + LINE_SECONDS
            self._print(scene.line())

    def _print(self, line: str) -> None:
        self.console.print(line, soft_wrap=True, highlight=False, markup=False)
