import numpy as np
import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from models.training.quality import search_quality  # noqa: E402


def posts(count: int, likeness: float) -> np.ndarray:
    """Originals with three exact copies each; neighbours share `likeness` of their direction."""
    rng = np.random.default_rng(1)
    rows = np.linalg.qr(rng.standard_normal((2 * count, 2 * count)))[0][:count]
    rows = rows + likeness * rows[np.arange(count) ^ 1]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return np.repeat(rows[:, None], 4, axis=1).astype(np.float32)


def test_exact_copies_are_all_found() -> None:
    figures, found = search_quality(posts(40, 0.0))
    assert figures["uap"] == pytest.approx(1.0)
    assert figures["recall"] == figures["strict_recall"] == 1.0
    assert figures["look_alikes_matched"] <= 1.0
    assert found.shape == (28 * 3,)


def test_look_alikes_are_counted_apart_from_false_matches() -> None:
    figures, _ = search_quality(posts(40, 0.5))
    assert figures["look_alikes_matched"] == 1.0
    assert figures["uap"] == pytest.approx(1.0)
