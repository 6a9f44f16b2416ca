"""Procedural captions: English from templates over our own vocabulary, and invented languages in several scripts.

A caption is a list of pieces; a piece with a slot was drawn and can be drawn again. Siblings keep the sentences and
draw the decisive slots anew, so they read alike and say something else.
"""

from __future__ import annotations

import re
from random import Random
from typing import TYPE_CHECKING, TypeAlias

from models.synthetic.vocabulary import (
    CALLS,
    DOMAINS,
    FEELINGS,
    LINKS,
    PEOPLE,
    SCRIPTS,
    TIMES,
    TOPICS,
    Topic,
    lexicon,
    pseudo_word,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.random import Generator

_Piece: TypeAlias = tuple[str, str]
"""The slot it was drawn from ("" for fixed text) and the text."""

_TEMPLATES = (
    "{feeling}, {person} will {verb} the {adjective} {noun} {time}",
    "{adjective} {noun} for {price}, {call}",
    "Who else wants to {verb} a {noun} at the {place}?",
    "{person} told me to {verb} this {adjective} {noun} {time}",
    "The {noun} in the {place} is {adjective} and the {noun} is {adjective}",
    "{call}: {adjective} {noun} at the {place} {time}",
    "Never {verb} a {noun} without a {noun}",
    "{number} reasons to {verb} your {noun} {time}",
    "{feeling}! {noun} and {noun} at the {place}",
    "Looking for a {adjective} {noun} near the {place}, {call}",
    "{time} we {verb} the {noun}, {time} we {verb} the {noun}",
    "Did {person} really {verb} {number} {noun} {time}?",
    "My {noun} is {adjective}, my {noun} is {adjective}, {feeling}",
    "How to {verb} a {adjective} {noun} in {number} steps",
    "{person} at the {place} with a {adjective} {noun}",
    "{noun} > {noun}, {feeling}",
    "{verb} the {noun}, {verb} the {noun}, {verb} the {noun}",
    "Only {number} left! {adjective} {noun} {price}",
    "{handle} look at this {adjective} {noun}, {feeling}",
    "They don't want you to {verb} the {noun} at the {place}",
    "Update {time}: {person} will {verb} the {noun} near the {place}",
    "I used to {verb} every {noun}, then {person} showed me the {adjective} {noun}",
    "If you {verb} the {noun} {time} you get a {adjective} {noun}",
    "POV: {person} has to {verb} a {adjective} {noun}",
    "the {adjective} {noun} of {pseudo} is at the {place} {time}",
    "Say it with {pseudo}: {verb} the {noun}!",
)
_TAILS = (
    "#{tag} #{tag}",
    "#{tag}",
    "{url}",
    "{handle}",
    "{call}",
    "{feeling}",
    "{call} {url}",
    "#{tag} #{tag} #{tag} {url}",
    "{feeling}. {call}!",
    "{price} {url}",
)
_LANGUAGES = 1500
"""So many invented languages; their words are kept once made, which is what makes captions cheap."""
_TOPIC_NAMES = tuple(TOPICS)
_SLOT = re.compile(r"\{(\w+)\}")


def _parsed(template: str) -> tuple[_Piece, ...]:
    parts = _SLOT.split(template)
    return tuple(("", part) if index % 2 == 0 else (part, "") for index, part in enumerate(parts) if part)


_SENTENCES = tuple(_parsed(template) for template in _TEMPLATES)
_ENDS = tuple(_parsed(template) for template in _TAILS)
_DECISIVE = frozenset({"noun", "verb", "adjective", "place", "person", "number", "price", "pseudo", "word"})


def _price(random: Random) -> str:
    amount = random.choice((f"{random.randint(1, 999)}", f"{random.randint(1, 99)}.99"))
    return random.choice(("$", "€", "£", "USD ")) + amount


def _tag(random: Random, topic: Topic) -> str:
    word = random.choice((random.choice(topic.nouns), random.choice(topic.adjectives), pseudo_word(random)))
    return word.replace(" ", "")


_DRAWS: dict[str, Callable[[Random, Topic], str]] = {
    "noun": lambda random, topic: random.choice(topic.nouns),
    "verb": lambda random, topic: random.choice(topic.verbs),
    "adjective": lambda random, topic: random.choice(topic.adjectives),
    "place": lambda random, topic: random.choice(topic.places),
    "person": lambda random, _: random.choice(PEOPLE),
    "time": lambda random, _: random.choice(TIMES),
    "feeling": lambda random, _: random.choice(FEELINGS),
    "call": lambda random, _: random.choice(CALLS),
    "number": lambda random, _: str(random.randint(2, 9999 if random.random() < 0.3 else 60)),
    "price": lambda random, _: _price(random),
    "handle": lambda random, topic: f"@{pseudo_word(random)}_{random.choice(topic.nouns).replace(' ', '_')}",
    "tag": _tag,
    "url": lambda random, _: f"https://{random.choice(LINKS)}-{pseudo_word(random)}{random.choice(DOMAINS)}",
    "pseudo": lambda random, _: pseudo_word(random, random.choice(SCRIPTS)),
}


def _topic_of(random: Random, name: str | None) -> Topic:
    """A topic; in three of ten captions of no given topic some of its words are of no language."""
    if name is not None:
        return TOPICS[name]
    topic = TOPICS[random.choice(_TOPIC_NAMES)]
    if random.random() >= 0.3:
        return topic
    words = lexicon(random.randrange(_LANGUAGES))
    return Topic(words[:20], topic.verbs if random.random() < 0.5 else words[20:30], topic.adjectives, words[30:40])


def _english(random: Random, topic: Topic, least: int) -> list[_Piece]:
    pieces: list[_Piece] = []
    for _ in range(least if random.random() < 0.6 else least + random.randint(0, 2)):
        for slot, text in random.choice(_SENTENCES):
            pieces.append((slot, text or _DRAWS[slot](random, topic)))
        ends = (" ", "\n") if pieces[-1][1][-1] in "!?." else (". ", ". ", "! ", " ... ", "\n")
        pieces.append(("", random.choice(ends)))
    if random.random() < 0.6:
        pieces.extend((slot, text or _DRAWS[slot](random, topic)) for slot, text in random.choice(_ENDS))
    return pieces


def _invented(random: Random, words: tuple[str, ...]) -> list[_Piece]:
    """Five to thirty words of an invented language, the first of its lexicon the most frequent."""
    glue = "" if "\u3040" <= words[0][0] <= "\u9fff" else " "
    pieces: list[_Piece] = []
    for index in range(random.randint(5, 30 if random.random() < 0.5 else 14)):
        word = words[int(len(words) * random.random() ** 2)]
        pieces.append(("word" if len(word) > 2 or not glue else "", word.capitalize() if index == 0 else word))
        pieces.append(("", glue if random.random() < 0.85 else random.choice((", ", ". ", "! ", "? "))))
    return pieces


def _mentions(random: Random, about: Sequence[str], topic: Topic) -> list[_Piece]:
    """A sentence that names every word of `about`."""
    words = list(about)
    random.shuffle(words)
    joined = ", ".join(words[:-1]) + (" and " if len(words) > 1 else "") + words[-1]
    pieces: list[_Piece] = [("", random.choice(("look: ", "", "this is ", "here we have ", "today: ", "")) + joined)]
    if random.random() < 0.7:
        pieces += [("", " at the "), ("place", _DRAWS["place"](random, topic))]
    return [*pieces, ("", ". ")]


def _composed(random: Random, about: Sequence[str], name: str | None) -> tuple[list[_Piece], Topic, tuple[str, ...]]:
    """Pieces, and the topic and the lexicon to draw them anew from (the lexicon is empty when no piece needs it)."""
    topic = _topic_of(random, name)
    if about:
        mentions, rest = _mentions(random, about, topic), _english(random, topic, 1)
        return (mentions + rest if random.random() < 0.5 else [*rest, ("", " "), *mentions]), topic, ()
    if name is None and random.random() < 0.25:
        words = lexicon(random.randrange(_LANGUAGES))
        return _invented(random, words), topic, words
    return _english(random, topic, 1 if name is None else 2), topic, ()


def _rendered(pieces: list[_Piece]) -> str:
    return "".join(text for _, text in pieces).strip(" \n,")


def generate_caption(rng: Generator, about: Sequence[str] = (), topic: str | None = None) -> str:
    """A random caption of about 5 to 40 words.

    Args:
        rng: source of every choice; the same state gives the same caption.
        about: words that the caption has to mention, for example the colours of its image.
        topic: a key of `vocabulary.TOPICS` for English of at least two sentences about it; None draws anything.

    Raises:
        KeyError: an unknown topic.
    """
    pieces, _, _ = _composed(Random(int(rng.integers(2**62))), about, topic)
    return _rendered(pieces)


def _redrawn(
    random: Random, pieces: list[_Piece], topic: Topic, words: tuple[str, ...], share: float
) -> list[_Piece]:
    decisive = [index for index, (slot, _) in enumerate(pieces) if slot in _DECISIVE]
    count = min(len(decisive), max(3, round(share * len(decisive))))
    fresh = list(pieces)
    for index in random.sample(decisive, count):
        slot, text = pieces[index]
        for _ in range(4):
            other = random.choice(words) if slot == "word" else _DRAWS[slot](random, topic)
            if other != text:
                fresh[index] = (slot, other)
                break
    return fresh


def generate_siblings(rng: Generator, count: int, about: Sequence[str] = (), topic: str | None = None) -> list[str]:
    """`count` captions of the same sentences that differ in decisive words, so not the same."""
    random = Random(int(rng.integers(2**62)))
    pieces, drawn, words = _composed(random, about, topic)
    share = random.uniform(0.5, 1.0)
    return [_rendered(_redrawn(random, pieces, drawn, words, share)) for _ in range(count)]
