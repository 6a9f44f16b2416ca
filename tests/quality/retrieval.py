"""Retrieval across modalities: does a caption find the image or the recording that it describes, and the other way?

Pairs are generated from seeds that no training used, embedded by the graphs as they are served, and centred by the
bundle's own means, as `shoal search --in` does. Beside chance stand the same embeddings with one modality turned by a
random rotation (each tower as good as before, and no common space), and towers of the same shapes with the weights
they begin with. Images and recordings are generated apart, so no pair of these two is true by construction; between
them only chance could be measured.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
import torch

from consumers.bundles import find_bundle
from consumers.settings import Settings
from models.bundle import open_bundle
from models.encoders.text import padded
from models.imagery import resize_square
from models.sound import to_windows
from models.synthetic import captions, images, sounds
from models.training.batches import some_words
from models.training.evaluation import recall_at
from models.training.graph_encoder import normalised
from models.training.kinds import AUDIO_RATE, AUDIO_WINDOW
from models.training.pools import words_of_image
from models.training.towers import AudioTower, ImageTower, TextTower, TowerSizes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from models.bundle import Bundle
    from models.encoders.text import TextEncoder

Rows = "NDArray[np.float32]"
Other = Literal["image", "audio"]
Space = Literal["aligned", "unaligned", "untrained"]

SEED = 7301
PAIRS = 300
SECONDS = AUDIO_WINDOW / AUDIO_RATE
RANKS = (1, 10)
BATCH = 32


@dataclass(frozen=True, slots=True)
class Pairs:
    """Captions, and what each describes: pixels uint8 (size, size, 3) or a waveform float32 (samples,)."""

    other: Other
    captions: list[str]
    items: list[NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class Recall:
    """Share of queries whose pair is among the first 1 and the first 10 of all."""

    asked: str
    found: str
    space: Space
    at_1: float
    at_10: float


def held_out_pairs(other: Other, count: int, seed: int = SEED, *, image_size: int = 128) -> Pairs:
    """Pairs that the same seed makes again."""
    rng = np.random.default_rng([seed, ("image", "audio").index(other)])
    told: list[str] = []
    items: list[NDArray[np.generic]] = []
    for _ in range(count):
        if other == "image":
            picture = images.generate_image(rng, 160)
            items.append(resize_square(picture.pixels, image_size))
            words = words_of_image(picture)
        else:
            recording = sounds.generate_sound(rng, SECONDS)
            items.append(to_windows(recording.samples, AUDIO_RATE, SECONDS, 1)[0])
            words = list(recording.qualities)
        told.append(captions.generate_caption(rng, some_words(rng, words)))
    return Pairs(other, told, items)


def retrieval(bundle: Bundle, pairs: Pairs, seed: int = SEED) -> Iterator[Recall]:
    """Recall in both directions, in every space."""
    layout = bundle.layout
    told = bundle.encoders["text"].embed(pairs.captions) - layout.means[layout.names.index("text")]
    shown = bundle.encoders[pairs.other].embed(pairs.items) - layout.means[layout.names.index(pairs.other)]
    yield from _both_ways(pairs.other, "aligned", told, shown)
    yield from _both_ways(pairs.other, "unaligned", told, shown @ _rotation(shown.shape[1], seed))
    raw = untrained(bundle, pairs, seed)
    yield from _both_ways(pairs.other, "untrained", *(rows - rows.mean(axis=0) for rows in raw))


def untrained(bundle: Bundle, pairs: Pairs, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The captions and the others through towers with the weights that they begin with."""
    torch.manual_seed(seed)
    sizes = TowerSizes()
    text, tower = TextTower(sizes), (ImageTower if pairs.other == "image" else AudioTower)(sizes)
    encoder = cast("TextEncoder", bundle.encoders["text"])
    tokenizer = encoder._tokenizer
    ids = [encoding.ids for encoding in tokenizer.encode_batch_fast(pairs.captions)]
    told, shown = [], []
    with torch.inference_mode():
        for start in range(0, len(ids), BATCH):
            rows = padded(ids[start : start + BATCH], encoder.form)
            told.append(text.eval()(*(torch.from_numpy(rows[name]) for name in ("input_ids", "attention_mask"))))
            shown.append(tower.eval()(torch.from_numpy(np.stack(pairs.items[start : start + BATCH]))))
    return torch.cat(told).numpy(), torch.cat(shown).numpy()


def table(found: list[Recall], count: int) -> str:
    """A table for docs/."""
    spaces: tuple[Space, ...] = ("aligned", "unaligned", "untrained")
    lines = ["| query → answer | R@1 | R@10 | unaligned | untrained | chance |", "|---" * 6 + "|"]
    for asked, answer in dict.fromkeys((one.asked, one.found) for one in found):
        by = {one.space: one for one in found if (one.asked, one.found) == (asked, answer)}
        first, *others = (by[space] for space in spaces)
        cells = [f"{first.at_1:.3f}", f"{first.at_10:.3f}", *(f"{one.at_1:.3f} / {one.at_10:.3f}" for one in others)]
        lines.append(f"| {asked} → {answer} | {' | '.join(cells)} | {1 / count:.3f} / {10 / count:.3f} |")
    return "\n".join(lines)


def _both_ways(other: Other, space: Space, told: NDArray[np.float32], shown: NDArray[np.float32]) -> Iterator[Recall]:
    cosines = normalised(told) @ normalised(shown).T
    for asked, found, one in (("text", other, cosines), (other, "text", cosines.T)):
        yield Recall(asked, found, space, *(recall_at(one, rank) for rank in RANKS))


def _rotation(size: int, seed: int) -> NDArray[np.float32]:
    """A random rotation of a space: it changes no cosine within a modality."""
    turned, _ = np.linalg.qr(np.random.default_rng([seed, 2]).standard_normal((size, size)))
    return np.asarray(turned, dtype=np.float32)


def main() -> int:
    """Measure, and show a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.quality.retrieval", description=__doc__)
    parser.add_argument("--bundle", default=Settings().bundle)
    parser.add_argument("--pairs", type=int, default=PAIRS, help=f"of each kind (default {PAIRS})")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    torch.set_num_threads(1)
    bundle = open_bundle(find_bundle(options.bundle), provider="cpu", intra_op_threads=1)
    found: list[Recall] = []
    others: tuple[Other, ...] = ("image", "audio")
    for other in others:
        found += retrieval(bundle, held_out_pairs(other, options.pairs, options.seed), options.seed)
    print(f"{bundle.bundle_id}, {options.pairs} pairs each, seed {options.seed}\n\n{table(found, options.pairs)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
