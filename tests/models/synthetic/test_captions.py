"""Procedural captions."""

import numpy as np

from models.synthetic.captions import generate_caption, generate_siblings
from models.synthetic.vocabulary import SYNONYMS, TOPICS


def test_the_same_state_gives_the_same_caption() -> None:
    first, second = ([generate_caption(rng) for _ in range(20)] for rng in map(np.random.default_rng, (4, 4)))
    assert first == second


def test_captions_hardly_ever_repeat() -> None:
    rng = np.random.default_rng(0)
    assert len({generate_caption(rng) for _ in range(1000)}) > 990


def test_captions_have_the_length_of_captions() -> None:
    rng = np.random.default_rng(1)
    spaced = [text for text in (generate_caption(rng) for _ in range(500)) if text.isascii()]
    counts = [len(text.split()) for text in spaced]
    assert np.percentile(counts, 2) >= 4
    assert max(counts) <= 60
    assert len(spaced) > 150


def test_captions_come_in_several_scripts() -> None:
    rng = np.random.default_rng(2)
    text = "".join(generate_caption(rng) for _ in range(400))
    for low, high in (("а", "я"), ("α", "ω"), ("一", "鿿"), ("가", "힣"), ("á", "ü")):
        assert any(low <= letter <= high for letter in text), low


def test_captions_mention_what_they_are_about() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        caption = generate_caption(rng, ["turquoise", "zebra", "rising"])
        assert all(word in caption for word in ("turquoise", "zebra", "rising"))


def test_siblings_share_most_words_and_are_all_different() -> None:
    rng = np.random.default_rng(4)
    shared = []
    for _ in range(200):
        siblings = generate_siblings(rng, 3, topic="money")
        assert len(set(siblings)) == 3
        first, second = (set(text.split()) for text in siblings[:2])
        shared.append(len(first & second) / len(first | second))
    assert 0.25 < np.mean(shared) < 0.85


def test_a_topic_names_its_nouns() -> None:
    rng = np.random.default_rng(5)
    words = " ".join(TOPICS["animals"].nouns)
    text = " ".join(generate_caption(rng, topic="animals") for _ in range(40))
    assert sum(noun in text for noun in TOPICS["animals"].nouns) > len(words.split()) / 2


def test_no_word_is_its_own_synonym() -> None:
    assert all(word not in others and others for word, others in SYNONYMS.items())
