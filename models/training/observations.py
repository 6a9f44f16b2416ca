"""Embeddings of originals, their look-alikes and their variants: what thresholds and quality are measured on."""

from __future__ import annotations

import functools
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np

from models.synthetic import caption_variants, captions, image_variants, sound_variants, sounds
from models.synthetic.originals import Original, draw_originals, vary_caption, vary_image, vary_sound
from models.training.graph_encoder import GraphEncoder
from models.training.kinds import KINDS, Kind
from models.training.pools import read_image, read_sound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

VARIANTS = 4
"""Posts made of every original: itself first, then its variants."""


@dataclass(frozen=True, slots=True)
class Observations:
    """Originals 2i and 2i + 1 are look-alikes of each other in every part.

    Attributes:
        embeddings: by kind, float32 (originals, VARIANTS, dimension), unit rows.
        transforms: by kind, the transform of each post, [original][variant]; several are joined by "+", "" for none.
    """

    embeddings: dict[Kind, NDArray[np.float32]]
    transforms: dict[Kind, list[list[str]]]

    def __len__(self) -> int:
        return len(self.embeddings["text"])

    def first(self, count: int) -> Observations:
        """The posts of the first `count` originals."""
        return Observations(
            {kind: rows[:count] for kind, rows in self.embeddings.items()},
            {kind: names[:count] for kind, names in self.transforms.items()},
        )


@dataclass(frozen=True, slots=True)
class Task:
    """One pair of originals to make, vary and embed; `images` and `sounds` name files, or none to generate them."""

    seed: tuple[int, ...]
    held_out: bool
    images: tuple[Path, ...] = ()
    sounds: tuple[Path, ...] = ()


Observed: TypeAlias = "tuple[dict[Kind, NDArray[np.float32]], dict[Kind, list[list[str]]]]"
Observe: TypeAlias = "Callable[[list[Task]], Iterable[Observed]]"

_encoder: GraphEncoder | None = None


@contextmanager
def observers(encoder: tuple[Path, str, int], workers: int) -> Iterator[Observe]:
    """Processes that embed with the exported graphs; yields the function that gives them work.

    Args:
        encoder: arguments of `GraphEncoder`.
        workers: processes; 0 works in this one.
    """
    if workers:
        context = get_context("spawn")
        with ProcessPoolExecutor(workers, context, initializer=_open, initargs=encoder) as executor:
            yield lambda tasks: executor.map(_observe_pair, tasks)
    else:
        _open(*encoder)
        yield lambda tasks: map(_observe_pair, tasks)


def observe(
    work: Observe,
    seed: int,
    pairs: int,
    *,
    advance: Callable[[int, str], None],
    held_out: bool,
    real: tuple[list[Path], list[Path]] | None = None,
) -> Observations:
    """Make `pairs` pairs of look-alike originals and their variants, and embed them.

    Args:
        work: from `observers`.
        seed: must differ from the training's.
        pairs: how many pairs; with `real` at most as many as there are pictures for.
        advance: told of every finished pair.
        held_out: also use transforms that training never used, as a stream does; never where something is chosen.
        real: files of pictures and of recordings that become the originals instead of generated ones; neighbours in
            the lists are taken for look-alikes. Originals for which no recording is left have a generated sound.
    """
    tasks = [Task((seed, number), held_out) for number in range(pairs)]
    if real is not None:
        pictures, recordings = real
        tasks = [
            Task(task.seed, held_out, tuple(pictures[2 * n : 2 * n + 2]), tuple(recordings[2 * n : 2 * n + 2]))
            for n, task in enumerate(tasks[: len(pictures) // 2])
        ]
    made = []
    for result in work(tasks):
        made.append(result)
        advance(1, "")
    return Observations(
        {kind: np.concatenate([embeddings[kind] for embeddings, _ in made]) for kind in KINDS},
        {kind: [row for _, transforms in made for row in transforms[kind]] for kind in KINDS},
    )


def _open(folder: Path, tokenizer: str, image_size: int) -> None:
    global _encoder  # noqa: PLW0603 - one set of sessions a process
    cv2.setNumThreads(1)
    _encoder = GraphEncoder(folder, tokenizer, image_size)


def _observe_pair(task: Task) -> Observed:
    if _encoder is None:
        raise RuntimeError("the encoder of this process is not open")
    rng = np.random.default_rng([*task.seed, 31])
    originals = _originals(task, rng)
    transforms: dict[Kind, list[list[str]]] = {kind: [] for kind in KINDS}
    embeddings = {}
    for kind in KINDS:
        posts: list[object] = []
        for original in originals:
            vary = _VARY[kind] if task.held_out else functools.partial(_known, kind)
            parts: dict[Kind, object] = {
                "text": original.caption,
                "image": original.pixels,
                "audio": original.samples,
            }
            part = parts[kind]
            varied = [(part, ()), *(vary(part, rng) for _ in range(VARIANTS - 1))]
            posts += [item for item, _ in varied]
            transforms[kind].append(["+".join(names) for _, names in varied])
        rows = {"text": _encoder.texts, "image": _encoder.images, "audio": _encoder.sounds}[kind](posts)  # type: ignore[operator]
        embeddings[kind] = rows.reshape(len(originals), VARIANTS, -1)
    return embeddings, transforms


def _originals(task: Task, rng: np.random.Generator) -> list[Original]:
    if not task.images:
        return draw_originals(rng, 2, KINDS)
    told = captions.generate_siblings(rng, 2)
    heard = [read_sound(path) for path in task.sounds]
    if len(heard) < 2:
        heard = [made.samples for made in sounds.generate_siblings(rng, 2)]
    return [Original(told[n], read_image(path), heard[n]) for n, path in enumerate(task.images)]


_VARY: dict[Kind, Callable[..., tuple[object, tuple[str, ...]]]] = {
    "text": vary_caption,
    "image": vary_image,
    "audio": vary_sound,
}


_KNOWN: dict[Kind, Mapping[str, Callable[..., object]]] = {
    "text": caption_variants.TRAINED,
    "image": image_variants.TRAINED,
    "audio": sound_variants.TRAINED,
}
_UNCHANGED = 0.2


def _known(kind: Kind, part: object, rng: np.random.Generator) -> tuple[object, tuple[str, ...]]:
    """A part as it is, or changed by a transform that training used."""
    if rng.random() < _UNCHANGED:
        return part, ()
    name = list(_KNOWN[kind])[int(rng.integers(len(_KNOWN[kind])))]
    return _KNOWN[kind][name](part, rng), (name,)
