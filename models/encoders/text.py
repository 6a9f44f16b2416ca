"""Texts -> token ids -> embeddings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
from tokenizers import Tokenizer

from models.encoders.batches import Looked, run_rows
from models.encoders.buckets import CPU_BUCKETS, buckets_of, cut_texts, width_for
from models.folded_text import letter_maps

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from models.manifest import TextInput, Verification

# its own pool of threads would leave the core of the thread that embeds, and wait there behind those that decode
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


class TextEncoder:
    """A text graph with its tokenizer. Texts of like length share a call, so that little is padded.

    `verification` says whether features are wanted too, and how large: they are made of the text itself.
    """

    kind = "text"

    def __init__(
        self, session: Any, tokenizer: Path, form: TextInput, verification: Verification | None = None
    ) -> None:
        self._session = session
        self._verification = verification
        self.form = form
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.enable_truncation(form.max_tokens)
        self._tokenizer.no_padding()

    def embed(self, items: Sequence[str]) -> NDArray[np.float32]:
        """Embed n texts: float32 (n, d), unit rows."""
        texts = [self.form.prefix + item for item in items]
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts)]
        embedded: NDArray[np.float32] | None = None
        for picked, width in cut_texts([len(row) for row in ids], self.form, buckets_of(self._session)):
            rows = run_rows(self._session, padded([ids[index] for index in picked], self.form, width))
            if embedded is None:
                embedded = np.empty((len(ids), rows.shape[1]), dtype=np.float32)
            embedded[picked] = rows
        if embedded is None:
            raise ValueError("no texts to embed")
        return embedded

    def look(self, items: Sequence[str]) -> Looked:
        """Embed n such texts, with their features."""
        given = self._verification
        maps = None if given is None else letter_maps(items, given.height, given.width)
        return Looked(self.embed(items), maps, "text")

    def example(self) -> str:
        """A text."""
        return "warm up"


def padded(ids: Sequence[Sequence[int]], form: TextInput, width: int | None = None) -> dict[str, NDArray[np.int64]]:
    """`input_ids` and `attention_mask`, int64 (n, width), of n lists of ids; an empty list becomes one of padding.

    Args:
        width: in tokens, no less than the longest list has; None takes what is good for a CPU.
    """
    if width is None:
        width = width_for(max((len(row) for row in ids), default=1), form, CPU_BUCKETS)
    tokens = np.full((len(ids), width), form.padding, dtype=np.int64)
    mask = np.zeros((len(ids), width), dtype=np.int64)
    for index, row in enumerate(ids):
        count = max(1, len(row))
        start = width - count if form.left else 0
        tokens[index, start : start + len(row)] = row
        mask[index, start : start + count] = 1
    return {"input_ids": tokens, "attention_mask": mask}
