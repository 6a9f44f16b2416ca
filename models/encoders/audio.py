"""Audio -> windows of samples -> embeddings. The spectrogram that is embedded is in the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from models.encoders.batches import Looked, look_at_rows
from models.sound import filled
from models.sound_map import SoundMap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.manifest import AudioInput, Verification


class AudioEncoder:
    """An audio graph.

    `form` says the rate, the samples of a window and the most windows of a recording, `verification` which features
    are wanted too: the graph gives them, or they are made of the waveform.
    """

    kind = "audio"

    def __init__(self, session: Any, form: AudioInput, verification: Verification | None = None) -> None:
        self._session = session
        self._maps: SoundMap | None = None
        self._features = False
        if verification is not None and verification.layout == "sound":
            self._maps = SoundMap(form.rate, form.window, verification.height, verification.width)
        elif verification is not None:
            self._features = True
        self.form = form

    def embed(self, items: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Embed n windows float32 (window,) or shorter, to be filled: float32 (n, d), unit rows."""
        return look_at_rows(self._session, self._inputs(items)).embeddings

    def look(self, items: Sequence[NDArray[np.float32]]) -> Looked:
        """Embed n such windows, with their features."""
        given = self._inputs(items)
        looked = look_at_rows(self._session, given, features=self._features)
        if self._maps is None:
            return looked
        return Looked(looked.embeddings, self._maps(given["waveform"]), "sound")

    def _inputs(self, items: Sequence[NDArray[np.float32]]) -> dict[str, NDArray[Any]]:
        given: dict[str, NDArray[Any]] = {
            "waveform": np.stack([filled(item, self.form.window, self.form.fill) for item in items])
        }
        if self.form.lengths:
            given["samples"] = np.array([len(item) for item in items])
        return given

    def example(self) -> NDArray[np.float32]:
        """A faint tone."""
        times = np.arange(self.form.window, dtype=np.float32) / self.form.rate
        tone: NDArray[np.float32] = np.float32(0.1) * np.sin(np.float32(2 * np.pi * 440) * times)
        return tone
