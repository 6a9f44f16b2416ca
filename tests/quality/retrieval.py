"""Retrieval across modalities: does a caption find the image or the recording that it describes, and the other way?

Pairs are generated from seeds that no training used, embedded by the graphs as they are served, and centred by the
bundle's own means, as `shoal search --in` does. Beside chance stand the same embeddings with one modality turned by a
random rotation (each tower as good as before, and no common space), and towers of the same shapes with the weights
they begin with.

An image and a recording are a pair when one generated post has both: its caption names something of each. The two are
drawn apart, so nothing in the one tells of the other, and no training saw such pairs: what joins them is a caption.
`through captions` takes the recording of the post whose caption is nearest to the image, and the other way.
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
Space = Literal["aligned", "unaligned", "untrained", "through captions"]

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
class Triples:
    """Captions with the images and the recordings that each tells of."""

    captions: list[str]
    images: list[NDArray[np.generic]]
    sounds: list[NDArray[np.generic]]


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
        item, words = _seen(rng, image_size) if other == "image" else _heard(rng)
        items.append(item)
        told.append(captions.generate_caption(rng, some_words(rng, words)))
    return Pairs(other, told, items)


def held_out_triples(count: int, seed: int = SEED, *, image_size: int = 128) -> Triples:
    """Posts of all three parts that the same seed makes again."""
    rng = np.random.default_rng([seed, 3])
    found = Triples([], [], [])
    for _ in range(count):
        picture, seen = _seen(rng, image_size)
        recording, heard = _heard(rng)
        found.images.append(picture)
        found.sounds.append(recording)
        words = (*some_words(rng, seen), *some_words(rng, heard))
        found.captions.append(captions.generate_caption(rng, words))
    return found


def _seen(rng: np.random.Generator, size: int) -> tuple[NDArray[np.generic], list[str]]:
    picture = images.generate_image(rng, 160)
    return resize_square(picture.pixels, size), words_of_image(picture)


def _heard(rng: np.random.Generator) -> tuple[NDArray[np.generic], list[str]]:
    recording = sounds.generate_sound(rng, SECONDS)
    return to_windows(recording.samples, AUDIO_RATE, SECONDS, 1)[0], list(recording.qualities)


def retrieval(bundle: Bundle, pairs: Pairs, seed: int = SEED) -> Iterator[Recall]:
    """Recall in both directions, in every space."""
    layout = bundle.layout
    told = bundle.encoders["text"].embed(pairs.captions) - layout.means[layout.names.index("text")]
    shown = bundle.encoders[pairs.other].embed(pairs.items) - layout.means[layout.names.index(pairs.other)]
    yield from _both_ways(pairs.other, "aligned", told, shown)
    yield from _both_ways(pairs.other, "unaligned", told, shown @ _rotation(shown.shape[1], seed))
    raw = untrained(bundle, pairs, seed)
    yield from _both_ways(pairs.other, "untrained", *(rows - rows.mean(axis=0) for rows in raw))


def joined_retrieval(bundle: Bundle, posts: Triples, seed: int = SEED) -> Iterator[Recall]:
    """Images and recordings of one post, in both directions: at once, turned, untrained, and through captions."""
    layout = bundle.layout
    told, seen, heard = (
        normalised(bundle.encoders[name].embed(items) - layout.means[layout.names.index(name)])
        for name, items in (("text", posts.captions), ("image", posts.images), ("audio", posts.sounds))
    )
    raw = [untrained(bundle, Pairs(other, posts.captions, items), seed)[1] for other, items in _others(posts)]
    spaces: tuple[tuple[Space, NDArray[np.float32]], ...] = (
        ("aligned", seen @ heard.T),
        ("unaligned", seen @ normalised(heard @ _rotation(heard.shape[1], seed)).T),
        ("untrained", normalised(raw[0] - raw[0].mean(axis=0)) @ normalised(raw[1] - raw[1].mean(axis=0)).T),
    )
    for space, cosines in spaces:
        yield from _told("image", "audio", space, cosines)
    yield Recall("image", "audio", "through captions", *(recall_at(seen @ told.T, rank) for rank in RANKS))
    yield Recall("audio", "image", "through captions", *(recall_at(heard @ told.T, rank) for rank in RANKS))


def _others(posts: Triples) -> tuple[tuple[Other, list[NDArray[np.generic]]], ...]:
    return ("image", posts.images), ("audio", posts.sounds)


def measure_retrieval(bundle: Bundle, count: int = PAIRS, seed: int = SEED) -> list[Recall]:
    """Text with images and recordings, and those two with each other."""
    others: tuple[Other, ...] = ("image", "audio")
    found = [one for other in others for one in retrieval(bundle, held_out_pairs(other, count, seed), seed)]
    return [*found, *joined_retrieval(bundle, held_out_triples(count, seed), seed)]


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
    spaces: tuple[Space, ...] = ("through captions", "unaligned", "untrained")
    head = "| query → answer | R@1 | R@10 | through captions | unaligned | untrained | chance |"
    lines = [head, "|---" * 7 + "|"]
    for asked, answer in dict.fromkeys((one.asked, one.found) for one in found):
        by = {one.space: one for one in found if (one.asked, one.found) == (asked, answer)}
        first = by["aligned"]
        cells = [f"{first.at_1:.3f}", f"{first.at_10:.3f}"]
        cells += [f"{by[space].at_1:.3f} / {by[space].at_10:.3f}" if space in by else "" for space in spaces]
        lines.append(f"| {asked} → {answer} | {' | '.join(cells)} | {1 / count:.3f} / {10 / count:.3f} |")
    return "\n".join(lines)


def _both_ways(other: Other, space: Space, told: NDArray[np.float32], shown: NDArray[np.float32]) -> Iterator[Recall]:
    yield from _told("text", other, space, normalised(told) @ normalised(shown).T)


def _told(one: str, two: str, space: Space, cosines: NDArray[np.float32]) -> Iterator[Recall]:
    for asked, found, given in ((one, two, cosines), (two, one, cosines.T)):
        yield Recall(asked, found, space, *(recall_at(given, rank) for rank in RANKS))


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
    found = measure_retrieval(bundle, options.pairs, options.seed)
    print(f"{bundle.bundle_id}, {options.pairs} pairs each, seed {options.seed}\n\n{table(found, options.pairs)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
