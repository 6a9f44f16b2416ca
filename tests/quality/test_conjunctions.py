"""Conjunctions, the modality gap: what their measures say of embeddings whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from models.fusion import FusionLayout
from models.manifest import Thresholds
from models.training.kinds import KINDS, Kind
from tests.quality.conjunctions import (
    LADDER,
    NONE,
    ONE,
    TWO,
    WHOLE,
    Posts,
    area,
    choices_of,
    compose,
    cosines_of,
    judged,
    lacking,
    parts_of,
)
from tests.quality.match_products import fit_probabilities, fit_projections
from tests.quality.modality_gap import distance_of, told_apart
from tests.quality.recognisers import COMPACT
from tests.quality.views import Views

ORIGINALS, COPIES, SIZE = 20, 3, 16
GIVEN = Thresholds(join=0.7, cohesion=0.5, centroid=0.7, exemplar=0.7, modality=0.4, twin=0.8)
LAYOUT = FusionLayout(KINDS, SIZE, np.ones(3, np.float32), np.zeros((3, SIZE), np.float32))


def views(seed: int) -> dict[Kind, Views]:
    """Originals in random directions, and copies near them."""
    rng = np.random.default_rng(seed)
    found: dict[Kind, Views] = {}
    for kind in KINDS:
        rows = unit(rng.standard_normal((ORIGINALS, SIZE)))
        owner = np.repeat(np.arange(ORIGINALS), COPIES)
        copies = unit(rows[owner] + 0.12 * rng.standard_normal((len(owner), SIZE)))
        groups: list[str | None] = ["one tape" if kind == "audio" and at < 3 else None for at in range(ORIGINALS)]
        found[kind] = Views({COMPACT: rows}, {COMPACT: copies}, {}, owner, [""] * len(owner), groups)
    return found


def unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


@pytest.fixture(scope="module")
def posts() -> Posts:
    return compose(views(1), 1)


def test_every_original_has_posts_of_every_number_of_shared_parts(posts: Posts) -> None:
    for number in range(ORIGINALS):
        counts = np.bincount(posts.shared[posts.owner == number])
        assert counts.tolist() == [NONE, 3 * ONE, 3 * TWO, WHOLE]
    for at in range(len(posts.owner)):
        own = [posts.rows[kind][at] // COPIES == posts.owner[at] for kind in KINDS]
        assert sum(own) == posts.shared[at]


def test_a_strange_recording_is_never_another_piece_of_the_same_tape(posts: Posts) -> None:
    of = posts.rows["audio"] // COPIES
    strange = of != posts.owner
    assert not ((of < 3) & (posts.owner < 3) & strange).any()


def test_area_is_the_chance_of_the_right_order() -> None:
    assert area(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == 1.0
    assert area(np.array([0.0, 3.0]), np.array([1.0, 2.0])) == 0.5
    assert area(np.ones(3), np.ones(4)) == 0.5


def test_one_part_says_little_and_the_least_and_the_products_say_all(posts: Posts) -> None:
    centred, _ = parts_of(posts, views(1), LAYOUT)
    cosines = cosines_of(centred)
    single = judged(cosines[:, 0], posts, (2,))
    assert 0.6 < single.area < 0.75
    assert single.area_interval[0] < single.area < single.area_interval[1]
    taught, _ = parts_of(compose(views(2), 2), views(2), LAYOUT)
    learned = (
        fit_probabilities([(posts.shared, cosines_of(taught))], cosines_of),
        fit_projections([(posts.shared, taught)]),
    )
    for scores in (cosines.min(axis=1), *(score(centred) for score in learned)):
        found = judged(scores, posts, (2,))
        assert found.area > 0.98
        assert found.recall > single.recall


def test_a_missing_part_costs_an_ordinary_policy_recall_and_a_conjunction_everything(posts: Posts) -> None:
    centred, _ = parts_of(posts, views(1), LAYOUT)
    found = {(one.side, one.gone): one for one in lacking(centred, posts, LAYOUT, GIVEN)}
    assert len(found) == 1 + 2 * len(KINDS)
    whole = found["", ""]
    assert whole.together > 0.9
    assert whole.together_wrong < 0.2
    for kind in KINDS:
        assert found["post", kind].together == 0.0
        assert found["post", kind].plain <= whole.plain
        assert found["exemplar", kind].together == found["exemplar", kind].plain


def test_a_higher_least_cosine_flags_fewer_and_the_shipped_one_is_among_those_tried(posts: Posts) -> None:
    centred, _ = parts_of(posts, views(1), LAYOUT)
    *same, lower = choices_of(centred, posts, LAYOUT, GIVEN)
    assert [one.modality for one in same] == sorted({*LADDER, GIVEN.modality})
    for count in "0123":
        shares = [one.shared[count] for one in same]
        assert shares == sorted(shares, reverse=True)
    shipped = next(one for one in same if one.modality == GIVEN.modality)
    assert shipped.shared["3"] > 0.9
    assert shipped.shared["0"] == 0.0
    assert lower.fused < shipped.fused
    assert lower.shared["3"] >= shipped.shared["3"]


def test_centring_takes_means_together() -> None:
    rng = np.random.default_rng(4)
    one, two = (rng.standard_normal((200, SIZE)).astype(np.float32) for _ in range(2))
    shifted = two + np.float32(3.0)
    assert distance_of(one, shifted) > 10 * distance_of(one, two)
    rows: dict[Kind, np.ndarray] = {"text": one, "image": shifted}
    assert told_apart(rows, rows, "text", "image") == 1.0
    others: dict[Kind, np.ndarray] = {"text": one, "image": two}
    assert told_apart(rows, others, "text", "image") < 0.7
