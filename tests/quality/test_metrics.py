"""The figures are what their names say, on any scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score

from tests.quality.metrics import (
    interval,
    micro_average_precision,
    reached,
    share_reached,
    tail_shares,
    threshold_at,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

# few values, so that ties are frequent, as they are between hashes
SCORES = arrays(np.float32, st.integers(2, 60), elements=st.integers(-9, 9).map(float))
SHARES = st.sampled_from([0.0, 0.001, 0.01, 0.1, 0.25, 0.5, 0.99, 1.0])


@settings(deadline=None)
@given(SCORES, st.data())
def test_micro_average_precision_is_that_of_scikit_learn(scores: NDArray[np.float32], data: st.DataObject) -> None:
    relevant = data.draw(arrays(bool, len(scores)))
    assume(relevant.any())
    assert micro_average_precision(scores, relevant) == pytest.approx(average_precision_score(relevant, scores))


@settings(deadline=None)
@given(SCORES, st.data())
def test_micro_average_precision_does_not_depend_on_the_order(
    scores: NDArray[np.float32], data: st.DataObject
) -> None:
    relevant = data.draw(arrays(bool, len(scores)))
    assume(relevant.any())
    order = data.draw(st.permutations(range(len(scores))))
    again = micro_average_precision(scores[order], relevant[order])
    assert again == pytest.approx(micro_average_precision(scores, relevant))


def test_what_never_matches_is_never_retrieved() -> None:
    scores = np.array([2.0, -np.inf, 1.0], dtype=np.float32)
    assert micro_average_precision(scores, np.array([True, True, False])) == 0.5
    assert micro_average_precision(np.full(3, -np.inf), np.array([True, True, False])) == 0.0


def test_a_hash_that_gives_all_pairs_one_score_is_as_precise_as_chance() -> None:
    assert micro_average_precision(np.zeros(100), np.arange(100) < 7) == pytest.approx(0.07)


def test_without_a_relevant_pair_there_is_no_precision() -> None:
    with pytest.raises(ValueError, match="no pair is relevant"):
        micro_average_precision(np.zeros(3), np.zeros(3, dtype=bool))


@settings(deadline=None)
@given(SCORES, SHARES)
def test_a_threshold_lets_through_what_is_allowed_and_a_lower_one_more(
    wrong: NDArray[np.float32], share: float
) -> None:
    threshold = threshold_at(wrong, share)
    assert share_reached(wrong, threshold) <= share + 1e-9
    below = wrong[wrong < threshold]
    if len(below):
        assert share_reached(wrong, float(below.max())) > share


@settings(deadline=None)
@given(SCORES)
def test_a_stricter_share_never_lowers_the_threshold(wrong: NDArray[np.float32]) -> None:
    thresholds = [threshold_at(wrong, share) for share in (0.5, 0.1, 0.01, 0.0)]
    assert thresholds == sorted(thresholds)


def test_what_has_no_hash_matches_at_no_threshold() -> None:
    nothing = np.full(5, -np.inf, dtype=np.float32)
    assert not reached(nothing, threshold_at(nothing, 0.1)).any()
    assert not reached(nothing, -np.inf).any()


def test_a_threshold_needs_scores() -> None:
    with pytest.raises(ValueError, match="wrong scores"):
        threshold_at(np.zeros(0), 0.1)


@settings(deadline=None)
@given(SCORES, SCORES)
def test_a_higher_score_is_never_less_rare(scores: NDArray[np.float32], wrong: NDArray[np.float32]) -> None:
    rare = tail_shares(scores, wrong)
    assert ((rare > 0) & (rare <= 1)).all()
    order = np.argsort(scores)
    assert (np.diff(rare[order]) <= 0).all()


def test_the_share_of_wrong_scores_that_reach_a_score_counts_itself() -> None:
    wrong = np.arange(9.0)
    assert tail_shares(np.array([8.0, 4.0, 100.0]), wrong) == pytest.approx([0.2, 0.6, 0.1])


@settings(deadline=None)
@given(st.integers(1, 3000), st.data())
def test_the_interval_holds_the_share(trials: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, trials))
    low, high = interval(hits, trials)
    assert 0 <= low <= hits / trials <= high <= 1


def test_without_a_hit_the_interval_ends_near_the_rule_of_three() -> None:
    assert interval(0, 3800)[1] == pytest.approx(3.69 / 3800, rel=0.01)
    assert interval(0, 3800, confidence=0.90)[1] == pytest.approx(3.0 / 3800, rel=0.01)
