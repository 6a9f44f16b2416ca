"""The batch of every training step: which originals, which views of them, which captions describe them.

A batch depends on the seed and its step alone, so the number of loading processes changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np
import torch
from tokenizers import Tokenizer
from torch.utils.data import Dataset

from models.synthetic import caption_variants, captions, image_variants, sound_variants
from models.training.kinds import AUDIO_WINDOW, Kind
from models.training.pools import SIBLINGS, Pool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

OTHERS = 48
"""Originals that are pasted into collages or mixed in."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Two views of each original, and captions of some.

    Attributes:
        kind: the tower it trains.
        first: arguments of the tower, one row an original.
        second: the same originals, seen otherwise.
        captions: token ids and mask of captions that describe the originals `described`; None for texts.
        described: rows of `first`.
    """

    kind: Kind
    first: tuple[torch.Tensor, ...]
    second: tuple[torch.Tensor, ...]
    captions: tuple[torch.Tensor, torch.Tensor] | None
    described: torch.Tensor


@dataclass(frozen=True, slots=True)
class Step:
    """What one step trains: the tower, originals in the batch, and the side of images in pixels."""

    kind: Kind
    originals: int
    side: int = 0


@dataclass(frozen=True, slots=True)
class Sources:
    """Where batches come from: pools, the tokenizer as JSON, how many originals of a batch get a caption."""

    images: Pool
    sounds: Pool
    tokenizer: str
    described: int
    seed: int


def plan_steps(
    counts: Mapping[Kind, int], originals: Mapping[Kind, int], sides: Sequence[tuple[float, int]]
) -> list[Step]:
    """Interleave the steps of the towers evenly.

    Args:
        counts: steps of each tower.
        originals: batch size of each tower.
        sides: (share of the image steps, side in pixels) from the first to the last step; small images first cost
            little and teach most.
    """
    order = sorted(
        ((position + 0.5) / count, kind, position) for kind, count in counts.items() for position in range(count)
    )
    limits = np.cumsum([share for share, _ in sides])
    steps = []
    for _, kind, position in order:
        reached = int(np.searchsorted(limits, position / max(counts[kind], 1), side="right"))
        side = sides[min(reached, len(sides) - 1)][1] if kind == "image" else 0
        steps.append(Step(kind, originals[kind], side))
    return steps


class Batches(Dataset[Batch]):
    """Batch number i is that of step i of the plan."""

    def __init__(self, plan: Sequence[Step], sources: Sources) -> None:
        self.plan = plan
        self.sources = sources
        self.tokenizer: Tokenizer | None = None

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, index: int) -> Batch:
        step = self.plan[index]
        rng = np.random.default_rng([self.sources.seed, index, 77])
        cv2.setNumThreads(1)
        if step.kind == "text":
            return self._texts(rng, step.originals)
        if step.kind == "image":
            return self._images(rng, step)
        return self._sounds(rng, step.originals)

    def _images(self, rng: np.random.Generator, step: Step) -> Batch:
        pool = self.sources.images
        chosen = pool.draw(rng, step.originals)
        originals = [pool.image(int(index)) for index in chosen]
        # of other batches: a collage with a negative of this one would teach a contradiction
        others = [pool.image(int(index)) for index in rng.integers(0, len(pool.about), OTHERS)]
        views = [
            np.stack([self._image_view(pixels, rng, step.side, light, others) for pixels in originals])
            for light in (True, False)
        ]
        words, rows = self._captions(rng, pool, chosen)
        return Batch("image", (torch.from_numpy(views[0]),), (torch.from_numpy(views[1]),), words, rows)

    @staticmethod
    def _image_view(
        pixels: NDArray[np.uint8], rng: np.random.Generator, side: int, light: bool, others: list[NDArray[np.uint8]]
    ) -> NDArray[np.uint8]:
        strength: Literal["light", "heavy"] = "light" if light and rng.random() < 0.55 else "heavy"
        return np.asarray(image_variants.view(pixels, rng, side, strength, others), dtype=np.uint8)

    def _sounds(self, rng: np.random.Generator, count: int) -> Batch:
        pool = self.sources.sounds
        chosen = pool.draw(rng, count)
        originals = [pool.sound(int(index)) for index in chosen]
        others = [pool.sound(int(index)) for index in rng.integers(0, len(pool.about), OTHERS)]
        views = []
        for light in (True, False):
            made = []
            for samples in originals:
                strength: Literal["light", "heavy"] = "light" if light and rng.random() < 0.55 else "heavy"
                made.append(sound_variants.view(samples, rng, AUDIO_WINDOW, strength, others))
            views.append(torch.from_numpy(np.stack(made).astype(np.float32)))
        words, rows = self._captions(rng, pool, chosen)
        return Batch("audio", (views[0],), (views[1],), words, rows)

    def _texts(self, rng: np.random.Generator, count: int) -> Batch:
        originals: list[str] = []
        while len(originals) < count:
            about = self._topic(rng) if rng.random() < 0.3 else ()
            if len(originals) < count // 2:
                originals += captions.generate_siblings(rng, SIBLINGS, about)
            else:
                originals.append(captions.generate_caption(rng, about))
        originals = originals[:count]
        first = [caption_variants.view(text, rng, "light" if rng.random() < 0.55 else "heavy") for text in originals]
        second = [caption_variants.view(text, rng, "heavy") for text in originals]
        views = self._encoded(first), disturbed(*self._lengthened(second, rng), rng, self._letters())
        return Batch("text", *views, None, torch.zeros(0).long())

    def _topic(self, rng: np.random.Generator) -> list[str]:
        pool = self.sources.images if rng.random() < 0.5 else self.sources.sounds
        return some_words(rng, pool.about[int(rng.integers(pool.generated))])

    def _captions(
        self, rng: np.random.Generator, pool: Pool, chosen: NDArray[np.int64]
    ) -> tuple[tuple[torch.Tensor, torch.Tensor] | None, torch.Tensor]:
        told = [row for row, index in enumerate(chosen) if pool.about[int(index)]]
        # of look-alikes only one: the same words fit all of them
        told = [row for row in told if chosen[row] >= pool.grouped or chosen[row] % SIBLINGS == 0]
        rows = rng.permutation(np.array(told, dtype=np.int64))[: self.sources.described]
        if len(rows) < 2:
            return None, torch.zeros(0).long()
        texts = [captions.generate_caption(rng, some_words(rng, pool.about[int(chosen[row])])) for row in rows]
        return self._encoded(texts), torch.from_numpy(rows)

    def _encoded(self, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        if self.tokenizer is None:
            self.tokenizer = Tokenizer.from_str(self.sources.tokenizer)
        return encode_texts(self.tokenizer, texts)

    def _lengthened(self, texts: list[str], rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        ids, mask = self._encoded(texts)
        most = (
            self.tokenizer.truncation["max_length"] if self.tokenizer and self.tokenizer.truncation else ids.shape[1]
        )
        return lengthened(ids, mask, rng, self._letters(), most)

    def _letters(self) -> int:
        if self.tokenizer is None:
            raise RuntimeError("the tokenizer of this process is not open")
        return self.tokenizer.get_vocab_size()


def some_words(rng: np.random.Generator, words: Sequence[str]) -> list[str]:
    """Most of the words, in any order: a caption seldom tells everything."""
    count = max(1, round(len(words) * float(rng.uniform(0.6, 1.0))))
    return [words[int(i)] for i in rng.permutation(len(words))[:count]]


def lengthened(
    ids: torch.Tensor, mask: torch.Tensor, rng: np.random.Generator, vocabulary: int, most: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """In a third of the rows a few runs of any tokens between the others, as of letters nobody has seen.

    Args:
        ids: int64 (n, tokens); the first token of a row stays in front.
        mask: int64 (n, tokens).
        rng: source of every choice.
        vocabulary: number of tokens; 0 and 1 are not drawn.
        most: tokens of a row that are kept.
    """
    rows = [row[: int(count)].tolist() for row, count in zip(ids, mask.sum(dim=1), strict=True)]
    for row in rows:
        if rng.random() < 1 / 3:
            for _ in range(int(rng.integers(1, 5))):
                at = int(rng.integers(1, len(row) + 1))
                row[at:at] = rng.integers(2, vocabulary, int(rng.integers(1, 6))).tolist()
    longest = min(most, max(map(len, rows)))
    longer, kept = (torch.zeros((len(rows), longest), dtype=torch.int64) for _ in range(2))
    for index, row in enumerate(rows):
        count = min(len(row), longest)
        longer[index, :count] = torch.tensor(row[:count])
        kept[index, :count] = 1
    return longer, kept


def disturbed(
    ids: torch.Tensor, mask: torch.Tensor, rng: np.random.Generator, vocabulary: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """In a third of the rows a few tokens replaced by any others, so that strange ones do not carry a caption away.

    Args:
        ids: int64 (n, tokens); the first token of a row stays.
        mask: int64 (n, tokens), returned as it is.
        rng: source of every choice.
        vocabulary: number of tokens; 0 and 1 are not drawn.
    """
    noisy = rng.random((len(ids), 1)) < 1 / 3
    chosen = noisy & (rng.random(ids.shape) < rng.uniform(0.02, 0.15, (len(ids), 1))) & mask.numpy().astype(bool)
    chosen[:, 0] = False
    replaced = np.where(chosen, rng.integers(2, vocabulary, ids.shape), ids.numpy())
    return torch.from_numpy(replaced), mask


def encode_texts(tokenizer: Tokenizer, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask, int64 (n, longest)."""
    encoded = tokenizer.encode_batch(list(texts))
    ids = torch.tensor([one.ids for one in encoded], dtype=torch.int64)
    return ids, torch.tensor([one.attention_mask for one in encoded], dtype=torch.int64)
