from __future__ import annotations

import numpy as np
import pytest

from models.encoders.vector import VectorEncoder


def test_without_a_graph_vectors_are_brought_to_unit_length() -> None:
    rows = VectorEncoder(None, 2).embed([np.array([3.0, 4.0], dtype=np.float32), np.array([0.0, 9.0])])
    assert rows.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)], [0.0, 1.0]]
    assert rows.dtype == np.float32


def test_very_long_vectors_do_not_overflow() -> None:
    rows = VectorEncoder(None, 2).embed([np.array([3e38, 3e38], dtype=np.float32)])
    assert np.linalg.norm(rows) == pytest.approx(1)


def test_very_short_vectors_keep_their_direction() -> None:
    rows = VectorEncoder(None, 2).embed([np.array([3e-30, 4e-30], dtype=np.float32)])
    assert rows[0].tolist() == [pytest.approx(0.6), pytest.approx(0.8)]
