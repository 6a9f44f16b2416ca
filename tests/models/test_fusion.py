from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.fusion import FusionLayout

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAMES = ("text", "image", "audio")
DIMENSION = 16

seeds = st.integers(min_value=0, max_value=2**32 - 1)
presences = st.lists(st.booleans(), min_size=3, max_size=3)


def _units(rng: np.random.Generator, *shape: int) -> NDArray[np.float32]:
    rows = rng.standard_normal(shape)
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), dtype=np.float32)


def _layout(rng: np.random.Generator) -> FusionLayout:
    weights = rng.uniform(0.2, 3.0, 3).astype(np.float32)
    return FusionLayout(NAMES, DIMENSION, weights, 0.2 * _units(rng, 3, DIMENSION))


def _fused(layout: FusionLayout, embeddings: NDArray[np.float32], present: list[bool]) -> NDArray[np.float32]:
    parts = {name: embeddings[n][None] for n, name in enumerate(NAMES)}
    return np.asarray(layout.fuse(parts, {name: np.array([present[n]]) for n, name in enumerate(NAMES)})[0])


@given(seeds, presences)
def test_a_fused_vector_has_unit_norm_and_zeros_for_absent_parts(seed: int, present: list[bool]) -> None:
    rng = np.random.default_rng(seed)
    layout = _layout(rng)
    fused = _fused(layout, _units(rng, 3, DIMENSION), present)
    assert np.linalg.norm(fused) == pytest.approx(1.0 if any(present) else 0.0, abs=1e-6)
    assert layout.present(fused[None])[0].tolist() == present


@given(seeds, presences, presences)
def test_a_similarity_is_the_weighted_sum_over_shared_parts(seed: int, here: list[bool], there: list[bool]) -> None:
    rng = np.random.default_rng(seed)
    layout = _layout(rng)
    one, two = _units(rng, 3, DIMENSION), _units(rng, 3, DIMENSION)
    a, b = _fused(layout, one, here), _fused(layout, two, there)
    expected = 0.0
    for n in range(3):
        if here[n] and there[n]:
            x, y = one[n] - layout.means[n], two[n] - layout.means[n]
            cosine = x @ y / (np.linalg.norm(x) * np.linalg.norm(y))
            expected += layout.weights[n] * cosine / np.sqrt(layout.weights[here].sum() * layout.weights[there].sum())
    assert float(a @ b) == pytest.approx(expected, abs=1e-5)


@given(seeds, presences, presences)
def test_shares_sum_to_the_similarity(seed: int, here: list[bool], there: list[bool]) -> None:
    rng = np.random.default_rng(seed)
    layout = _layout(rng)
    a = _fused(layout, _units(rng, 3, DIMENSION), here)
    b = _fused(layout, _units(rng, 3, DIMENSION), there)
    shares = layout.shares(a, b[None])[0]
    assert shares.sum() == pytest.approx(a.astype(np.float64) @ b.astype(np.float64), abs=1e-12)
    assert all(share == 0.0 for share, x, y in zip(shares, here, there, strict=True) if not (x and y))


@given(seeds, presences.filter(any))
def test_a_post_compared_with_itself_gives_one(seed: int, present: list[bool]) -> None:
    rng = np.random.default_rng(seed)
    layout = _layout(rng)
    fused = _fused(layout, _units(rng, 3, DIMENSION), present)
    assert layout.shares(fused, fused[None]).sum() == pytest.approx(1.0, abs=1e-6)
    cosines = layout.cosines(fused, fused[None])[0]
    assert np.isnan(cosines).tolist() == [not here for here in present]
    assert cosines[present] == pytest.approx(1.0, abs=1e-9)


@given(seeds, st.integers(min_value=1, max_value=9))
def test_the_shares_of_a_pair_do_not_depend_on_its_neighbours(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    layout = _layout(rng)
    a, b = _units(rng, count, layout.size), _units(rng, count, layout.size)
    together = layout.shares(a, b)
    alone = np.concatenate([layout.shares(a[n], b[n : n + 1]) for n in range(count)])
    assert together.tobytes() == alone.tobytes()


def test_a_caption_alone_meets_the_whole_post_at_one_over_root_three() -> None:
    rng = np.random.default_rng(0)
    layout = FusionLayout(NAMES, DIMENSION, np.ones(3, np.float32), np.zeros((3, DIMENSION), np.float32))
    embeddings = _units(rng, 3, DIMENSION)
    whole = _fused(layout, embeddings, [True, True, True])
    assert whole @ _fused(layout, embeddings, [True, False, False]) == pytest.approx(3**-0.5, abs=1e-6)


def test_an_embedding_at_the_mean_counts_as_absent() -> None:
    rng = np.random.default_rng(0)
    layout = _layout(rng)
    embeddings = _units(rng, 3, DIMENSION)
    embeddings[0] = layout.means[0]
    assert np.array_equal(
        _fused(layout, embeddings, [True, True, True]), _fused(layout, embeddings, [False, True, True])
    )


def test_posts_of_one_batch_may_have_different_parts() -> None:
    rng = np.random.default_rng(0)
    layout = _layout(rng)
    embeddings = {"text": _units(rng, 2, DIMENSION), "audio": _units(rng, 2, DIMENSION)}
    fused = layout.fuse(embeddings, {"text": np.array([True, False]), "audio": np.array([True, True])})
    assert layout.present(fused).tolist() == [[True, False, True], [False, False, True]]


def test_an_unknown_modality_has_no_block() -> None:
    layout = _layout(np.random.default_rng(0))
    assert layout.block("image") == slice(DIMENSION, 2 * DIMENSION)
    with pytest.raises(ValueError, match="tuple"):
        layout.block("smell")
