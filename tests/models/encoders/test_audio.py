"""Windows of samples as the inputs of a graph."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.encoders.audio import AudioEncoder
from models.manifest import AudioInput


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
