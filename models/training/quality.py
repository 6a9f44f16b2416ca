"""The figures that a bundle states about itself, measured on originals that training never saw."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from models.synthetic import caption_variants, captions, image_variants, images, sound_variants, sounds
from models.training.batches import some_words
from models.training.evaluation import FALSE_MATCHES, recall_at, retrieve
from models.training.graph_encoder import BATCH, GraphEncoder, normalised
from models.training.kinds import KINDS, Kind
from models.training.pools import words_of_image

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from models.fusion import FusionLayout
    from models.manifest import Thresholds
    from models.training.calibrate import Similarities
    from models.training.observations import Observations

HELD_OUT: Mapping[Kind, frozenset[str]] = {
    "text": frozenset(caption_variants.HELD_OUT),
    "image": frozenset(image_variants.HELD_OUT),
    "audio": frozenset(sound_variants.HELD_OUT),
}
INDEXED = 0.7
"""Share of the originals that are searched; posts of the others are distractors."""


def part_quality(observations: Observations, kind: Kind, prefix: str) -> dict[str, float]:
    """How well single parts find their original among others.

    Args:
        observations: posts of originals.
        kind: which part.
        prefix: names of the figures begin with it.

    Returns:
        The figures of `search_quality`, and recall over trained and held-out transforms.
    """
    rows = observations.embeddings[kind]
    figures, found = search_quality(normalised(rows - rows[:, 0].mean(axis=0)))
    names = [name for original in observations.transforms[kind] for name in original[1:]][: len(found)]
    unseen = np.array([bool(HELD_OUT[kind] & set(name.split("+"))) for name in names])
    changed = np.array([name != "" for name in names])
    for group, chosen in (("trained", changed & ~unseen), ("held_out", unseen)):
        if chosen.any():
            figures[f"recall_{group}"] = float(found[chosen].mean())
    return {f"{prefix}_{name}": value for name, value in figures.items()}


def search_quality(rows: NDArray[np.float32]) -> tuple[dict[str, float], NDArray[np.bool_]]:
    """Search for the originals of variants among INDEXED of the originals; posts of the others are distractors.

    Args:
        rows: (originals, posts, d) unit rows, the original first; originals 2i and 2i + 1 are look-alikes.

    Returns:
        Micro average precision, recall at one false match in 1000 pairs, recall where one distractor in 100 matches
        anything, all without pairs of look-alikes; the share of those above the first threshold; and for each variant
        of an indexed original whether it was found.
    """
    indexed = int(len(rows) * INDEXED) // 2 * 2
    posts = rows.shape[1]
    queries = np.concatenate(
        [rows[:indexed, 1:].reshape(-1, rows.shape[2]), rows[indexed:].reshape(-1, rows.shape[2])]
    )
    truth = np.full(len(queries), -1, dtype=np.int64)
    truth[: indexed * (posts - 1)] = np.repeat(np.arange(indexed), posts - 1)
    cosines = queries @ rows[:indexed, 0].T
    variants = np.arange(indexed * (posts - 1))
    look_alikes = cosines[variants, truth[variants] ^ 1].copy()
    cosines[variants, truth[variants] ^ 1] = -1.0
    judged = retrieve(cosines, truth)
    figures = {
        "uap": judged.precision,
        "recall": judged.recall,
        "strict_recall": judged.strict_recall,
        "look_alikes_matched": float((look_alikes > judged.threshold).mean()),
    }
    return figures, judged.found


def transform_recalls(observations: Observations, kind: Kind) -> dict[str, float]:
    """Recall at one false match in 1000 pairs, look-alikes left out, for each single transform of a kind."""
    rows = observations.embeddings[kind]
    centred = normalised(rows - rows[:, 0].mean(axis=0))
    cosines = np.einsum("npd,nd->np", centred[:, 1:], centred[:, 0])
    pairs = centred[:, 0] @ centred[:, 0].T
    own = np.arange(len(pairs)) // 2
    threshold = float(np.quantile(pairs[own[:, None] != own[None, :]], 1.0 - FALSE_MATCHES))
    found: dict[str, list[bool]] = {}
    for original, values in zip(observations.transforms[kind], cosines, strict=True):
        for name, cosine in zip(original[1:], values, strict=True):
            found.setdefault(name or "none", []).append(bool(cosine > threshold))
    return {name: float(np.mean(hits)) for name, hits in sorted(found.items()) if "+" not in name}


def flag_quality(exemplar: Similarities, centroid: Similarities, thresholds: Thresholds) -> dict[str, float]:
    """Expected precision and recall of flags, and how often conjunction parts and look-alikes would be flagged."""

    def share(cosines: NDArray[np.float32]) -> float:
        return float((cosines >= thresholds.exemplar).mean())

    return {
        "flag_precision": exemplar.precision(thresholds.exemplar),
        "flag_recall": exemplar.recall(thresholds.exemplar),
        "join_recall": centroid.recall(thresholds.join),
        "look_alikes_flagged": share(exemplar.look_alike),
        "conjunction_recall": float((exemplar.whole_least >= thresholds.modality).mean()),
        "conjunction_parts_flagged": float(
            (
                (exemplar.conjunction >= thresholds.exemplar) & (exemplar.conjunction_least >= thresholds.modality)
            ).mean()
        ),
        "strangers_flagged": share(exemplar.unrelated),
    }


def cross_modal_quality(encoder: GraphEncoder, seed: int, count: int) -> dict[str, float]:
    """How often a caption finds the image or sound it describes among `count`: recall at 10, and chance."""
    rng = np.random.default_rng([seed, 41])
    pictures = [images.generate_image(rng, 160) for _ in range(count)]
    recordings = [sounds.generate_sound(rng, 5.0) for _ in range(count)]
    seen = encoder.images([picture.pixels for picture in pictures])
    heard = encoder.sounds([recording.samples for recording in recordings])
    figures = {"cross_modal_chance": min(1.0, 10.0 / count)}
    for name, rows, words in (
        ("caption_to_image", seen, [words_of_image(picture) for picture in pictures]),
        ("caption_to_audio", heard, [list(recording.qualities) for recording in recordings]),
    ):
        told = encoder.texts([captions.generate_caption(rng, some_words(rng, given)) for given in words])
        cosines = normalised(told - told.mean(axis=0)) @ normalised(rows - rows.mean(axis=0)).T
        figures[f"{name}_recall_at_10"] = recall_at(cosines, 10)
    return figures


def encoder_milliseconds(encoder: GraphEncoder, seed: int, rounds: int = 5) -> dict[str, float]:
    """Time of one post's parts on one thread in batches of 16, the best of `rounds`; tokenizing counts."""
    rng = np.random.default_rng([seed, 43])
    size = encoder.image_size
    told = [captions.generate_caption(rng) for _ in range(BATCH)]
    seen = [rng.integers(0, 256, (size, size, 3), dtype=np.uint8) for _ in range(BATCH)]
    heard = [rng.standard_normal(80_000).astype(np.float32) * 0.1 for _ in range(BATCH)]
    figures = {}
    for kind in KINDS:
        best = float("inf")
        for _ in range(rounds):
            started = time.perf_counter()
            if kind == "text":
                encoder.texts(told)
            elif kind == "image":
                encoder.images(seen)
            else:
                encoder.sounds(heard)
            best = min(best, time.perf_counter() - started)
        figures[f"{kind}_milliseconds"] = 1000.0 * best / BATCH
    return figures


def fused_quality(observations: Observations, layout: FusionLayout) -> dict[str, float]:
    """`search_quality` of whole posts."""
    count, posts, size = observations.embeddings["text"].shape
    flat = {kind: rows.reshape(-1, size) for kind, rows in observations.embeddings.items()}
    present = {kind: np.ones(count * posts, dtype=bool) for kind in KINDS}
    figures, _ = search_quality(layout.fuse(flat, present).reshape(count, posts, -1))
    return {f"post_{name}": value for name, value in figures.items()}
