from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betaincinv

from models import policies
from models.fusion import FusionLayout
from models.policies import (
    MOST_COMPARED,
    MOST_EVIDENCE,
    PRIOR,
    QUANTILE,
    Candidate,
    Evidence,
    Judgement,
    Label,
    PolicyRule,
    State,
    add,
    exemplars,
    judge,
    least_centroid,
    least_exemplar,
    near_candidates,
    nearest_benign,
    violation_bound,
    weigh,
)
from models.verification import pack, pairs
from tests.pictures import features

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

SIZE = 12
LAYOUT = FusionLayout(("text", "image", "audio"), 4, np.ones(3, np.float32), np.zeros((3, 4), np.float32))
RULE = PolicyRule(
    name="scam", promote=0.6, demote=0.5, centroid=0.7, exemplar=0.7, cohesion=0.5, modality=0.5, together=False
)
BLOCKS = np.eye(SIZE, dtype=np.float32)


def _rule(**changes: object) -> PolicyRule:
    return msgspec.structs.replace(RULE, **changes)


def _post(text: int | None, image: int | None, audio: int | None) -> NDArray[np.float32]:
    """A fused vector whose parts are one of four directions each, or absent."""
    fused = np.zeros(SIZE, dtype=np.float32)
    for block, direction in enumerate((text, image, audio)):
        if direction is not None:
            fused[4 * block + direction] = 1.0
    return np.asarray(fused / np.linalg.norm(fused), dtype=np.float32)


def _evidence(number: int, *, upheld: bool = True, **changes: object) -> Evidence:
    given = Evidence(
        verdict_id=f"verdict-{number}",
        policy="scam",
        actor=f"actor-{number}",
        upheld=upheld,
        post=f"source-{number}",
        post_id=f"post-{number}",
        offset=number,
        time=0,
        vector=BLOCKS[number % SIZE],
    )
    return replace(given, **changes)  # type: ignore[arg-type]


def _candidate(
    *evidence: Evidence, state: State = "violating", cluster: int = 1, similarity: float = 0.9, coherent: float = 0.9
) -> Candidate:
    label = Label(state, 0.66, 1, 0)
    return Candidate(cluster, similarity, np.full(3, similarity / 3), coherent, label, *exemplars(evidence, 16))


@pytest.mark.parametrize(
    ("upheld", "overturned", "bound"),
    [(1, 0, 0.66), (2, 0, 0.85), (3, 0, 0.90), (5, 0, 0.94), (5, 1, 0.54), (0, 1, 0.0)],
)
def test_the_bound_after_some_verdicts(upheld: int, overturned: int, bound: float) -> None:
    assert violation_bound(upheld, overturned) == pytest.approx(bound, abs=0.006)


@given(st.integers(min_value=0, max_value=50), st.integers(min_value=0, max_value=50))
def test_upholding_raises_the_bound_and_overturning_lowers_it(upheld: int, overturned: int) -> None:
    bound = violation_bound(upheld, overturned)
    assert violation_bound(upheld + 1, overturned) >= bound >= violation_bound(upheld, overturned + 1)


def _label(upheld: int, overturned: int, before: State = "none") -> State:
    pieces = [_evidence(n, upheld=n < upheld) for n in range(upheld + overturned)]
    return weigh(pieces, RULE, before).state


def test_one_upheld_verdict_labels_and_one_overturned_takes_the_label_back() -> None:
    assert _label(1, 0) == "violating"
    assert _label(1, 1, "violating") == "disputed"


def test_a_label_is_kept_at_a_bound_that_would_not_give_it() -> None:
    assert violation_bound(5, 1) == pytest.approx(0.54, abs=0.006)
    assert _label(5, 1, "violating") == "violating"
    assert _label(5, 1, "none") == "disputed"


def test_agreement_on_harmless_is_benign_and_silence_is_nothing() -> None:
    assert _label(0, 1) == "benign"
    assert _label(1, 5) == "benign"
    assert _label(0, 0) == "none"


def test_an_actor_counts_once_for_a_post_and_the_last_word_counts() -> None:
    first = _evidence(1)
    later = _evidence(2, upheld=False, actor="actor-1", post="source-1")
    kept, left = add([first], later)
    assert kept == [later]
    assert left == [first]


def test_an_actor_counts_once_for_near_duplicates() -> None:
    first = _evidence(1, vector=BLOCKS[0])
    near = _evidence(2, actor="actor-1", vector=(0.96 * BLOCKS[0] + 0.28 * BLOCKS[1]).astype(np.float32))
    far = _evidence(3, actor="actor-1", vector=(0.94 * BLOCKS[0] + 0.34 * BLOCKS[1]).astype(np.float32))
    assert add([first], near) == ([near], [first])
    assert add([first], far) == ([first, far], [])


def test_two_actors_count_twice_for_one_post() -> None:
    first, second = _evidence(1), _evidence(2, post="source-1", vector=BLOCKS[1])
    assert add([first], second) == ([first, second], [])


def test_evidence_is_bounded() -> None:
    pieces: list[Evidence] = []
    for n in range(MOST_EVIDENCE):
        pieces, left = add(pieces, _evidence(n))
        assert left == []
    kept, left = add(pieces, _evidence(MOST_EVIDENCE))
    assert len(kept) == MOST_EVIDENCE
    assert [piece.offset for piece in left] == [0]


def test_exemplars_are_the_latest_posts_and_the_majority_decides() -> None:
    pieces = [
        _evidence(1),
        _evidence(2),
        _evidence(3, upheld=False),
        _evidence(4, post="source-1", post_id="post-1", upheld=False),
        _evidence(5, post="source-3", post_id="post-3"),
        _evidence(6, post="source-3", post_id="post-3"),
    ]
    upheld, benign = exemplars(pieces, 16)
    assert upheld.post_ids == ("post-2", "post-3")
    assert benign.post_ids == ("post-1",)
    assert exemplars(pieces, 1)[0].post_ids == ("post-3",)
    assert exemplars([], 16)[0].post_ids == ()


def test_a_post_near_an_upheld_exemplar_is_flagged() -> None:
    found = judge(RULE, LAYOUT, _post(0, 0, 0), [_candidate(_evidence(1, vector=_post(0, 0, 0)))])
    assert found is not None
    assert (found.action, found.exemplar, found.candidate.cluster) == ("flag", "post-1", 1)
    assert found.similarity == pytest.approx(1.0)


def test_every_gate_can_refuse() -> None:
    exemplar, post = _evidence(1, vector=_post(0, 0, 0)), _post(0, 0, 0)
    assert judge(RULE, LAYOUT, post, []) is None
    assert judge(RULE, LAYOUT, post, [_candidate(exemplar, similarity=0.69)]) is None
    assert judge(RULE, LAYOUT, post, [_candidate(exemplar, coherent=0.49)]) is None
    assert judge(RULE, LAYOUT, post, [_candidate(exemplar, state="benign")]) is None
    assert judge(RULE, LAYOUT, post, [_candidate(exemplar, state="none")]) is None
    assert judge(RULE, LAYOUT, post, [_candidate()]) is None
    # The exemplar gate: the cluster was dragged, its centroid is near, nothing upheld is.
    assert judge(RULE, LAYOUT, _post(0, 1, 1), [_candidate(exemplar)]) is None


def test_a_disputed_cluster_asks_for_a_review() -> None:
    found = judge(RULE, LAYOUT, _post(0, 0, 0), [_candidate(_evidence(1, vector=_post(0, 0, 0)), state="disputed")])
    assert found is not None
    assert found.action == "review"


def test_a_label_goes_before_a_dispute_and_the_nearest_exemplar_before_others() -> None:
    post = _post(0, 0, 0)
    near = (0.9 * post + np.sqrt(1 - 0.81) * BLOCKS[1]).astype(np.float32)
    disputed = _candidate(_evidence(1, vector=post), state="disputed", cluster=1)
    labelled = _candidate(_evidence(2, vector=near), cluster=2)
    nearer = _candidate(_evidence(3, vector=post), cluster=3)
    first = judge(RULE, LAYOUT, post, [disputed, labelled])
    second = judge(RULE, LAYOUT, post, [disputed, labelled, nearer])
    assert first is not None
    assert second is not None
    assert (first.action, first.candidate.cluster) == ("flag", 2)
    assert (second.action, second.candidate.cluster) == ("flag", 3)


def test_a_benign_exemplar_that_is_as_near_wins_even_from_another_cluster() -> None:
    post = _post(0, 0, 0)
    upheld = _candidate(_evidence(1, vector=post), cluster=1)
    benign = _candidate(_evidence(2, upheld=False, vector=post), state="benign", cluster=2)
    further = _candidate(_evidence(3, upheld=False, vector=_post(0, 0, 1)), state="benign", cluster=3)
    assert judge(RULE, LAYOUT, post, [upheld, benign]) is None
    assert judge(RULE, LAYOUT, post, [upheld, further]) is not None


def test_a_conjunction_needs_every_part_of_the_exemplar() -> None:
    together = msgspec.structs.replace(RULE, together=True, centroid=0.5, exemplar=0.5)
    candidate = _candidate(_evidence(1, vector=_post(0, 0, 0)))
    alone = msgspec.structs.replace(together, together=False)
    for look_alike in (_post(0, 0, 1), _post(1, 0, 0), _post(0, 0, None)):
        assert judge(alone, LAYOUT, look_alike, [candidate]) is not None
        assert judge(together, LAYOUT, look_alike, [candidate]) is None
    assert judge(together, LAYOUT, _post(0, 0, 0), [candidate]) is not None


def test_a_conjunction_ignores_parts_that_the_exemplar_lacks() -> None:
    together = msgspec.structs.replace(RULE, together=True)
    candidate = _candidate(_evidence(1, vector=_post(0, 0, None)))
    assert judge(together, LAYOUT, _post(0, 0, 3), [candidate]) is not None


def test_the_version_changes_with_any_threshold() -> None:
    assert RULE.version == msgspec.structs.replace(RULE).version
    assert RULE.version != msgspec.structs.replace(RULE, exemplar=0.71).version
    assert "modality" not in RULE.thresholds
    assert msgspec.structs.replace(RULE, together=True).thresholds["modality"] == 0.5


def test_no_bound_hangs_on_the_last_digits_of_the_library() -> None:
    upheld, overturned = np.meshgrid(np.arange(MOST_EVIDENCE + 1), np.arange(MOST_EVIDENCE + 1))
    possible = upheld + overturned <= MOST_EVIDENCE
    bounds = betaincinv(PRIOR + upheld[possible], PRIOR + overturned[possible], QUANTILE)
    from_a_tie = np.abs(bounds * 1e7 % 1.0 - 0.5) / 1e7
    assert from_a_tie.min() > 1e-12, "the library is right to far more than that"


def _shown(*seeds: int | None) -> tuple[Evidence, ...]:
    """Upheld evidence about one post and ever less similar ones, with pictures of these numbers."""
    vectors = [_post(0, 0, None), _post(0, 0, 0), _post(0, 0, 1)]
    return tuple(
        _evidence(number, vector=vectors[number], features={} if seed is None else features(seed))
        for number, seed in enumerate(seeds)
    )


VERIFYING = _rule(verification={"image": 0.7}, exemplar=0.6)


@pytest.mark.parametrize(
    ("seeds", "found"), [((1,), "post-0"), ((2,), None), ((None,), "post-0"), ((2, 1), "post-1")]
)
def test_features_decide_which_exemplar_counts(seeds: tuple[int | None, ...], found: str | None) -> None:
    judgement = judge(VERIFYING, LAYOUT, _post(0, 0, None), [_candidate(*_shown(*seeds))], features(1))
    assert (None if judgement is None else judgement.exemplar) == found


def test_a_modality_that_does_not_carry_the_match_is_not_verified() -> None:
    exemplar = _evidence(1, vector=_post(0, 1, 0), features=features(2))
    judgement = judge(VERIFYING, LAYOUT, _post(0, 0, 0), [_candidate(exemplar)], features(1))
    assert judgement is not None, "text and audio carry it, and have no features"


IMAGE = _post(None, 0, None)
ASKED = _rule(verification={"image": 0.7}, agreed={"image": 0.5}, centroid=0.75)


@pytest.mark.parametrize(
    ("cosine", "centroid", "seed", "flagged"),
    [
        (0.55, 0.56, 1, True),
        (0.45, 0.56, 1, False),
        (0.55, 0.45, 1, False),
        (0.55, 0.56, 2, False),
        (0.55, 0.56, None, False),
        (0.72, 0.56, None, False),
        (0.72, 0.76, None, True),
    ],
)
def test_where_features_agree_lower_cosines_are_enough(
    cosine: float, centroid: float, seed: int | None, flagged: bool
) -> None:
    vector = np.asarray(cosine * IMAGE + np.sqrt(1 - cosine**2) * _post(None, 1, None), dtype=np.float32)
    exemplar = _evidence(1, vector=vector, features={} if seed is None else features(seed))
    found = judge(ASKED, LAYOUT, IMAGE, [_candidate(exemplar, similarity=centroid)], features(1))
    assert (found is not None) == flagged


def test_an_image_that_agrees_under_another_caption_lowers_nothing() -> None:
    exemplar = _evidence(1, vector=_post(0, 0, 0), features=features(1))
    assert judge(ASKED, LAYOUT, _post(1, 0, 0), [_candidate(exemplar)], features(1)) is None
    assert judge(_rule(exemplar=0.66), LAYOUT, _post(1, 0, 0), [_candidate(exemplar)], features(1)) is not None


def test_the_least_cosines_are_those_that_agreement_could_ask() -> None:
    unit = IMAGE.astype(np.float64)
    assert least_centroid(ASKED, LAYOUT, unit, features(1)) == pytest.approx(0.5)
    assert least_centroid(ASKED, LAYOUT, unit, {}) == 0.75
    assert least_exemplar(ASKED, LAYOUT, _evidence(1, vector=IMAGE, features=features(1))) == pytest.approx(0.5)
    assert least_exemplar(ASKED, LAYOUT, _evidence(1, vector=_post(0, 0, None), features=features(1))) == 0.7
    assert least_exemplar(_rule(agreed={"image": 0.5}), LAYOUT, _evidence(1, vector=IMAGE)) == 0.7
    assert ASKED.thresholds["agreed image"] == 0.5


def test_together_every_modality_with_features_must_agree() -> None:
    both = {"image": 0.7, "audio": 0.7}
    mixed = features(1) | {"audio": features(3)["image"]}
    exemplar = _evidence(1, vector=_post(0, 0, 0), features=features(1) | {"audio": features(2)["image"]})
    for together in (False, True):
        rule = _rule(verification=both, together=together)
        judgement = judge(rule, LAYOUT, _post(0, 0, 0), [_candidate(exemplar)], mixed)
        assert (judgement is None) == together


def test_alone_only_its_own_modality_is_verified() -> None:
    exemplar = _evidence(1, vector=_post(0, 0, None), features=features(2))
    for alone, refused in (("image", True), ("text", False)):
        rule = _rule(verification={"image": 0.7}, alone=alone)
        judgement = judge(rule, LAYOUT, _post(0, 0, None), [_candidate(exemplar)], features(1))
        assert (judgement is None) == refused


def _maps(count: int, grey: int) -> dict[str, bytes]:
    """Features of an image post of some pictures."""
    return {"image": pack(np.full((count, 16, 16), grey, dtype=np.uint8), "image")}


@contextmanager
def _counted(bound: int, agreeing: int = 0) -> Iterator[list[int]]:
    """Features agree where the exemplar's grey is below `agreeing`; gives the pairs of each comparison."""
    seen: list[int] = []

    def compare(one: bytes, two: bytes, enough: float) -> float:
        seen.append(pairs(one, two))
        return 0.9 if two[-1] < agreeing else enough - 0.1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(policies, "agreement", compare)
        patch.setattr(policies, "MOST_COMPARED", bound)
        yield seen


def _near_image(cosine: float) -> NDArray[np.float32]:
    return np.asarray(cosine * IMAGE + np.sqrt(1 - cosine**2) * _post(None, 1, None), dtype=np.float32)


@st.composite
def _crowds(draw: st.DrawFn) -> list[Candidate]:
    """Clusters whose exemplars are images alone, many of them near enough to compare."""
    found = []
    for cluster in range(draw(st.integers(1, 30))):
        pieces = [
            _evidence(
                10 * cluster + number,
                vector=_near_image(draw(st.sampled_from([0.3, 0.55, 0.6, 0.65, 0.75, 0.9]))),
                upheld=draw(st.integers(0, 9)) > 0,
                features=_maps(draw(st.integers(1, 4)), draw(st.integers(0, 9))) if draw(st.integers(0, 9)) else {},
            )
            for number in range(draw(st.integers(0, 4)))
        ]
        state = draw(st.sampled_from(["violating", "violating", "disputed", "benign"]))
        similarity = draw(st.sampled_from([0.4, 0.6, 0.9]))
        found.append(_candidate(*pieces, state=state, cluster=cluster, similarity=similarity))  # type: ignore[arg-type]
    return found


def _one_by_one(rule: PolicyRule, shown: dict[str, bytes], candidates: Sequence[Candidate]) -> Judgement | None:
    """What `judge` gives when every candidate is judged by itself, and the best of those counts."""
    least = least_centroid(rule, LAYOUT, IMAGE.astype(np.float64), shown)
    near = near_candidates(rule, candidates, least)
    benign = nearest_benign(rule, LAYOUT, IMAGE.astype(np.float64), near)
    nothing = exemplars([], 1)[0]
    each = [judge(rule, LAYOUT, IMAGE, [replace(one, benign=nothing)], shown) for one in candidates]
    found = [one for one in each if one is not None and one.similarity > benign]
    return min(found, key=lambda one: (one.action == "review", -one.similarity, one.candidate.cluster), default=None)


def _told(found: Judgement | None) -> tuple[str, int, str] | None:
    return None if found is None else (found.action, found.candidate.cluster, found.exemplar)


@settings(max_examples=50, deadline=None)
@given(_crowds(), st.integers(1, 4), st.integers(0, 10), st.sampled_from([None, "image"]))
def test_a_post_is_compared_so_often_at_most_and_never_flagged_for_it(
    candidates: list[Candidate], pictures: int, agreeing: int, alone: str | None
) -> None:
    rule, shown = msgspec.structs.replace(ASKED, alone=alone), _maps(pictures, 0)
    with _counted(10**9, agreeing) as all_pairs:
        wanted = _one_by_one(rule, shown, candidates)
        all_pairs.clear()
        unbounded = judge(rule, LAYOUT, IMAGE, candidates, shown)
    assert _told(unbounded) == _told(wanted), "what is left out changes no judgement"
    with _counted(MOST_COMPARED, agreeing) as seen:
        found = judge(rule, LAYOUT, IMAGE, candidates, shown)
    assert sum(seen) <= MOST_COMPARED
    if sum(all_pairs) <= MOST_COMPARED:
        assert _told(found) == _told(wanted)
    elif found is not None:
        assert unbounded is not None
        assert found.action == "review" or unbounded.action == "flag"


def test_the_nearest_exemplars_are_compared_first_whichever_cluster_has_them() -> None:
    crowd = [
        _candidate(
            _evidence(number, vector=_near_image(0.5 + number / 100), features=_maps(1, number)), cluster=number
        )
        for number in range(1, 45)
    ]
    for agreeing, found in ((45 - MOST_COMPARED, None), (46 - MOST_COMPARED, "post-29")):
        with _counted(MOST_COMPARED, agreeing) as seen:
            judgement = judge(ASKED, LAYOUT, IMAGE, crowd, _maps(1, 0))
        assert (None if judgement is None else judgement.exemplar) == found
        assert len(seen) == MOST_COMPARED


def test_what_is_never_compared_is_refused_at_any_cosine_unless_it_has_no_features() -> None:
    crowd = [
        _candidate(_evidence(number, vector=IMAGE, features=_maps(1, number)), cluster=number) for number in (1, 2)
    ]
    bare = _candidate(_evidence(3, vector=_near_image(0.8)), cluster=3)
    with _counted(1, 3):
        assert _told(judge(ASKED, LAYOUT, IMAGE, crowd, _maps(1, 0))) == ("flag", 1, "post-1")
    with _counted(1) as seen:
        assert judge(ASKED, LAYOUT, IMAGE, crowd, _maps(1, 0)) is None
        assert _told(judge(ASKED, LAYOUT, IMAGE, [*crowd, bare], _maps(1, 0))) == ("flag", 3, "post-3")
        assert seen == [1, 1]


def test_nothing_is_compared_beyond_the_exemplar_that_decides() -> None:
    labelled = _candidate(_evidence(1, vector=IMAGE, features=_maps(1, 0)), cluster=1)
    further = _candidate(_evidence(2, vector=_near_image(0.6), features=_maps(1, 0)), cluster=2)
    benign = _candidate(_evidence(3, vector=IMAGE, upheld=False), cluster=3, state="benign")
    with _counted(MOST_COMPARED, 1) as seen:
        assert _told(judge(ASKED, LAYOUT, IMAGE, [further, labelled], _maps(1, 0))) == ("flag", 1, "post-1")
        assert len(seen) == 1
        assert judge(ASKED, LAYOUT, IMAGE, [further, labelled, benign], _maps(1, 0)) is None
        assert len(seen) == 1
