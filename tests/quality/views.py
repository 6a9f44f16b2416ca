"""Originals, altered copies and distractors as features of every recogniser, made once and kept under build/."""

from __future__ import annotations

import ast
import functools
import hashlib
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from models.synthetic import captions
from tests.quality import audio_transforms, image_transforms, originals, recognisers, text_transforms, words
from tests.quality.originals import SEEDS, distractors, group_of, make
from tests.quality.recognisers import COMPACT, PEERS, VERIFIED, BundlePart, VerifiedPart, shipped_bundle
from tests.servers import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from models.bundle import Bundle
    from models.training.kinds import Kind
    from tests.quality.originals import Source, Split, Take
    from tests.quality.recognisers import Features, Recogniser

TRANSFORMS: dict[Kind, dict[str, Callable[[Any, np.random.Generator], Any]]] = {
    "text": text_transforms.TRANSFORMS,
    "image": image_transforms.TRANSFORMS,
    "audio": audio_transforms.TRANSFORMS,
}
UNSEEN: dict[Kind, frozenset[str]] = {
    "text": text_transforms.UNSEEN,
    "image": image_transforms.UNSEEN,
    "audio": audio_transforms.UNSEEN,
}
CHUNK = 24
"""Distractors of one task."""

_MODULES = (audio_transforms, image_transforms, text_transforms, words, originals, recognisers)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is looked at: the queries of one kind, source and split.

    Attributes:
        originals, distractors: at most so many.
        each: altered copies of every original, drawn at random; 0 makes one with every transform.
        systems: names of recognisers of this kind.
    """

    kind: Kind
    source: Source
    split: Split
    originals: int
    distractors: int
    each: int
    systems: tuple[str, ...]
    media: Path | None


@dataclass(frozen=True)
class Views:
    """Features by recogniser.

    Attributes:
        references: of the originals, (n, ...).
        copies: of altered copies, (copies, ...).
        distractors: of items without an original, (d, ...).
        owner: int64 (copies,) which original a copy is of.
        names: (copies,) its transform.
        groups: (n,) originals of one group are neither the same nor surely different.
    """

    references: dict[str, Features]
    copies: dict[str, Features]
    distractors: dict[str, Features]
    owner: NDArray[np.int64]
    names: list[str]
    groups: list[str | None]


@dataclass(frozen=True, slots=True)
class Task:
    """A few takes of one process: each with copies by `transforms`, or each changed by one of them at random."""

    kind: Kind
    takes: tuple[Take, ...]
    transforms: tuple[str, ...]
    seed: tuple[int, ...]
    systems: tuple[str, ...]
    distracting: bool = False


class Workers:
    """Processes that make and embed items."""

    def __init__(self, run: Callable[[Callable[..., Any], Iterable[Any]], Iterable[Any]]) -> None:
        self.map = run


@contextmanager
def workers(count: int) -> Iterator[Workers]:
    """So many processes; with 0 the work is done in this one."""
    if not count:
        yield Workers(map)
        return
    with ProcessPoolExecutor(count, get_context("spawn"), initializer=cv2.setNumThreads, initargs=(1,)) as executor:
        yield Workers(executor.map)


@functools.cache
def bundle() -> Bundle:
    """The shipped bundle, opened once a process."""
    return shipped_bundle()


@functools.cache
def recogniser(name: str, kind: Kind) -> Recogniser:
    """The recogniser of this name, opened once a process.

    Raises:
        Missing: what it needs is not installed.
    """
    part = BundlePart(bundle(), kind)
    return part if name == COMPACT else VerifiedPart(part, kind) if name == VERIFIED else PEERS[name][2]()


def observe(plan: Plan, work: Workers, keep: Path | None = ROOT / "build" / "quality") -> Views | None:
    """Make the views of a plan, or read what an earlier run kept; None where its source is not there."""
    takes = originals.originals(plan.kind, plan.source, plan.split, plan.originals, plan.media)
    if not takes:
        return None
    changed = [_of_original(plan, number, take) for number, take in enumerate(takes)]
    own = features(f"{plan.source}-{plan.split}", changed, work, keep)
    others = _of_distractors(plan, len(takes))
    ends = np.cumsum([1 + len(task.transforms) for task in changed])
    first = np.append(0, ends[:-1])
    return Views(
        references={name: rows[first] for name, rows in own.items()},
        copies={name: np.delete(rows, first, axis=0) for name, rows in own.items()},
        distractors=features(f"distractors-{plan.split}", others, work, keep) if others else {},
        owner=np.repeat(np.arange(len(takes)), ends - first - 1),
        names=[name for task in changed for name in task.transforms],
        groups=[group_of(take) for take in takes],
    )


def _of_original(plan: Plan, number: int, take: Take) -> Task:
    every, seed = tuple(TRANSFORMS[plan.kind]), (SEEDS[plan.split], 7, number)
    if plan.each:
        picked = np.random.default_rng(seed).choice(len(every), plan.each, replace=False)
        every = tuple(every[at] for at in picked)
    return Task(plan.kind, (take,), every, seed, plan.systems)


def _of_distractors(plan: Plan, kept: int) -> list[Task]:
    every = tuple(TRANSFORMS[plan.kind])
    others = distractors(plan.kind, plan.source, plan.split, plan.distractors, kept)
    return [
        Task(
            plan.kind,
            tuple(others[at : at + CHUNK]),
            every,
            (SEEDS[plan.split], 8, at),
            plan.systems,
            distracting=True,
        )
        for at in range(0, len(others), CHUNK)
    ]


def features(label: str, tasks: Sequence[Task], work: Workers, keep: Path | None) -> dict[str, Features]:
    """The rows of all tasks, one after the other, by recogniser; from the folder `keep` when they have been made."""
    path = None if keep is None else keep / f"{tasks[0].kind}-{label}-{_digest(tasks)}.npz"
    if path is not None and path.exists():
        with np.load(path) as kept:
            return {name: kept[name] for name in tasks[0].systems}
    made = list(work.map(run_task, tasks))
    joined = {name: np.concatenate([rows[name] for rows in made]) for name in tasks[0].systems}
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, **joined)  # type: ignore[arg-type]  # of names that are no keyword of it
    return joined


def run_task(task: Task) -> dict[str, Features]:
    """Make the items of a task, and their features by recogniser."""
    rng, table = np.random.default_rng(task.seed), TRANSFORMS[task.kind]
    items: list[Any] = []
    for take in task.takes:
        item = make(take)
        if not task.distracting:
            items += [item, *(table[name](item, rng) for name in task.transforms)]
        elif rng.random() < 0.5:
            items.append(item)
        else:
            items.append(table[task.transforms[int(rng.integers(len(task.transforms)))]](item, rng))
    return features_of(items, task.kind, task.systems)


def features_of(items: Sequence[Any], kind: Kind, systems: Sequence[str]) -> dict[str, Features]:
    """The rows of some items by recogniser; what both need of the bundle is made once."""
    both = VERIFIED in systems and COMPACT in systems
    found = {name: recogniser(name, kind).features(items) for name in systems if not both or name != COMPACT}
    if both:
        found[COMPACT] = VerifiedPart(BundlePart(bundle(), kind), kind).embeddings(found[VERIFIED])
    return found


def _digest(tasks: Sequence[Task]) -> str:
    """Of everything that features come from: takes, transforms, their code, the bundle."""
    digest = hashlib.sha256(repr((bundle().bundle_id, tasks)).encode())
    code = [*Path(captions.__file__).parent.glob("*.py"), *(Path(str(module.__file__)) for module in _MODULES)]
    for path in sorted(code):
        digest.update(ast.dump(ast.parse(path.read_bytes())).encode())  # comments and layout change nothing
    return digest.hexdigest()[:12]
