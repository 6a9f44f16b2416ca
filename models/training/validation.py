"""How a training comes along: the same held-out queries every so many steps, as lines of JSON and as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import msgspec
import numpy as np
import torch
from matplotlib.figure import Figure

from models.imagery import resize_square
from models.sound import to_windows
from models.synthetic import caption_variants, captions, image_variants, sound_variants
from models.synthetic.originals import draw_image, draw_sound
from models.training.batches import encode_texts
from models.training.evaluation import retrieve
from models.training.kinds import AUDIO_RATE, AUDIO_WINDOW, Kind
from models.training.pools import read_image, read_sound

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from tokenizers import Tokenizer
    from torch import nn

T = TypeVar("T")

INDEXED = 0.7
"""Share of the originals that are searched; copies of the others are distractors."""
BATCH = 64


@dataclass(frozen=True, slots=True)
class Queries:
    """Originals and one altered copy of each, as arguments of their tower; row i of both is one original."""

    originals: tuple[torch.Tensor, ...]
    copies: tuple[torch.Tensor, ...]


class Point(msgspec.Struct, frozen=True):
    """One look at the towers.

    Attributes:
        step: steps of the plan done.
        seconds: since the training, or its continuation, began.
        losses: running means by "<tower> <part>".
        figures: uap, recall and strict recall by "<tower> <source> <figure>".
    """

    step: int
    seconds: float
    losses: dict[str, float]
    figures: dict[str, float]


def draw_queries(
    tokenizer: Tokenizer, image_size: int, count: int, seed: int, real: tuple[list[Path], list[Path]] | None
) -> dict[str, Queries]:
    """The queries of a training, by "<tower> <source>": of generated originals, and of real ones if files are given.

    Copies are made by transforms that training uses: what is chosen by them must not know the others.

    Args:
        tokenizer: of the text tower.
        image_size: side of the squares in pixels.
        count: generated originals of each kind.
        seed: must differ from the training's.
        real: files of photographs and of recordings that are not trained on.
    """
    rng = np.random.default_rng([seed, 61])
    texts = [captions.generate_caption(rng) for _ in range(count)]
    pictures = {"generated": [draw_image(rng)[0] for _ in range(count)]}
    recordings = {"generated": [draw_sound(rng)[0] for _ in range(count)]}
    if real is not None:
        pictures["real"], recordings["real"] = (
            [read_image(path) for path in real[0]],
            [read_sound(path) for path in real[1]],
        )
    queries = {"text generated": _texts(tokenizer, texts, rng)}
    queries |= {f"image {source}": _images(items, image_size, rng) for source, items in pictures.items()}
    queries |= {f"audio {source}": _sounds(items, rng) for source, items in recordings.items()}
    return queries


def _one_of(table: Mapping[str, Callable[[T, np.random.Generator], T]], item: T, rng: np.random.Generator) -> T:
    return table[list(table)[int(rng.integers(len(table)))]](item, rng)


def _texts(tokenizer: Tokenizer, texts: list[str], rng: np.random.Generator) -> Queries:
    copies = [_one_of(caption_variants.TRAINED, text, rng) for text in texts]
    return Queries(encode_texts(tokenizer, texts), encode_texts(tokenizer, copies))


def _images(pictures: list[NDArray[np.uint8]], size: int, rng: np.random.Generator) -> Queries:
    def squares(items: list[NDArray[np.uint8]]) -> tuple[torch.Tensor, ...]:
        return (torch.from_numpy(np.stack([resize_square(item, size) for item in items])),)

    copies = [
        image_variants.collage(picture, rng, pictures[:3], 0.4)
        if rng.random() < 1 / 15
        else _one_of(image_variants.TRAINED, picture, rng)
        for picture in pictures
    ]
    return Queries(squares(pictures), squares(copies))


def _sounds(recordings: list[NDArray[np.float32]], rng: np.random.Generator) -> Queries:
    def windows(items: list[NDArray[np.float32]]) -> tuple[torch.Tensor, ...]:
        first = [to_windows(item, AUDIO_RATE, AUDIO_WINDOW / AUDIO_RATE, 1)[0] for item in items]
        return (torch.from_numpy(np.stack(first).astype(np.float32)),)

    return Queries(windows(recordings), windows([_one_of(sound_variants.TRAINED, one, rng) for one in recordings]))


def validate(
    towers: Mapping[Kind, nn.Module], queries: Mapping[str, Queries], device: torch.device | None = None
) -> dict[str, float]:
    """uAP, recall at one false match in 1000 pairs and strict recall of every set of queries.

    Args:
        towers: in evaluation mode.
        queries: by "<tower> <source>".
        device: where the towers are; the processor by default.
    """
    figures: dict[str, float] = {}
    for name, asked in queries.items():
        tower = towers[name.partition(" ")[0]]
        references, copies = _embedded(tower, asked.originals, device), _embedded(tower, asked.copies, device)
        centre = references.mean(axis=0)
        references, copies = _centred(references, centre), _centred(copies, centre)
        indexed = max(1, int(len(references) * INDEXED))
        truth = np.where(np.arange(len(copies)) < indexed, np.arange(len(copies)), -1)
        judged = retrieve(copies @ references[:indexed].T, truth)
        figures |= {
            f"{name} uap": judged.precision,
            f"{name} recall": judged.recall,
            f"{name} strict recall": judged.strict_recall,
        }
    return {name: round(value, 4) for name, value in figures.items()}


@torch.no_grad()
def _embedded(
    tower: nn.Module, arguments: tuple[torch.Tensor, ...], device: torch.device | None
) -> NDArray[np.float32]:
    parts = [
        tower(*(each[at : at + BATCH].to(device) for each in arguments)) for at in range(0, len(arguments[0]), BATCH)
    ]
    return np.asarray(torch.cat(parts).float().cpu().numpy(), dtype=np.float32)


def _centred(rows: NDArray[np.float32], centre: NDArray[np.float32]) -> NDArray[np.float32]:
    moved = rows - centre
    return np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True).clip(min=1e-6), dtype=np.float32)


def read_points(path: Path) -> list[Point]:
    """The points written so far; none where there is no file."""
    if not path.exists():
        return []
    return [msgspec.json.decode(line, type=Point) for line in path.read_bytes().splitlines()]


def write_points(folder: Path, points: list[Point]) -> None:
    """Write validation.jsonl and validation.png."""
    lines = b"\n".join(map(msgspec.json.encode, points)) + b"\n"
    (folder / "validation.jsonl").write_bytes(lines)
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for name in points[-1].figures:
        if name.endswith(" recall") and not name.endswith("strict recall"):
            axes.plot(
                [point.step for point in points], [point.figures[name] for point in points], label=name, marker="."
            )
    axes.set_xlabel("steps of the plan")
    axes.set_ylabel("recall at one false match in 1000 pairs")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(folder / "validation.png", dpi=110)


def stale(points: list[Point], patience: int) -> bool:
    """Whether the mean recall of none of the last `patience` points is above the best before them; never with 0."""
    if not patience or len(points) <= patience:
        return False
    means = [float(np.mean([v for n, v in point.figures.items() if n.endswith(" recall")])) for point in points]
    return max(means[-patience:]) <= max(means[:-patience])
