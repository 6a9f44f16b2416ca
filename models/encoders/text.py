"""Texts -> token ids -> embeddings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from tokenizers import Tokenizer

from models.encoders.batches import most_rows, run_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

# its own pool of threads would leave the core of the thread that embeds, and wait there behind those that decode
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

LENGTH_STEP = 8
"""Token counts are padded to a multiple of this: few shapes, little waste."""


class TextEncoder:
    """A text graph with its tokenizer. Texts of like length share a call, so that little is padded."""

    kind = "text"

    def __init__(self, session: Any, tokenizer: Path, max_tokens: int) -> None:
        self._session = session
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.enable_truncation(max_tokens)
        self._tokenizer.no_padding()

    def embed(self, items: Sequence[str]) -> NDArray[np.float32]:
        """Embed n texts: float32 (n, d), unit rows."""
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(items))]
        order = np.argsort([len(row) for row in ids], kind="stable")
        embedded: NDArray[np.float32] | None = None
        most = most_rows(self._session)
        for start in range(0, len(order), most):
            picked = order[start : start + most]
            rows = run_rows(self._session, padded([ids[index] for index in picked]))
            if embedded is None:
                embedded = np.empty((len(ids), rows.shape[1]), dtype=np.float32)
            embedded[picked] = rows
        if embedded is None:
            raise ValueError("no texts to embed")
        return embedded

    def example(self) -> str:
        """A text."""
        return "warm up"


def padded(ids: Sequence[Sequence[int]]) -> dict[str, NDArray[np.int64]]:
    """`input_ids` and `attention_mask`, int64 (n, tokens), of n lists of ids; an empty list becomes one token 0."""
    longest = max(1, *(len(row) for row in ids), 1)
    width = -(-longest // LENGTH_STEP) * LENGTH_STEP
    tokens = np.zeros((len(ids), width), dtype=np.int64)
    mask = np.zeros((len(ids), width), dtype=np.int64)
    for index, row in enumerate(ids):
        tokens[index, : len(row)] = row
        mask[index, : max(1, len(row))] = 1
    return {"input_ids": tokens, "attention_mask": mask}
