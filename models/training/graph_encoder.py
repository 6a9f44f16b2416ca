"""The exported graphs with the preprocessing of serving, to measure what is shipped and not what was trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from tokenizers import Tokenizer

from models.export.session import OUTPUT, open_session
from models.imagery import resize_square
from models.sound import to_windows
from models.training.kinds import AUDIO_RATE, AUDIO_WINDOW, MAX_WINDOWS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

BATCH = 16


class GraphEncoder:
    """Captions, pictures and recordings to unit vectors, on one thread."""

    def __init__(self, folder: Path, tokenizer: str, image_size: int) -> None:
        self.sessions = {kind: open_session(folder / f"{kind}.onnx") for kind in ("text", "image", "audio")}
        self.tokenizer = Tokenizer.from_str(tokenizer)
        self.image_size = image_size

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, d) unit rows of n captions."""
        encoded = self.tokenizer.encode_batch(list(texts))
        ids = np.array([one.ids for one in encoded], dtype=np.int64)
        mask = np.array([one.attention_mask for one in encoded], dtype=np.int64)
        return self._run("text", {"input_ids": ids, "attention_mask": mask})

    def images(self, pictures: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """(n, d) unit rows of n pictures (height, width, 3)."""
        return self._run("image", {"pixels": np.stack([resize_square(p, self.image_size) for p in pictures])})

    def sounds(self, recordings: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """(n, d) unit rows of n recordings at 16 kHz, each the mean over its windows."""
        cut = [to_windows(samples, AUDIO_RATE, AUDIO_WINDOW / AUDIO_RATE, MAX_WINDOWS) for samples in recordings]
        rows = self._run("audio", {"waveform": np.concatenate(cut)})
        ends = np.cumsum([len(windows) for windows in cut])[:-1]
        return normalised(np.stack([part.mean(axis=0) for part in np.split(rows, ends)]))

    def _run(self, kind: str, inputs: dict[str, NDArray[np.generic]]) -> NDArray[np.float32]:
        count = len(next(iter(inputs.values())))
        parts = [
            np.asarray(self.sessions[kind].run([OUTPUT], {name: a[at : at + BATCH] for name, a in inputs.items()})[0])
            for at in range(0, count, BATCH)
        ]
        return np.concatenate(parts).astype(np.float32)


def normalised(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows divided by their length."""
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12), dtype=np.float32)
