"""Feedback of customers, generated: `python docs/examples/feedback/make.py FOLDER` writes it, and its truth.

Six complaints go round: people copy each other's words, pass the same photograph on, and play the same recording. The
rest is what single people say.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from consumers.demo.feed import post_of
from models.synthetic.background import Background
from models.synthetic.originals import Original, Parts, draw_image, draw_sound
from models.synthetic.posts import SyntheticPost, Truth
from models.synthetic.sources import Source

if TYPE_CHECKING:
    from consumers.contracts.post import Post

SEED = 23
COUNT = 120
COMPLAINTS = {
    "zip": "the zip of the blue backpack tore on the second day and the shop does not answer",
    "kettle": "the lid of the kettle jumps open while it boils and hot water runs over the handle",
    "invoice": "charged twice for the same order, and the refund that they promised in spring never came",
    "sole": "the sole of the left boot came off in the rain after one week of walking to work",
    "parcel": "the parcel was left in front of the wrong house and the driver had already signed for me",
    "battery": "the headphones switch off after twenty minutes although the battery shows full",
}
PARTS = {
    "zip": ("text", "image"), "kettle": ("text", "image", "audio"), "invoice": ("text", "audio"),
    "sole": ("text", "image"), "parcel": ("text", "image", "audio"), "battery": ("text", "audio"),
}  # fmt: skip


def main(folder: Path) -> None:
    """Write the posts, and which complaint each belongs to."""
    rng = np.random.default_rng(SEED)
    sources = {name: Source(_original(name, rng), most=6) for name in COMPLAINTS}
    background = Background()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "feedback.jsonl").open("wb") as posts, (folder / "truth.jsonl").open("w") as truth:
        for number in range(COUNT):
            name = list(COMPLAINTS)[int(rng.integers(len(COMPLAINTS)))] if rng.random() < 0.6 else None
            parts = background.single(rng) if name is None else sources[name].post(rng, PARTS[name])
            made = feedback(f"feedback-{number:03d}", parts)
            posts.write(msgspec.json.encode(made) + b"\n")
            truth.write(json.dumps({"post_id": made.post_id, "complaint": name}) + "\n")


def feedback(post_id: str, parts: Parts) -> Post:
    """A post of these parts, files inline."""
    made = SyntheticPost(
        post_id,
        parts.caption,
        [parts.image] if parts.image else [],
        [parts.audio] if parts.audio else [],
        0.0,
        "customer",
        Truth(None, None, "benign"),
    )
    return msgspec.structs.replace(post_of(made), surface="feedback", author=None)


def _original(name: str, rng: np.random.Generator) -> Original:
    pixels = draw_image(rng)[0] if "image" in PARTS[name] else None
    return Original(COMPLAINTS[name], pixels, draw_sound(rng)[0] if "audio" in PARTS[name] else None)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
