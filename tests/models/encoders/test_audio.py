"""Windows of samples as the inputs of a graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.encoders.audio import AudioEncoder
from models.manifest import AudioInput, Verification
from models.sound_map import SoundMap


class Watched:
    """A session that keeps what it was given."""

    def __init__(self) -> None:
        self.given: dict[str, Any] = {}

    def run(self, _names: list[str], inputs: dict[str, Any]) -> list[Any]:
        self.given = inputs
        return [np.ones((len(inputs["waveform"]), 4), dtype=np.float32)]


def test_a_graph_that_asks_is_told_how_much_was_heard() -> None:
    session = Watched()
    form = AudioInput(rate=8, window=4, max_windows=2, fill="zeros", lengths=True)
    AudioEncoder(session, form).embed([np.ones(4, dtype=np.float32), np.ones(1, dtype=np.float32)])
    assert session.given["waveform"].tolist() == [[1, 1, 1, 1], [1, 0, 0, 0]]
    assert session.given["samples"].tolist() == [4, 1]
    assert session.given["samples"].dtype == np.int64


def test_a_graph_that_does_not_ask_has_one_input() -> None:
    session = Watched()
    AudioEncoder(session, AudioInput(rate=8, window=4, max_windows=2)).embed([np.ones(4, dtype=np.float32)])
    assert set(session.given) == {"waveform"}


def test_features_of_sound_are_maps_of_what_the_graph_takes() -> None:
    form = AudioInput(rate=4_000, window=4_000, max_windows=2, fill="zeros")
    asked = Verification(
        layout="sound",
        height=16,
        width=20,
        threshold=0.5,
        false_match_rate=0.0,
        originals=0,
        found=0,
        interval=(0, 1),
    )
    session = Watched()
    items = [np.random.default_rng(seed).standard_normal(3_000).astype(np.float32) for seed in range(2)]
    looked = AudioEncoder(session, form, asked).look(items)
    assert looked.layout == "sound"
    assert looked.features is not None
    assert np.array_equal(looked.features, SoundMap(4_000, 4_000, 16, 20)(session.given["waveform"]))
    assert AudioEncoder(session, form).look(items).features is None
