"""Pairs that look, sound or read alike and are not the same: what a cosine alone cannot be trusted with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np

from models.synthetic import captions, sounds
from models.synthetic.originals import draw_originals
from models.synthetic.oscillators import level
from models.synthetic.vocabulary import TOPICS
from tests.quality.metrics import reached
from tests.quality.originals import sentences
from tests.quality.report import LookAlikes
from tests.quality.views import recogniser
from tests.quality.words import AUXILIARIES, OPPOSITES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from models.training.kinds import Kind
    from tests.quality.recognisers import Features
    from tests.quality.views import Workers

SEED = 88_303
CHUNK = 20
"""Pairs of one task."""

_JINGLES = ("melody", "chords", "bells", "song", "synthesiser", "drums")
_WORD = re.compile(r"\w+")


def turned(text: str, rng: np.random.Generator) -> str | None:
    """The text with one decisive word changed: a number, a thing, an opposite, a "not"; None where it has none."""
    random = Random(int(rng.integers(2**62)))
    edits = list(_edits(text, random))
    if not edits:
        return None
    start, end, other = random.choice(edits)
    return text[:start] + other + text[end:]


def _edits(text: str, random: Random) -> Iterator[tuple[int, int, str]]:
    for match in _WORD.finditer(text):
        word = match.group()
        other = None
        if word.isdigit():
            other = str(int(word) + random.choice((1, 5, 40, 300)))
        elif word.lower() in OPPOSITES:
            other = OPPOSITES[word.lower()]
        elif word.lower() in AUXILIARIES:
            other = f"{word} not"
        elif rivals := _RIVALS.get(word.lower()):
            other = random.choice(rivals)
        if other is not None:
            yield match.start(), match.end(), other.capitalize() if word[0].isupper() else other


_RIVALS: dict[str, tuple[str, ...]] = {
    word: tuple(other for other in words if other != word)
    for topic in TOPICS.values()
    for words in (topic.nouns, topic.verbs, topic.adjectives, topic.places)
    for word in words
}
"""Other words of the same part in the same topic."""


def other_words(rng: np.random.Generator) -> tuple[Any, Any]:
    """One jingle, as loud as what two voices say over it."""
    kind = _JINGLES[int(rng.integers(len(_JINGLES)))]
    jingle = level(sounds.generate_sound(rng, 5.0, kind).samples)
    said = [level(sounds.generate_sound(rng, 5.0, "speech").samples) for _ in range(2)]
    first, second = (np.asarray((jingle + one) / 2, dtype=np.float32) for one in said)
    return first, second


def siblings(kind: Kind) -> Callable[[np.random.Generator], tuple[Any, Any]]:
    """Two originals of one layout, timbre or wording, see `models.synthetic.originals.draw_originals`."""

    def pair(rng: np.random.Generator) -> tuple[Any, Any]:
        first, second = draw_originals(rng, 2, (kind,))
        field = {"text": "caption", "image": "pixels", "audio": "samples"}[kind]
        return getattr(first, field), getattr(second, field)

    return pair


def _turned_caption(rng: np.random.Generator) -> tuple[Any, Any]:
    while True:
        text = captions.generate_caption(rng)
        if (other := turned(text, rng)) is not None:
            return text, other


def _turned_sentence(rng: np.random.Generator) -> tuple[Any, Any]:
    known = sentences("report")
    while True:
        text = known[int(rng.integers(len(known)))].text
        if (other := turned(text, rng)) is not None:
            return text, other


PAIRS: dict[str, tuple[Kind, Callable[[np.random.Generator], tuple[Any, Any]]]] = {
    "captions, one decisive word changed": ("text", _turned_caption),
    "real sentences, one decisive word changed": ("text", _turned_sentence),
    "captions of the same sentences, other words": ("text", siblings("text")),
    "images of one layout, palette and light": ("image", siblings("image")),
    "sounds of one timbre and tempo, other notes": ("audio", siblings("audio")),
    "one jingle, other words spoken over it": ("audio", other_words),
}
"""By name: the kind, and what makes one pair."""


@dataclass(frozen=True, slots=True)
class Task:
    """Pairs with these numbers of one sort."""

    what: str
    numbers: range
    systems: tuple[str, ...]


def run_pairs(task: Task) -> dict[str, tuple[Features, Features]]:
    """Make pairs, and the features of both sides by recogniser."""
    kind, pair = PAIRS[task.what]
    sort = list(PAIRS).index(task.what)
    made = [pair(np.random.default_rng([SEED, sort, number])) for number in task.numbers]
    first, second = ([one[side] for one in made] for side in (0, 1))
    return {
        name: (recogniser(name, kind).features(first), recogniser(name, kind).features(second))
        for name in task.systems
    }


def measure_look_alikes(
    count: int,
    systems: Mapping[Kind, Sequence[str]],
    thresholds: Mapping[Kind, Mapping[str, Mapping[str, float]]],
    work: Workers,
) -> list[LookAlikes]:
    """How many of `count` pairs of each sort are taken for the same.

    Args:
        count: pairs.
        systems: names of recognisers by kind; kinds that are not in it are left out.
        thresholds: by kind, recogniser and title.
        work: where they are made.
    """
    found = []
    for what, (kind, _) in PAIRS.items():
        if kind not in systems:
            continue
        known = tuple(systems[kind])
        starts = range(0, count, CHUNK)
        tasks = [Task(what, range(start, min(start + CHUNK, count)), known) for start in starts]
        made = list(work.map(run_pairs, tasks))
        matched = {}
        for name in known:
            scores = np.concatenate([np.diagonal(recogniser(name, kind).scores(*rows[name])) for rows in made])
            matched[name] = {
                title: int(reached(scores, value).sum()) for title, value in thresholds[kind][name].items()
            }
        found.append(LookAlikes(what, kind, count, matched))
    return found
