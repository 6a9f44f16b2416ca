"""What people do to a caption before they post it again: noise, disguise, editing.

`TRAINED` variants make training pairs; `HELD_OUT` ones are never used in training and only measure what was learnt.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random
from typing import Literal, TypeAlias

from numpy.random import Generator

from models.synthetic.vocabulary import CALLS, FEELINGS, LINKS, SYNONYMS, TIMES, pseudo_word

Variant: TypeAlias = Callable[[str, Generator], str]
_Change: TypeAlias = Callable[[str, Random], str]

_HOMOGLYPHS = {
    "a": "аɑα", "b": "Ьв", "c": "сϲ", "d": "ԁ", "e": "еёє", "g": "ɡ", "h": "һ", "i": "іıí", "j": "ј", "k": "κк",
    "l": "ӏ1", "m": "м", "n": "ոη", "o": "оο0", "p": "рρ", "q": "ԛ", "r": "г", "s": "ѕ", "t": "т", "u": "υս",
    "v": "ѵν", "w": "ԝω", "x": "хχ", "y": "уγ", "A": "АΑ", "B": "ВΒ", "C": "С", "E": "ЕΕ", "H": "НΗ", "I": "ІΙ",
    "K": "КΚ", "M": "МΜ", "N": "Ν", "O": "ОΟ", "P": "РΡ", "S": "Ѕ", "T": "ТΤ", "X": "ХΧ", "Y": "ΥУ",
}  # fmt: skip
_LEET = {"a": "4@", "b": "8", "e": "3", "g": "9", "i": "1!", "l": "1", "o": "0", "s": "5$", "t": "7+", "z": "2"}
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad"
_COMBINING = "\u0301\u0300\u0308\u0323\u0332\u0336\u0302\u030a"
_EMOJI = tuple("😀😂🔥🚀💰💯❤🎉👀🙏✨🌈🍕🐶⚽🎵📢✅⚠💀🌊🏠🎁🤑👇👉🥳😭🤔🌟")
_NEAR = {
    "q": "wa", "w": "qes", "e": "wrd", "r": "etf", "t": "ryg", "y": "tuh", "u": "yij", "i": "uok", "o": "ipl",
    "p": "ol", "a": "qsz",
    "s": "adwx", "d": "sfec", "f": "dgrv", "g": "fhtb", "h": "gjyn", "j": "hkum", "k": "jli", "l": "kop",
    "z": "xa", "x": "zcs", "c": "xvd", "v": "cbf", "b": "vng", "n": "bmh", "m": "nj",
}  # fmt: skip
_SENTENCE = re.compile(r"(?<=[.!?\n])\s+")
_WORD = re.compile(r"\w+(?:[-']\w+)*")


def _replaced(text: str, random: Random, table: dict[str, str], share: float) -> str:
    return "".join(
        random.choice(table[letter]) if letter in table and random.random() < share else letter for letter in text
    )


def _mistyped(text: str, random: Random, share: float) -> str:
    letters = list(text)
    for _ in range(max(1, round(len(letters) * share))):
        at = random.randrange(max(1, len(letters) - 1))
        if not letters[at : at + 1] or not letters[at].isalpha():
            continue
        kind = random.randrange(4)
        if kind == 0 and at + 1 < len(letters):
            letters[at], letters[at + 1] = letters[at + 1], letters[at]
        elif kind == 1:
            letters[at] = ""
        elif kind == 2:
            letters[at] *= 2
        else:
            letters[at] = random.choice(_NEAR.get(letters[at].lower(), letters[at]))
        letters = list("".join(letters))
    return "".join(letters)


def _interspersed(text: str, random: Random, marks: str, share: float) -> str:
    return "".join(
        letter + (random.choice(marks) if letter.isalnum() and random.random() < share else "") for letter in text
    )


def _reordered(text: str, random: Random) -> str:
    sentences = _SENTENCE.split(text)
    if len(sentences) < 2:
        sentences = re.split(r"(?<=,)\s+", text)
    if len(sentences) < 2:
        words = text.split(" ")
        turn = random.randrange(1, len(words)) if len(words) > 1 else 0
        sentences = [" ".join(words[:turn]), " ".join(words[turn:])]
    turn = random.randrange(1, len(sentences))
    return " ".join(part.strip() for part in sentences[turn:] + sentences[:turn]).strip()


def _extended(text: str, random: Random) -> str:
    extra = random.choice((random.choice(FEELINGS), random.choice(CALLS), random.choice(TIMES), pseudo_word(random)))
    if random.random() < 0.3:
        extra += f" https://{random.choice(LINKS)}-{pseudo_word(random)}.example"
    return f"{text} {extra}" if random.random() < 0.7 else f"{extra} - {text}"


def _cased(text: str, random: Random) -> str:
    kind = random.randrange(4)
    if kind == 3:
        return "".join(letter.upper() if random.random() < 0.5 else letter.lower() for letter in text)
    return (text.upper, text.lower, text.title)[kind]()


def _tagged(text: str, random: Random) -> str:
    bare = re.sub(r"\s*#\S+", "", text)
    tags = " ".join("#" + pseudo_word(random) for _ in range(random.randint(1, 3)))
    return f"{bare} {tags}".strip()


def _spaced(text: str, random: Random, share: float) -> str:
    mark = random.choice(" .-_ ")
    return " ".join(mark.join(word) if random.random() < share else word for word in text.split(" "))


def _dropped(text: str, random: Random, share: float) -> str:
    words = text.split(" ")
    kept = [word for word in words if random.random() >= share]
    return " ".join(kept if len(kept) >= max(1, len(words) // 2) else words)


def _repeated(text: str, random: Random, share: float) -> str:
    return " ".join(f"{word} {word}" if random.random() < share else word for word in text.split(" "))


def _reworded(text: str, random: Random, share: float) -> str:
    def other(match: re.Match[str]) -> str:
        word = match.group()
        choices = SYNONYMS.get(word.lower())
        if choices is None or random.random() >= share:
            return word
        fresh = random.choice(choices)
        return fresh.capitalize() if word[0].isupper() else fresh

    return _WORD.sub(other, text)


def _with_emoji(text: str, random: Random) -> str:
    words = text.split(" ")
    for _ in range(random.randint(2, 5)):
        words.insert(random.randint(0, len(words)), random.choice(_EMOJI) * random.randint(1, 2))
    return " ".join(words)


def _abridged(text: str, random: Random) -> str:
    words = text.split(" ")
    keep = max(3, round(len(words) * random.uniform(0.55, 0.8)))
    start = random.randint(0, max(0, len(words) - keep))
    return " ".join(words[start : start + keep])


_CHANGES: dict[str, _Change] = {
    "typos": lambda text, random: _mistyped(text, random, 0.05),
    "homoglyphs": lambda text, random: _replaced(text, random, _HOMOGLYPHS, 0.4),
    "zero-width": lambda text, random: _interspersed(text, random, _INVISIBLE, 0.3),
    "combining": lambda text, random: _interspersed(text, random, _COMBINING, 0.25),
    "reordered": _reordered,
    "appended": _extended,
    "case": _cased,
    "hashtags": _tagged,
    "spaced": lambda text, random: _spaced(text, random, 0.35),
    "dropped": lambda text, random: _dropped(text, random, 0.15),
    "repeated": lambda text, random: _repeated(text, random, 0.15),
    "synonyms": lambda text, random: _reworded(text, random, 1.0),
}
_UNSEEN: dict[str, _Change] = {
    "leetspeak": lambda text, random: _replaced(text, random, _LEET, 0.6),
    "emoji": _with_emoji,
    "abridged": _abridged,
}


def _variant(change: _Change) -> Variant:
    return lambda text, rng: change(text, Random(int(rng.integers(2**62))))


def edited(text: str, rng: Generator) -> str:
    """One letter changed, or about one in eight of the words that have a synonym."""
    random = Random(int(rng.integers(2**62)))
    return _mistyped(text, random, 0.0) if random.random() < 0.5 else _reworded(text, random, 0.125)


TRAINED: dict[str, Variant] = {name: _variant(change) for name, change in _CHANGES.items()}
HELD_OUT: dict[str, Variant] = {name: _variant(change) for name, change in _UNSEEN.items()}
_NAMES = tuple(_CHANGES)


def view(text: str, rng: Generator, strength: Literal["light", "heavy"]) -> str:
    """A random training view: no or one of the `TRAINED` changes when light, two or three of them when heavy."""
    random = Random(int(rng.integers(2**62)))
    count = random.randint(2, 3) if strength == "heavy" else random.randint(0, 1)
    for name in random.sample(_NAMES, count):
        text = _CHANGES[name](text, random)
    return text
