"""A text's letters as people read them, whatever they were typed with: what two texts are compared by."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LOOK_ALIKES: dict[str, str] = {
    "а": "a", "в": "b", "ь": "b", "с": "c", "ԁ": "d", "е": "e", "є": "e", "һ": "h", "і": "i", "ј": "j", "к": "k",
    "ӏ": "l", "м": "m", "н": "h", "о": "o", "р": "p", "ԛ": "q", "г": "r", "ѕ": "s", "т": "t", "у": "y", "х": "x",
    "ѵ": "v", "ԝ": "w", "з": "3", "ո": "n", "ս": "u", "օ": "o", "α": "a", "β": "b", "ϲ": "c", "ς": "c", "ε": "e",
    "η": "n", "ι": "i", "κ": "k", "ν": "v", "ο": "o", "ρ": "p", "τ": "t", "υ": "u", "ω": "w", "χ": "x", "γ": "y",
    "ɑ": "a", "ɡ": "g", "ı": "i", "ł": "l", "ø": "o", "đ": "d", "ß": "ss", "æ": "ae", "œ": "oe",
    "’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "...",
}  # fmt: skip
"""Letters of other alphabets that look like Latin ones. Both sides of a comparison are folded, so nothing is lost
that a comparison of captions needs."""

_DIGITS = str.maketrans("01l3457892", "oiieastbgz")
"""Digits for letters, also in numbers: both sides are read so. `1` stands for either of two letters; they are one."""

_SIGNS = {"@": "a", "$": "s", "!": "i", "|": "i", "+": "t"}
_SIGN_IN_WORD = re.compile(r"[@$!|+](?=[^\W_])")
_NO_LETTER = re.compile(r"[\W_]+")
_HIDDEN = frozenset({"Mn", "Cf", "Cc"})
LEAST_LETTERS = 3
"""A text of fewer is compared by its signs: there are captions of nothing but pictures."""


def folded(text: str) -> str:
    """The letters of a text one after another: look-alikes, case, marks, spaces and signs between them are gone."""
    plain = unicodedata.normalize("NFKD", text).lower()
    plain = "".join(
        LOOK_ALIKES.get(letter, letter) for letter in plain if unicodedata.category(letter) not in _HIDDEN
    )
    read = _SIGN_IN_WORD.sub(lambda sign: _SIGNS[sign.group()], plain).translate(_DIGITS)
    letters = _NO_LETTER.sub("", read)
    return letters if len(letters) >= LEAST_LETTERS else "".join(plain.split())


def letter_maps(texts: Sequence[str], rows: int, columns: int) -> NDArray[np.uint8]:
    """The folded letters of texts in UTF-8, row by row and then zeros: uint8 (n, rows, columns).

    What does not fit is left out, at the end of a letter.
    """
    size = rows * columns
    maps = np.zeros((len(texts), size), dtype=np.uint8)
    for place, text in enumerate(texts):
        cut = folded(text).encode()[:size].decode(errors="ignore").encode()
        maps[place, : len(cut)] = np.frombuffer(cut, dtype=np.uint8)
    return maps.reshape(len(texts), rows, columns)
