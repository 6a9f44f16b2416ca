from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.training.calibrate import (
    PRECISION,
    Similarities,
    calibrate,
    choose,
    compare,
    compose,
    layout_from,
    means_of,
)
from models.training.observations import VARIANTS, Observations

KINDS = ("text", "image", "audio")
SIZE = 32


def observed(variation: float, likeness: float, count: int = 120) -> Observations:
    """Originals in pairs that share `likeness` of their direction; variants stray by `variation`."""
    rng = np.random.default_rng(3)

    def unit(rows: NDArray[Any]) -> NDArray[np.float32]:
        return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), dtype=np.float32)

    embeddings = {}
    for kind in KINDS:
        shared = np.repeat(unit(rng.standard_normal((count // 2, SIZE))), 2, axis=0)
        originals = unit(likeness * shared + (1.0 - likeness) * unit(rng.standard_normal((count, SIZE))))
        noise = unit(rng.standard_normal((count, VARIANTS, SIZE)))
        embeddings[kind] = unit(originals[:, None] + variation * noise)
    return Observations(embeddings, {kind: [[""] * VARIANTS for _ in range(count)] for kind in KINDS})


def test_variants_are_told_from_look_alikes_and_conjunction_parts() -> None:
    seen = observed(variation=0.3, likeness=0.4)
    layout = layout_from(means_of(seen), dict.fromkeys(KINDS, 1.0))
    thresholds, exemplar, centroid = calibrate(seen, layout, np.random.default_rng(1))
    assert exemplar.recall(thresholds.exemplar) > 0.93
    assert exemplar.precision(thresholds.exemplar) >= PRECISION
    assert (centroid.conjunction >= thresholds.join).mean() <= 0.02
    assert centroid.recall(thresholds.join) > 0.93
    assert thresholds.centroid <= thresholds.join
    assert 0.66 < thresholds.join < 0.95
    assert thresholds.join < thresholds.twin
    strange = (exemplar.conjunction_least >= thresholds.modality).mean()
    assert strange <= 0.04
    assert (exemplar.whole_least >= thresholds.modality).mean() > 0.95


def test_closer_look_alikes_ask_for_a_higher_threshold() -> None:
    chosen = []
    for likeness in (0.3, 0.62):
        seen = observed(variation=0.3, likeness=likeness)
        layout = layout_from(means_of(seen), dict.fromkeys(KINDS, 1.0))
        chosen.append(choose(compare(seen, layout, np.random.default_rng(1), with_centroid=False)))
    assert chosen[0] < chosen[1]


def test_where_no_threshold_is_good_enough_the_most_precise_is_taken() -> None:
    same, other = np.linspace(0.3, 0.9, 50, dtype=np.float32), np.linspace(0.3, 0.8, 50, dtype=np.float32)
    threshold = choose(Similarities(same, other, other, other, other, same))
    assert threshold > 0.8


def test_a_composed_post_has_the_shares_of_its_parts() -> None:
    seen = observed(variation=0.2, likeness=0.3)
    layout = layout_from(means_of(seen), dict.fromkeys(KINDS, 1.0))
    own, first = np.arange(4), np.zeros(4, dtype=np.int64)
    whole = compose(seen, layout, dict.fromkeys(KINDS, own), dict.fromkeys(KINDS, first))
    strange = {"text": own, "image": own, "audio": own + 10}
    mixed = compose(seen, layout, strange, dict.fromkeys(KINDS, first))
    assert np.allclose((whole * whole).sum(axis=1), 1.0, atol=1e-5)
    block = layout.block("audio")
    audio = (whole[:, block] * mixed[:, block]).sum(axis=1)
    assert np.allclose((whole * mixed).sum(axis=1), 2.0 / 3.0 + audio, atol=1e-5)


def test_precision_falls_with_the_share_of_look_alikes_above_the_threshold() -> None:
    high, low = np.full(10, 0.9, dtype=np.float32), np.full(10, 0.1, dtype=np.float32)
    clean = Similarities(
        same=high, look_alike=low, unrelated=low, conjunction=low, conjunction_least=low, whole_least=high
    )
    fooled = Similarities(
        same=high, look_alike=high, unrelated=low, conjunction=low, conjunction_least=low, whole_least=high
    )
    assert clean.precision(0.5) == 1.0
    assert fooled.precision(0.5) == pytest.approx(0.15 / 0.21)
