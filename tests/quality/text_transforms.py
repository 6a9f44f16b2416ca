"""What is done to a caption before it is posted again: the list that docs/quality.md reports."""

from __future__ import annotations

import re
from random import Random
from typing import TYPE_CHECKING

from models.synthetic import caption_variants
from tests.quality.words import PARAPHRASES

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    Transform = Callable[[str, np.random.Generator], str]

SHARE = 0.3
"""Of the words of a text that a paraphrase replaces, as far as it knows other words for them."""

_WORD = re.compile(r"\w+(?:[-']\w+)*")
_LEFT_OUT = ("spaced", "dropped", "repeated")


def paraphrase(text: str, rng: np.random.Generator) -> str:
    """Replace up to SHARE of the words by synonyms that training never used."""
    random = Random(int(rng.integers(2**62)))
    words = list(_WORD.finditer(text))
    known = [word for word in words if word.group().lower() in PARAPHRASES]
    chosen = random.sample(known, min(len(known), max(1, round(SHARE * len(words)))))
    for word in sorted(chosen, key=lambda match: -match.start()):
        other = random.choice(PARAPHRASES[word.group().lower()])
        other = other.capitalize() if word.group()[0].isupper() else other
        text = text[: word.start()] + other + text[word.end() :]
    return text


def replaced_share(text: str, changed: str) -> float:
    """The share of a text's words that the changed one lacks."""
    words = [word.lower() for word in _WORD.findall(text)]
    left = [word.lower() for word in _WORD.findall(changed)]
    gone = sum(max(0, words.count(word) - left.count(word)) for word in set(words))
    return gone / max(1, len(words))


TRANSFORMS: dict[str, Transform] = {
    name: transform for name, transform in caption_variants.TRAINED.items() if name not in _LEFT_OUT
} | (caption_variants.HELD_OUT | {"paraphrase": paraphrase})

UNSEEN: frozenset[str] = frozenset({*caption_variants.HELD_OUT, "paraphrase"})
"""Those of no training view."""

REWORDED: frozenset[str] = frozenset({"synonyms", "paraphrase"})
"""Those that keep the meaning and change the words; the others are edits."""
