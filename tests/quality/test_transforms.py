"""The transforms of each kind: what they give, and which of them no training has seen."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from models.synthetic import caption_variants, image_variants, sound_variants
from models.synthetic.vocabulary import SYNONYMS
from tests.quality.look_alikes import PAIRS, turned
from tests.quality.originals import Generated, make
from tests.quality.text_transforms import paraphrase, replaced_share
from tests.quality.views import TRANSFORMS, UNSEEN
from tests.quality.words import OPPOSITES, PARAPHRASES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.training.kinds import Kind

TRAINED: dict[Kind, Mapping[str, object]] = {
    "text": caption_variants.TRAINED,
    "image": image_variants.TRAINED,
    "audio": sound_variants.TRAINED,
}
EVERY = [(kind, name) for kind, table in TRANSFORMS.items() for name in table]


@pytest.fixture(scope="module")
def items() -> dict[Kind, Any]:
    made = {kind: make(Generated(kind, "calibration", 5, 0)) for kind in ("image", "audio")}
    return made | {
        "text": "Buy this new phone today, our friend is happy. Never seen a ticket near the market? #deal"
    }


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_a_transform_gives_another_item_of_its_kind(items: dict[Kind, Any], kind: Kind, name: str) -> None:
    item, transform = items[kind], TRANSFORMS[kind][name]
    before = item if kind == "text" else item.copy()
    made = transform(item, np.random.default_rng(4))
    again = transform(item, np.random.default_rng(4))
    assert np.array_equal(item, before)
    if kind == "text":
        assert isinstance(made, str)
        assert made.strip()
        assert made != item
        assert made == again
        return
    assert made.dtype == item.dtype
    assert made.ndim == item.ndim
    assert np.array_equal(made, again)
    assert made.shape != item.shape or not np.array_equal(made, item)
    if kind == "audio":
        assert np.abs(made).max() <= 1.0 + 1e-6


@pytest.mark.parametrize("kind", list(TRANSFORMS))
def test_at_least_a_quarter_of_the_transforms_is_new_to_training(kind: Kind) -> None:
    assert UNSEEN[kind] <= TRANSFORMS[kind].keys()
    assert len(UNSEEN[kind]) >= len(TRANSFORMS[kind]) / 4


@pytest.mark.parametrize("kind", list(TRANSFORMS))
def test_what_is_not_marked_new_is_what_training_calls_trained(kind: Kind) -> None:
    assert set(TRANSFORMS[kind]) - UNSEEN[kind] <= TRAINED[kind].keys()


def test_no_training_view_of_an_image_shrinks_it_and_back() -> None:
    source = inspect.getsource(image_variants)
    views = source[source.index("def light(") :]
    assert all(f"def {name}(" in views for name in ("light", "single", "heavy", "view"))
    assert "crop(" in views
    assert "_STRONG" in views
    assert not [
        name for name in ("shrink(", "screenshot(", "sticker(", "_filter(", "_skew(", "_lines(") if name in views
    ]


def test_no_training_view_of_a_recording_uses_what_is_held_out() -> None:
    source = inspect.getsource(sound_variants)
    views = source[source.index("def _fitted(") :]
    assert "pitch_shifted(" in views
    assert not [
        name
        for name in ("_low_pass", "_spoken_over", "_overdriven", "oscillators.band", "generate_sound")
        if name in views
    ]


def test_a_paraphrase_replaces_at_most_its_share_of_words_and_keeps_the_rest() -> None:
    text = "Never grab the ticket near the market, only my cousin could return it in the morning"
    shares = [replaced_share(text, paraphrase(text, np.random.default_rng(seed))) for seed in range(20)]
    assert 0.1 < np.mean(shares) <= 0.35


def test_paraphrases_are_in_no_table_that_training_used() -> None:
    pairs = [(word, other) for word, others in PARAPHRASES.items() for other in others]
    assert not [
        pair for pair in pairs if pair[1] in SYNONYMS.get(pair[0], ()) or pair[0] in SYNONYMS.get(pair[1], ())
    ]
    assert not [word for word, other in pairs if word == other]


def test_a_turned_text_differs_in_one_place() -> None:
    text = "Buy 12 fresh tickets, they are free"
    made = {turned(text, np.random.default_rng(seed)) for seed in range(40)}
    assert {"Sell 12 fresh tickets, they are free", "Buy 12 fresh tickets, they are not free"} <= made
    assert all(one is not None and one != text for one in made)
    assert turned("hmm, ok", np.random.default_rng(0)) is None


def test_opposites_go_both_ways() -> None:
    assert OPPOSITES["buy"] == "sell"
    assert OPPOSITES["sell"] == "buy"


@pytest.mark.parametrize("what", list(PAIRS))
def test_look_alikes_differ_and_come_again(what: str) -> None:
    _, pair = PAIRS[what]
    first, second = pair(np.random.default_rng(3))
    again, _ = pair(np.random.default_rng(3))
    assert not np.array_equal(first, second)
    assert np.array_equal(first, again)
