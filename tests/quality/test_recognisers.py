"""Every peer and the bundle: features of real items, scores that tell the same from others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models.synthetic.oscillators import RATE
from tests.conftest import lacks
from tests.quality.originals import Generated, make
from tests.quality.recognisers import COMPACT, MINILM, PEERS, Chromaprint, Recogniser, Tlsh, folded, needed
from tests.quality.views import recogniser
from tests.servers import Missing

NAMES = [
    (COMPACT, "text"),
    (COMPACT, "image"),
    (COMPACT, "audio"),
    *((name, kind) for name, (kind, *_) in PEERS.items()),
]


def opened(name: str, kind: str) -> Recogniser:
    """The recogniser, or a word about what it lacks."""
    try:
        if name in PEERS:
            needed(PEERS[name][1])
        return recogniser(name, kind)
    except Missing as missing:
        lacks(str(missing))


def fingerprint(*items: int) -> np.ndarray[Any, np.dtype[np.uint32]]:
    """A row of `Chromaprint.features`."""
    row = np.zeros(1 + Chromaprint().longest, dtype=np.uint32)
    row[0], row[1 : 1 + len(items)] = len(items), items
    return row


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("name", "kind"), [pair for pair in NAMES if pair[0] != MINILM])
def test_an_item_is_most_like_itself(name: str, kind: str) -> None:
    one = opened(name, kind)
    items = [make(Generated(kind, "calibration", 6, number)) for number in range(6)]
    rows = one.features(items)
    scores = one.scores(rows, rows)
    assert len(rows) == len(items)
    assert scores.shape == (6, 6)
    assert scores.dtype == np.float32
    hashed = np.diagonal(scores) > -np.inf
    assert hashed.sum() >= 3  # Chromaprint has too little of what is shorter than 3.1 seconds
    assert (scores.argmax(axis=1) == np.arange(6))[hashed].all()


@pytest.mark.parametrize(("name", "kind"), [pair for pair in NAMES if pair[0] != MINILM])
def test_features_do_not_depend_on_the_other_items(name: str, kind: str) -> None:
    one = opened(name, kind)
    items = [make(Generated(kind, "calibration", 6, number)) for number in range(3)]
    together, alone = one.features(items), np.concatenate([one.features([item]) for item in items])
    if together.dtype == np.float32:
        np.testing.assert_allclose(together, alone, atol=1e-4)
    else:
        assert (together == alone).all()


def test_a_text_too_short_for_a_hash_matches_nothing() -> None:
    peer = opened("TLSH", "text")
    rows = peer.features(["too short", "This caption is certainly long enough to be hashed by TLSH, and varied."])
    assert (peer.scores(rows, rows)[0] == -np.inf).all()
    assert (peer.scores(rows, rows)[:, 0] == -np.inf).all()
    assert peer.scores(rows, rows)[1, 1] == 0
    assert isinstance(peer, Tlsh)


def test_a_fingerprint_is_found_inside_a_longer_one() -> None:
    rng = np.random.default_rng(2)
    longer = rng.integers(0, 2**32, 20).tolist()
    found = Chromaprint().scores(
        np.stack([fingerprint(*longer[7:14]), fingerprint(*rng.integers(0, 2**32, 7).tolist())]),
        np.stack([fingerprint(*longer)]),
    )
    assert found[0, 0] == 1.0
    assert found[1, 0] < 0.7


def test_a_fingerprint_of_few_items_matches_nothing() -> None:
    scores = Chromaprint().scores(
        np.stack([fingerprint(5, 6), fingerprint()]), np.stack([fingerprint(5, 6, 7, 8, 9)])
    )
    assert (scores == -np.inf).all()


def test_silence_and_blank_images_are_like_nothing() -> None:
    heard = recogniser(COMPACT, "audio")
    rows = heard.features([np.zeros(RATE, dtype=np.float32), make(Generated("audio", "calibration", 6, 1))])
    assert not rows[0].any()
    assert (heard.scores(rows[:1], rows) == 0).all()
    seen = recogniser(COMPACT, "image")
    assert not seen.features([np.full((64, 64, 3), 9, dtype=np.uint8)]).any()


def test_texts_are_prepared_for_hashes() -> None:
    assert folded("  Ｗin\tBIG\n ") == "win big"


def test_what_is_not_installed_is_named() -> None:
    with pytest.raises(Missing, match="no surely_not_installed"):
        needed("surely_not_installed")
