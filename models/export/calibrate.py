"""Means, thresholds and cells of an exported bundle, from originals and their altered copies.

Nothing was trained, so nothing is known of these vectors but what is measured here: where copies of one post lie, and
where unrelated posts do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import soxr

from models.export.measure import actual_rows
from models.export.samples import MADE_RATE, pixels_of, signal_of, windows_of
from models.imagery import fit_image
from models.manifest import AudioInput, ImageInput, Thresholds
from models.synthetic.originals import draw_originals, vary_caption, vary_image, vary_sound
from models.training.quantizer import nested_cells

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from models.export.measure import SampleEncoder
    from models.export.samples import Samples
    from models.export.towers import Form
    from models.fusion import FusionLayout

COPIES = 3
"""Altered copies of each original; with itself there are four posts."""
ENOUGH = 16
"""With fewer samples of a kind, generated originals are taken."""
_LEAST, _MOST = 0.05, 0.97
_CELL_POSTS = 4_000

Embedded = dict[str, "NDArray[np.float32]"]
"""By modality, float32 (originals, 1 + COPIES, dimension), unit rows."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """What the manifest gets; `quality` says what was found."""

    thresholds: Thresholds
    quality: dict[str, float]


def embed_originals(
    encoders: Mapping[str, tuple[str, Form, SampleEncoder]], samples: Samples, count: int, seed: int
) -> Embedded:
    """Embed originals and their copies.

    Args:
        encoders: by modality its kind, form and open encoder.
        samples: the user's; where they are too few, generated originals.
        count: of originals, rounded up to an even number: generated ones come in pairs of look-alikes.
    """
    rng = np.random.default_rng([seed, 41])
    kinds = sorted({kind for kind, _, _ in encoders.values()})
    pairs = [draw_originals(rng, 2, _lacking(kinds, samples)) for _ in range((count + 1) // 2)]
    made = [original for pair in pairs for original in pair]
    embedded: Embedded = {}
    for name, (kind, form, encoder) in encoders.items():
        originals = _originals(kind, samples, made)
        items = []
        for original in originals:
            copies = [original, *(_vary(kind, original, rng) for _ in range(COPIES))]
            items += [_items(form, copy) for copy in copies]
        rows = actual_rows(encoder, items).astype(np.float32)
        embedded[name] = rows.reshape(len(originals), 1 + COPIES, -1)
    return embedded


def _lacking(kinds: Sequence[str], samples: Samples) -> list[str]:
    return [kind for kind in kinds if len(samples.of(kind)) < ENOUGH]


def _originals(kind: str, samples: Samples, made: Sequence[Any]) -> list[Any]:
    """As many as there are generated ones: captions, images uint8, or signals at MADE_RATE."""
    given = samples.of(kind)
    if len(given) < ENOUGH:
        field = {"text": "caption", "image": "pixels", "audio": "samples"}[kind]
        return [getattr(original, field) for original in made]
    chosen = [given[place] for place in np.linspace(0, len(given) - 1, min(len(given), len(made))).astype(int)]
    if kind == "image":
        return [pixels_of(file) for file in chosen]
    return [signal_of(file, MADE_RATE) for file in chosen] if kind == "audio" else chosen


def _vary(kind: str, original: Any, rng: np.random.Generator) -> Any:
    return {"text": vary_caption, "image": vary_image, "audio": vary_sound}[kind](original, rng)[0]  # type: ignore[operator]


def _items(form: Form, original: Any) -> list[Any]:
    if isinstance(form, ImageInput):
        return [fit_image(original, form)]
    if isinstance(form, AudioInput):
        signal = original if form.rate == MADE_RATE else soxr.resample(original, MADE_RATE, form.rate)
        windows = windows_of(np.asarray(signal, dtype=np.float32), form)
        return windows or [np.asarray(signal[: form.window], dtype=np.float32)]
    return [original]


def means_of(embedded: Embedded) -> dict[str, NDArray[np.float32]]:
    """The mean embedding of the originals, rounded as the manifest keeps it."""
    return {name: np.round(rows[:, 0].mean(axis=0), 6).astype(np.float32) for name, rows in embedded.items()}


def calibrate(embedded: Embedded, layout: FusionLayout, false_match_rate: float, seed: int) -> Calibrated:
    """Thresholds at which so many pairs of unrelated posts match.

    They hold for whole posts and for posts of one part alike, so the strictest of these is taken.
    """
    rng = np.random.default_rng([seed, 43])
    count = min(len(rows) for rows in embedded.values())
    patterns = [tuple(embedded), *((name,) for name in embedded if len(embedded) > 1)]
    exemplar, same, spread = _LEAST, [], []
    for pattern in patterns:
        posts = _fused(embedded, layout, pattern, count)
        apart = _unrelated(posts)
        exemplar = max(exemplar, float(np.quantile(apart, 1 - false_match_rate)))
        copies = np.einsum("nd,nkd->nk", posts[:, 0], posts[:, 1:])
        same.append(copies.ravel())
        spread.append(_mean_pairwise(posts))
    exemplar = round(min(exemplar + 0.005, _MOST), 3)
    join = round(min(max(exemplar, _of_conjunctions(embedded, layout, count, rng)), _MOST), 3)
    near = np.concatenate(same)
    thresholds = Thresholds(
        join=join,
        cohesion=round(max(_LEAST, float(np.quantile(np.concatenate(spread), 0.02)) - 0.03), 3),
        centroid=round(min(join, max(exemplar, float(np.quantile(near, 0.03)))), 3),
        exemplar=exemplar,
        modality=_of_modalities(embedded, layout, count),
        twin=round(min(0.99, join + 0.05), 3),
    )
    quality = {
        "calibration_originals": float(count),
        "calibration_false_match_rate": false_match_rate,
        "calibration_recall": round(float((near >= exemplar).mean()), 4),
        **{
            f"calibration_{name}_recall": round(float((found >= exemplar).mean()), 4)
            for name, found in zip(["post", *embedded], same, strict=False)
        },
    }
    return Calibrated(thresholds, quality)


def _fused(embedded: Embedded, layout: FusionLayout, pattern: tuple[str, ...], count: int) -> NDArray[np.float32]:
    """Posts of these parts: float32 (count, 1 + COPIES, size)."""
    parts = {name: embedded[name][:count].reshape(count * (1 + COPIES), -1) for name in pattern}
    present = {name: np.ones(count * (1 + COPIES), dtype=bool) for name in pattern}
    return layout.fuse(parts, present).reshape(count, 1 + COPIES, -1)


def _unrelated(posts: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cosines of every original to the posts of others; pairs 2i and 2i + 1 may be look-alikes and are left out."""
    count, copies, size = posts.shape
    products = posts[:, 0] @ posts.reshape(-1, size).T
    owner = np.arange(count) // 2
    return np.asarray(products[owner[:, None] != np.repeat(owner, copies)[None, :]])


def _mean_pairwise(posts: NDArray[np.float32]) -> NDArray[np.float32]:
    copies = posts.shape[1]
    summed = posts.sum(axis=1)
    return np.asarray(((summed * summed).sum(axis=1) - copies) / (copies * (copies - 1)))


def _of_conjunctions(embedded: Embedded, layout: FusionLayout, count: int, rng: np.random.Generator) -> float:
    """Above 98% of the posts that have all parts but one from another post; 0 where there is one modality."""
    names = tuple(embedded)
    if len(names) < 2:
        return 0.0
    whole = _fused(embedded, layout, names, count)[:, 0]
    stranger = (np.arange(count) + 2 * rng.integers(1, max(2, count // 2), count)) % count
    found = []
    for foreign in names:
        parts = {name: embedded[name][stranger if name == foreign else np.arange(count), 1] for name in names}
        mixed = layout.fuse(parts, {name: np.ones(count, dtype=bool) for name in names})
        found.append((mixed * whole).sum(axis=1))
    return float(np.quantile(np.concatenate(found), 0.98))


def _of_modalities(embedded: Embedded, layout: FusionLayout, count: int) -> float:
    """Above 99% of unrelated posts in every modality by itself."""
    found = [np.quantile(_unrelated(_fused(embedded, layout, (name,), count)), 0.99) for name in embedded]
    return round(min(max(float(np.max(found)), _LEAST), _MOST), 3)


def cells_of(embedded: Embedded, layout: FusionLayout, seed: int) -> dict[str, NDArray[np.float32]]:
    """Quantizers for 2 to 16 cells, learned on posts put together from the parts at random."""
    rng = np.random.default_rng([seed, 47])
    parts, present = {}, {}
    for name, rows in embedded.items():
        flat = rows.reshape(-1, rows.shape[2])
        parts[name] = flat[rng.integers(len(flat), size=_CELL_POSTS)]
        present[name] = rng.random(_CELL_POSTS) < (0.8 if len(embedded) > 1 else 1.0)
    vectors = layout.fuse(parts, present)
    return nested_cells(vectors[np.abs(vectors).max(axis=1) > 0], rng)
