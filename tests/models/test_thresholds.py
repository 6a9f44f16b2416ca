"""Thresholds at a false match rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.stats import binomtest

from models.fusion import FusionLayout
from models.thresholds import TooFewPosts, calibrate_posts, interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE = 24
TWO = FusionLayout(("text", "image"), SIZE, np.ones(2, dtype=np.float32), np.zeros((2, SIZE), dtype=np.float32))


def posts(count: int, seed: int, *, copies: int = 2) -> NDArray[np.float32]:
    """Whole posts of random parts, and copies with a little noise: float32 (count, 1 + copies, size)."""
    rng = np.random.default_rng(seed)
    parts = rng.standard_normal((count, 1, 2, SIZE)) + np.zeros((count, 1 + copies, 2, SIZE))
    parts[:, 1:] += 0.3 * rng.standard_normal((count, copies, 2, SIZE))
    parts /= np.linalg.norm(parts, axis=3, keepdims=True)
    return np.asarray((parts / np.sqrt(2)).reshape(count, 1 + copies, 2 * SIZE), dtype=np.float32)


def matches(fused: NDArray[np.float32], threshold: float) -> float:
    """Share of the pairs of different posts at the threshold."""
    products = fused[:, 0] @ fused[:, 0].T
    return float((products[np.triu_indices(len(fused), 1)] >= threshold).mean())


@pytest.mark.parametrize("rate", [0.001, 0.01])
def test_the_rate_holds_for_posts_that_nothing_was_chosen_on(rate: float) -> None:
    found = calibrate_posts(posts(300, 1), np.arange(300), TWO, rate, 0)
    one = found.measured["exemplar"]
    assert one.false_matches <= rate
    assert one.false_matches_low <= matches(posts(1500, 2), found.thresholds.exemplar) <= one.false_matches_high
    assert one.low <= found.thresholds.exemplar <= one.high


def test_intervals_hold_as_often_as_they_say() -> None:
    """Of sixty calibrations nearly all cover what a large sample says of their threshold."""
    many = posts(2000, 99, copies=1)
    covered = 0
    for seed in range(60):
        found = calibrate_posts(posts(120, seed, copies=1), np.arange(120), TWO, 0.01, 0)
        one = found.measured["alone text"]
        block = many[:, :1, :SIZE] * np.sqrt(2)
        covered += one.false_matches_low <= matches(block, found.thresholds.alone["text"]) <= one.false_matches_high
    assert covered >= 53


def test_copies_say_what_is_found() -> None:
    one = calibrate_posts(posts(300, 1), np.arange(300), TWO, 0.01, 0).measured["exemplar"]
    assert one.recall is not None
    assert one.recall_low is not None
    assert one.recall_high is not None
    assert one.recall_low <= one.recall <= one.recall_high
    assert one.recall > 0.95
    assert calibrate_posts(posts(300, 1, copies=0), np.arange(300), TWO, 0.01, 0).measured["exemplar"].recall is None


def test_a_part_from_another_post_does_not_join() -> None:
    given = posts(200, 4)
    found = calibrate_posts(given, np.arange(200), TWO, 0.01, 0)
    mixed = np.concatenate([given[:, 0, :SIZE], np.roll(given[:, 0, SIZE:], 1, axis=0)], axis=1)
    assert ((mixed * given[:, 0]).sum(axis=1) >= found.thresholds.join).mean() <= 0.05


def test_repeats_and_known_groups_are_no_false_matches() -> None:
    given = posts(200, 5)
    repeated = np.concatenate([given, given])
    groups = np.concatenate([np.arange(200), np.arange(200)])
    once = calibrate_posts(given, np.arange(200), TWO, 0.01, 0).thresholds.exemplar
    assert calibrate_posts(repeated, groups, TWO, 0.01, 0).thresholds.exemplar == pytest.approx(once, abs=0.01)
    unknown = calibrate_posts(repeated, np.arange(400), TWO, 0.01, 0)
    assert unknown.repeats == 200
    assert unknown.thresholds.exemplar == pytest.approx(once, abs=0.01)


def test_too_few_posts_are_refused() -> None:
    with pytest.raises(TooFewPosts, match=r"0\.0001 takes about 449 posts"):
        calibrate_posts(posts(100, 1), np.arange(100), TWO, 0.0001, 0)


def test_independent_trials_have_the_interval_of_clopper_and_pearson() -> None:
    exact = binomtest(7, 90).proportion_ci(0.95)
    assert interval(7 / 90, 90, 0.0) == pytest.approx((exact.low, exact.high), abs=1e-9)
    low, high = interval(7 / 90, 90, 10 * (7 / 90) * (83 / 90) / 90)
    assert low < exact.low
    assert high > exact.high
    assert interval(0.0, 90, 0.0)[0] == 0.0
    assert interval(1.0, 90, 0.0)[1] == 1.0
