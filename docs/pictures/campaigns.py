"""Draws campaigns.svg: the campaigns at the end of a demo. `python docs/pictures/campaigns.py` remakes it."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from consumers.demo.parts import demo_parts
from consumers.demo.stage import perform
from consumers.questions.campaigns import find_campaigns
from consumers.shown.campaigns import picture

PICTURE = Path(__file__).with_name("campaigns.svg")
POSTS, SEED, SHOWN = 1600, 0, 10


def main() -> None:
    """Run the demo to its end, and draw what its cells hold."""
    with demo_parts(None) as (settings, worker):
        perform(
            settings, worker, posts=POSTS, seed=SEED, began=time.monotonic(),
            show=lambda _scene: None, interrupted=threading.Event(),
        )  # fmt: skip
        found = find_campaigns(settings, method="dbscan", count=None, limit=SHOWN, window_seconds=60.0)
    PICTURE.write_text(picture(found) + "\n")


if __name__ == "__main__":
    main()
