import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.training.evaluation import average_precision, recall_at, recall_by, retrieve


def test_a_perfect_search_is_perfect() -> None:
    cosines = np.full((30, 20), 0.1, dtype=np.float32)
    cosines[np.arange(20), np.arange(20)] = 0.9
    truth = np.concatenate([np.arange(20), np.full(10, -1)])
    judged = retrieve(cosines, truth)
    assert judged.precision == pytest.approx(1.0)
    assert judged.recall == judged.strict_recall == 1.0
    assert judged.found.all()


def test_recall_counts_only_queries_above_the_false_matches() -> None:
    cosines = np.full((40, 10), 0.2, dtype=np.float32)
    truth = np.concatenate([np.arange(10), np.full(30, -1)])
    cosines[np.arange(5), np.arange(5)] = 0.9
    cosines[30:, 0] = 0.5
    cosines[np.arange(5, 10), np.arange(5, 10)] = 0.4
    judged = retrieve(cosines, truth)
    assert judged.recall == 0.5
    assert judged.strict_recall == 0.5
    assert judged.strict_threshold == pytest.approx(0.5)


@pytest.mark.parametrize("truth", [[0, 1], [-1, -1]])
def test_a_search_without_originals_or_distractors_is_refused(truth: list[int]) -> None:
    with pytest.raises(ValueError, match="distractors"):
        retrieve(np.eye(2, dtype=np.float32), np.array(truth))


def test_average_precision_of_a_known_ranking() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6], dtype=np.float32)
    assert average_precision(scores, np.array([True, False, True, False])) == pytest.approx((1.0 + 2.0 / 3.0) / 2.0)


@given(arrays(np.float32, 12, elements=st.floats(-1, 1, width=32)), arrays(np.bool_, 12))
def test_average_precision_stays_within_its_bounds(scores: np.ndarray, relevant: np.ndarray) -> None:
    assert 0.0 <= average_precision(scores, relevant) <= 1.0


def test_recall_is_told_apart_by_name() -> None:
    assert recall_by(["crop", "blur", "crop"], np.array([True, True, False])) == {"blur": 1.0, "crop": 0.5}


def test_recall_at_a_rank_counts_what_stands_before() -> None:
    cosines = np.array([[0.5, 0.9, 0.1], [0.0, 1.0, 0.0], [0.8, 0.9, 0.1]], dtype=np.float32)
    assert recall_at(cosines, 1) == pytest.approx(1 / 3)
    assert recall_at(cosines, 2) == pytest.approx(2 / 3)
    assert recall_at(cosines, 3) == 1.0
