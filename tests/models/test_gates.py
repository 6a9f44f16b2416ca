"""Why a post is judged as it is: the gates agree with the judgement, and the shares with the similarity."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import policies
from models.gates import weigh_candidates, without
from models.policies import Candidate, Evidence, Label, PolicyRule, exemplars, judge
from tests.cells.small_cells import NAMES, directions, layout, near
from tests.pictures import features
from tests.sounds import sound_features

if TYPE_CHECKING:
    from collections.abc import Callable

LAYOUT = layout()
RULE = PolicyRule(name="scam", promote=0.6, demote=0.5, centroid=0.6, exemplar=0.7, cohesion=0.5, modality=0.5)
(POST,) = directions(1)


def evidence(number: int, vector: np.ndarray, *, upheld: bool = True) -> Evidence:
    shown = features(number % 3) if number % 2 else {}
    return Evidence(
        f"v{number}", "scam", f"actor-{number}", upheld, f"p{number}", f"post-{number}", number, 0, vector, shown
    )


def candidate(cluster: int, centroid: np.ndarray, label: Label, cohesion: float, *pieces: Evidence) -> Candidate:
    shares = LAYOUT.shares(POST.astype(np.float64), centroid[None].astype(np.float64))[0]
    return Candidate(cluster, float(sum(shares.tolist())), shares, cohesion, label, *exemplars(pieces, 16))


def with_parts(row: np.ndarray, parts: int) -> np.ndarray:
    """Only the modalities whose bit is set."""
    kept = row.copy()
    for place, name in enumerate(NAMES):
        if not parts >> place & 1:
            kept[LAYOUT.block(name)] = 0.0
    return np.asarray(kept / np.linalg.norm(kept), dtype=np.float32)


@st.composite
def situations(draw: st.DrawFn) -> tuple[PolicyRule, np.ndarray, list[Candidate]]:
    """A policy, a post, and clusters with evidence near it and far from it."""
    kind = draw(st.sampled_from(["any", "together", "required", "alone"]))
    rule = msgspec.structs.replace(
        RULE,
        together=kind == "together",
        required=("image",) if kind == "required" else (),
        alone="text" if kind == "alone" else None,
        modality=draw(st.floats(0.1, 0.95)),
        exemplar=draw(st.floats(0.3, 0.95)),
        verification=draw(st.sampled_from([{}, {"image": 0.7}])),
        agreed=draw(st.sampled_from([{}, {"image": 0.2}])),
    )
    post = with_parts(POST, draw(st.integers(1, 7)))
    found = []
    for cluster in range(draw(st.integers(1, 4))):
        pieces = [
            evidence(
                10 * cluster + number,
                with_parts(near(POST, draw(st.floats(0.0, 0.999)), 10 * cluster + number), draw(st.integers(1, 7))),
                upheld=draw(st.booleans()),
            )
            for number in range(draw(st.integers(0, 3)))
        ]
        state = draw(st.sampled_from(["violating", "disputed", "benign", "none"]))
        label = Label(state, draw(st.floats(0.0, 1.0)), 1, 0)  # type: ignore[arg-type]
        centroid = near(POST, draw(st.floats(0.3, 0.999)), 100 + cluster)
        found.append(candidate(cluster, centroid, label, draw(st.floats(0.0, 1.0)), *pieces))
    return rule, post, found


@settings(deadline=None)
@given(situations(), st.sampled_from([{}, features(1), features(2)]), st.sampled_from([1, 2, policies.MOST_COMPARED]))
def test_the_gates_say_what_the_judgement_says(
    given_: tuple[PolicyRule, np.ndarray, list[Candidate]], shown: dict[str, bytes], most: int
) -> None:
    rule, post, candidates = given_
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(policies, "MOST_COMPARED", most)
        judgement = judge(rule, LAYOUT, post, candidates, shown)
        first = weigh_candidates(rule, LAYOUT, post, candidates, shown)[0]
    if judgement is None:
        assert first.result == "clear"
        assert not first.deciding.passed
    else:
        assert first.result == judgement.action
        assert first.candidate.cluster == judgement.candidate.cluster
        assert first.exemplar == judgement.exemplar
        assert first.similarity == judgement.similarity
        assert first.deciding.passed


@given(situations())
def test_the_shares_sum_to_the_similarity(given_: tuple[PolicyRule, np.ndarray, list[Candidate]]) -> None:
    rule, post, candidates = given_
    for found in weigh_candidates(rule, LAYOUT, post, candidates):
        assert sum(found.candidate.shares) == pytest.approx(found.candidate.similarity, abs=1e-6)
        if found.exemplar is not None and rule.alone is None:
            assert sum(found.shares) == pytest.approx(found.similarity, abs=1e-6)


def test_of_clusters_that_do_not_decide_the_nearest_miss_comes_first() -> None:
    good = Label("violating", 0.66, 1, 0)
    far = candidate(1, near(POST, 0.4), good, 0.9, evidence(1, near(POST, 0.4)))
    close = candidate(2, near(POST, 0.9), good, 0.9, evidence(2, near(POST, 0.68)))
    first, second = weigh_candidates(RULE, LAYOUT, POST, [far, close])
    assert (first.candidate.cluster, second.candidate.cluster) == (2, 1)
    assert first.deciding.name == "exemplar"
    assert first.deciding.margin == pytest.approx(-0.02, abs=1e-3)


def test_a_post_without_a_part_is_the_post_that_never_had_it() -> None:
    rest = without(LAYOUT, POST, "image")
    assert rest is not None
    assert np.allclose(rest, with_parts(POST, 0b101), atol=1e-3)
    assert LAYOUT.present(rest[None]).tolist() == [[True, False, True]]
    assert without(LAYOUT, with_parts(POST, 0b010), "image") is None


@pytest.mark.parametrize(("name", "shown"), [("image", features), ("audio", sound_features)])
def test_the_gate_of_features_is_named_and_decides_where_only_they_differ(
    name: str, shown: Callable[[int], dict[str, bytes]]
) -> None:
    rule = msgspec.structs.replace(RULE, verification={"image": 0.7, "audio": 0.6})
    good = Label("violating", 0.66, 1, 0)
    piece = dataclasses.replace(evidence(1, near(POST, 0.9)), features=shown(1))
    found = candidate(1, near(POST, 0.95), good, 0.9, piece)
    [look_alike] = weigh_candidates(rule, LAYOUT, POST, [found], shown(2))
    assert look_alike.result == "clear"
    assert look_alike.deciding.name == f"verification {name}"
    [copy] = weigh_candidates(rule, LAYOUT, POST, [found], shown(1))
    assert copy.result == "flag"
    assert f"verification {name}" in [gate.name for gate in copy.gates]


def test_agreeing_features_lower_the_gates_of_posts_that_are_an_image_alone() -> None:
    rule = msgspec.structs.replace(RULE, verification={"image": 0.7}, agreed={"image": 0.4})
    for parts, lower in ((0b010, (0.4, 0.4)), (0b110, (0.6, 0.7))):
        post = with_parts(POST, parts)
        piece = evidence(1, with_parts(near(post, 0.9), parts))
        found = candidate(1, post, Label("violating", 0.66, 1, 0), 0.9, piece)
        for shown, least in ((features(1), lower), (features(2), (0.6, 0.7))):
            [weighed] = weigh_candidates(rule, LAYOUT, post, [found], shown)
            asked = {gate.name: gate.threshold for gate in weighed.gates}
            assert (asked["centroid"], asked["exemplar"]) == pytest.approx(least)


def test_features_beyond_the_comparisons_allowed_are_told_as_not_compared() -> None:
    rule = msgspec.structs.replace(RULE, verification={"image": 0.7})
    good = Label("violating", 0.66, 1, 0)
    crowd = [
        candidate(number, near(POST, 0.95), good, 0.9, evidence(6 * number + 5, near(POST, 0.9 - number / 1000)))
        for number in range(policies.MOST_COMPARED + 1)
    ]
    told = weigh_candidates(rule, LAYOUT, POST, crowd, features(1))
    values = {found.candidate.cluster: found.gates[-1].value for found in told}
    assert {found.gates[-1].name for found in told} == {"verification image"}
    assert [cluster for cluster, value in values.items() if value == -1.0] == [policies.MOST_COMPARED]
