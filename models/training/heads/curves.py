"""How a training went: one JSON line an epoch, and a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LINES, PICTURE = "curves.jsonl", "curves.png"


def write_lines(folder: Path, history: Sequence[dict[str, float]]) -> None:
    """All epochs so far."""
    written = b"".join(msgspec.json.encode(row) + b"\n" for row in history)
    (folder / LINES).write_bytes(written)


def draw_curves(folder: Path, history: Sequence[dict[str, float]], best: int) -> None:
    """Losses, and what is found among the validation posts, over the epochs; a line where the best is."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    losses, found = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in history]
    for name in ("training_loss", "validation_loss"):
        at = [(row["epoch"], row[name]) for row in history if name in row]
        losses.plot([x for x, _ in at], [y for _, y in at], label=name.replace("_", " "))
    names = [name for name in history[0] if name not in {"epoch", "training_loss", "validation_loss"}]
    for name in names:
        found.plot(epochs, [row[name] for row in history], label=name, linestyle=":" if "copies" in name else "-")
    for axes, title in ((losses, "loss"), (found, "found among the first 10, validation posts")):
        axes.axvline(best, color="grey", linewidth=0.8)
        axes.set_xlabel("epoch")
        axes.set_title(title)
        axes.legend(fontsize="small")
        axes.grid(alpha=0.3)
    found.set_ylim(0, 1.02)
    figure.savefig(folder / PICTURE, dpi=110)
