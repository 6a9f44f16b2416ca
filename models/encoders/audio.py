"""Audio -> windows of samples -> embeddings. The spectrogram is in the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from models.encoders.batches import look_at_rows
from models.sound import filled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from models.encoders.batches import Looked
    from models.manifest import AudioInput


class AudioEncoder:
    """An audio graph.

    `form` says the rate, the samples of a window and the most windows of a recording, `features` whether it gives
    such too.
    """

    kind = "audio"

    def __init__(self, session: Any, form: AudioInput, *, features: bool = False) -> None:
        self._session = session
        self._features = features
        self.form = form

    def embed(self, items: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Embed n windows float32 (window,) or shorter, to be filled: float32 (n, d), unit rows."""
        return self.look(items).embeddings

    def look(self, items: Sequence[NDArray[np.float32]]) -> Looked:
        """Embed n such windows, with their features."""
        given = {"waveform": np.stack([filled(item, self.form.window, self.form.fill) for item in items])}
        if self.form.lengths:
            given["samples"] = np.array([len(item) for item in items])
        return look_at_rows(self._session, given, features=self._features)

    def example(self) -> NDArray[np.float32]:
        """A faint tone."""
        times = np.arange(self.form.window, dtype=np.float32) / self.form.rate
        tone: NDArray[np.float32] = np.float32(0.1) * np.sin(np.float32(2 * np.pi * 440) * times)
        return tone
