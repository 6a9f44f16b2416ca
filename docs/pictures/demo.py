"""Draws demo.svg: the demo's live view at a moment of a real run. `python docs/pictures/demo.py` remakes it."""

from __future__ import annotations

import io
import re
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from consumers.demo.parts import demo_parts
from consumers.demo.stage import perform
from consumers.demo.view import live_view

if TYPE_CHECKING:
    from consumers.demo.view import Scene

PICTURE = Path(__file__).with_name("demo.svg")
WIDTH, HEIGHT = 140, 38
POSTS, SECONDS = 4800, 45.0


def main() -> None:
    """Run the demo until the moment, and draw it."""
    drawn = threading.Event()

    def show(scene: Scene) -> None:
        if scene.now >= SECONDS and not drawn.is_set():
            draw(scene)
            drawn.set()

    with demo_parts(None) as (settings, worker):
        perform(settings, worker, posts=POSTS, seed=0, began=time.monotonic(), show=show, interrupted=drawn)


def draw(scene: Scene) -> None:
    """The view as an SVG that asks for no font from elsewhere."""
    console = Console(width=WIDTH, height=HEIGHT, record=True, file=io.StringIO(), force_terminal=True)
    console.print(live_view(scene, WIDTH, HEIGHT), height=HEIGHT)
    picture = console.export_svg(title="shoal demo")
    PICTURE.write_text(re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL))


if __name__ == "__main__":
    main()
