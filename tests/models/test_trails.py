from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import policies
from models.gates import weigh_candidates
from models.policies import Bank, exemplars, judge
from models.trails import follow, still_reached
from tests.cells.small_cells import directions, near
from tests.models.test_gates import LAYOUT, POST, RULE, candidate, evidence, situations, with_parts
from tests.pictures import features

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from models.policies import Candidate, PolicyRule
    from models.trails import Followed

FOLLOWING = msgspec.structs.replace(RULE, trail=0.8, reach=0.5)
LABELLED = policies.Label("violating", 0.66, 1, 0)
(STRANGE,) = directions(1, seed=9)


def bank(*vectors: NDArray[np.float32], shown: dict[str, bytes] | None = None) -> Bank:
    rows = np.stack(vectors).astype(np.float64)
    names = tuple(f"flagged-{number}" for number in range(len(vectors)))
    return Bank(
        names, rows / np.linalg.norm(rows, axis=1, keepdims=True), ({} if shown is None else shown,) * len(names)
    )


def labelled(cosine: float, *, cluster: int = 1, seed: int = 1) -> Candidate:
    """A violating cluster with one exemplar at this cosine to the post."""
    return candidate(cluster, near(POST, 0.5, 100), LABELLED, 0.9, evidence(2 * seed, near(POST, cosine, seed)))


def followed(
    rule: PolicyRule,
    candidates: list[Candidate],
    trail: Bank,
    shown: dict[str, bytes] | None = None,
    post: NDArray[np.float32] = POST,
) -> Followed | None:
    return follow(rule, LAYOUT, post, candidates, lambda _: trail, shown or {})


def test_a_post_that_is_nearly_a_flagged_one_follows_it_while_an_exemplar_is_within_reach() -> None:
    found = followed(FOLLOWING, [labelled(0.55)], bank(near(POST, 0.7, 3), near(POST, 0.9, 4)))
    assert found is not None
    assert found.judgement.action == "flag"
    assert found.judgement.exemplar == "post-2"
    assert found.judgement.similarity == pytest.approx(0.55, abs=1e-3)
    assert found.judgement.trail is not None
    assert found.judgement.trail.post_id == "flagged-1"
    assert found.judgement.trail.similarity == pytest.approx(0.9, abs=1e-3)


@pytest.mark.parametrize(
    ("rule", "cosine", "flagged"),
    [
        (FOLLOWING, 0.45, 0.9),
        (FOLLOWING, 0.55, 0.75),
        (msgspec.structs.replace(FOLLOWING, trail=1.0), 0.55, 0.999),
        (msgspec.structs.replace(FOLLOWING, alone="text"), 0.55, 0.9),
    ],
    ids=["beyond the reach", "not near enough", "switched off", "one modality alone"],
)
def test_it_does_not_where(rule: PolicyRule, cosine: float, flagged: float) -> None:
    assert followed(rule, [labelled(cosine)], bank(near(POST, flagged, 4))) is None


def test_a_trail_counts_for_a_violating_cluster_only() -> None:
    one = labelled(0.55)
    for state in ("disputed", "benign", "none"):
        other = replace(one, label=policies.Label(state, 0.66, 1, 0))
        assert followed(FOLLOWING, [other], bank(near(POST, 0.9, 4))) is None


def test_a_post_that_leaves_a_part_out_follows_by_those_it_has() -> None:
    pair, whole = with_parts(POST, 0b011), near(POST, 0.9, 4)
    assert float(pair @ whole) < FOLLOWING.trail
    found = followed(FOLLOWING, [labelled(0.7)], bank(whole), post=pair)
    assert found is not None
    assert found.near.similarity == pytest.approx(float(pair @ with_parts(whole, 0b011)), abs=1e-6)
    near_whole = msgspec.structs.replace(FOLLOWING, reach=0.85)
    assert followed(near_whole, [labelled(0.9)], bank(whole)) is not None
    assert followed(near_whole, [labelled(0.9)], bank(whole), post=pair) is None, (
        "the reach is asked of the whole post"
    )
    assert followed(FOLLOWING, [labelled(0.7)], bank(near(POST, 0.7, 4)), post=pair) is None


@pytest.mark.parametrize(
    ("rule", "parts", "flagged"),
    [
        (FOLLOWING, 0b111, 0b011),
        (FOLLOWING, 0b011, 0b110),
        (FOLLOWING, 0b001, 0b111),
        (msgspec.structs.replace(FOLLOWING, together=True, modality=0.5), 0b011, 0b111),
        (msgspec.structs.replace(FOLLOWING, required=("audio",), modality=0.5), 0b011, 0b111),
    ],
    ids=["a part more", "another part", "one part alone", "together", "a required part"],
)
def test_posts_of_other_parts_are_not_followed(rule: PolicyRule, parts: int, flagged: int) -> None:
    post, trail = with_parts(POST, parts), bank(with_parts(near(POST, 0.999, 4), flagged))
    assert followed(msgspec.structs.replace(rule, reach=0.1), [labelled(0.9)], trail, post=post) is None


def test_a_benign_exemplar_as_near_as_the_upheld_one_wins() -> None:
    cleared = evidence(12, near(POST, 0.6, 5), upheld=False)
    harmless = candidate(2, near(POST, 0.5, 101), policies.Label("benign", 0.0, 0, 1), 0.9, cleared)
    trail = bank(near(POST, 0.9, 4))
    assert followed(FOLLOWING, [labelled(0.55), harmless], trail) is None
    assert followed(FOLLOWING, [labelled(0.65), harmless], trail) is not None
    assert not still_reached(FOLLOWING, LAYOUT, POST, [labelled(0.55), harmless])
    assert still_reached(FOLLOWING, LAYOUT, POST, [labelled(0.65), harmless])


def test_features_of_the_flagged_post_must_agree() -> None:
    rule = msgspec.structs.replace(FOLLOWING, verification={"image": 0.7})
    same, other = (bank(near(POST, 0.95, 4), shown=features(number)) for number in (1, 2))
    assert followed(rule, [labelled(0.55)], same, features(1)) is not None
    assert followed(rule, [labelled(0.55)], other, features(1)) is None
    assert followed(rule, [labelled(0.55)], bank(near(POST, 0.95, 4)), features(1)) is not None, "nothing to compare"


def test_together_asks_for_every_modality_of_the_flagged_post() -> None:
    rule = msgspec.structs.replace(FOLLOWING, together=True, modality=0.5)
    part = POST.copy()
    part[LAYOUT.block("audio")] = STRANGE[LAYOUT.block("audio")]
    other = msgspec.structs.replace(rule, trail=0.6)
    assert followed(msgspec.structs.replace(other, together=False), [labelled(0.55)], bank(part)) is not None
    assert followed(other, [labelled(0.55)], bank(part)) is None
    assert followed(rule, [labelled(0.55)], bank(near(POST, 0.95, 4))) is not None


@settings(deadline=None)
@given(situations(), st.floats(0.2, 0.99), st.floats(0.2, 0.9), st.lists(st.floats(0.2, 0.999), max_size=4))
def test_the_gates_say_what_a_trail_decides(
    given_: tuple[PolicyRule, np.ndarray, list[Candidate]], trail: float, reach: float, cosines: list[float]
) -> None:
    rule, post, candidates = given_
    rule = msgspec.structs.replace(rule, trail=trail, reach=reach)
    flagged = (
        bank(*(near(post, cosine, 50 + n) for n, cosine in enumerate(cosines))) if cosines else exemplars((), 1)[0]
    )
    judgement = judge(rule, LAYOUT, post, candidates)
    found = None if judgement is not None else follow(rule, LAYOUT, post, candidates, lambda _: flagged)
    first = weigh_candidates(rule, LAYOUT, post, candidates, trail=lambda _: flagged)[0]
    if found is not None:
        assert first.result == "flag"
        assert first.trail == found.near
        assert first.exemplar == found.exemplar
        assert all(gate.passed == (gate.value >= gate.threshold) for gate in first.gates if gate.name != "bound")
        assert first.deciding.name in {"trail", "reach", "benign"}
    else:
        assert first.trail is None
        assert first.result == ("clear" if judgement is None else judgement.action)
