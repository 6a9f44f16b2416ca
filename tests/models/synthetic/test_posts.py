"""The simulated stream and its truth."""

from collections import Counter, defaultdict
from dataclasses import replace
from itertools import islice, pairwise

import pytest

from models.synthetic.posts import CONJUNCTION, ROSTER, StreamPlan, SyntheticPost, generate_stream


@pytest.fixture(scope="module")
def posts() -> list[SyntheticPost]:
    return list(generate_stream(StreamPlan(seed=3, posts=700)))


def present(post: SyntheticPost) -> set[str]:
    parts = {"text": post.caption, "image": post.images, "audio": post.audio}
    return {name for name, part in parts.items() if part}


def test_a_plan_gives_the_same_bytes_again(posts: list[SyntheticPost]) -> None:
    again = list(islice(generate_stream(StreamPlan(seed=3, posts=700)), 60))
    assert again == posts[:60]
    other = next(iter(generate_stream(StreamPlan(seed=4, posts=700))))
    assert (other.caption, other.images, other.audio) != (posts[0].caption, posts[0].images, posts[0].audio)


def test_posts_have_identifiers_times_and_at_least_one_part(posts: list[SyntheticPost]) -> None:
    assert len({post.post_id for post in posts}) == len(posts) == 700
    assert all(before.created < after.created for before, after in pairwise(posts))
    assert all(present(post) for post in posts)
    assert len({post.author for post in posts}) > 50


def test_shares_follow_the_plan(posts: list[SyntheticPost]) -> None:
    kinds = Counter(post.truth.kind for post in posts)
    assert 0.08 < kinds["violation"] / len(posts) < 0.16
    assert 0.03 < kinds["look-alike"] / len(posts) < 0.1
    assert kinds["conjunction"] > 8
    assert kinds["conjunction-look-alike"] > 8
    assert kinds["benign"] > 0.6 * len(posts)


def test_only_violations_have_a_policy(posts: list[SyntheticPost]) -> None:
    policies = {casting.name: casting.policy for casting in ROSTER}
    for post in posts:
        violates = post.truth.kind in {"violation", "conjunction"}
        assert (post.truth.policy is not None) == violates
        if violates:
            assert post.truth.campaign is not None
            assert post.truth.policy == policies[post.truth.campaign]
    assert len({post.truth.policy for post in posts if post.truth.policy}) >= 4


def test_campaigns_are_born_over_the_stream_and_the_first_at_once(posts: list[SyntheticPost]) -> None:
    births: dict[str, int] = {}
    for number, post in enumerate(posts):
        if post.truth.policy and post.truth.campaign:
            births.setdefault(post.truth.campaign, number)
    assert min(births.values()) < 40
    assert max(births.values()) > 250
    assert len(births) == 7


def test_the_conjunction_is_the_whole_triple_and_its_look_alikes_are_not(posts: list[SyntheticPost]) -> None:
    triple = [post for post in posts if post.truth.kind == "conjunction"]
    assert all(present(post) == {"text", "image", "audio"} for post in triple)
    assert all(post.truth.policy == CONJUNCTION for post in triple)
    images = {file.data for post in triple for file in post.images}
    recordings = {file.data for post in triple for file in post.audio}
    for post in posts:
        if post.truth.kind == "conjunction-look-alike":
            assert len(present(post)) >= 2
            exact = {file.data for file in post.images} <= images, {file.data for file in post.audio} <= recordings
            assert not (all(exact) and len(present(post)) == 3) or post.caption not in {one.caption for one in triple}


def test_campaign_parts_are_those_of_the_roster_or_two_of_three(posts: list[SyntheticPost]) -> None:
    castings = {casting.name: set(casting.parts) for casting in ROSTER}
    for post in posts:
        if post.truth.kind == "violation" and post.truth.campaign:
            wanted = castings[post.truth.campaign]
            assert present(post) == wanted or (
                len(wanted) == 3 and present(post) < wanted and len(present(post)) == 2
            )


def test_look_alikes_never_carry_a_file_of_their_campaign(posts: list[SyntheticPost]) -> None:
    violating: dict[str | None, set[bytes]] = defaultdict(set)
    for post in posts:
        if post.truth.policy:
            violating[post.truth.campaign] |= {file.data for file in (*post.images, *post.audio)}
    for post in posts:
        if post.truth.kind == "look-alike":
            assert not {file.data for file in (*post.images, *post.audio)} & violating[post.truth.campaign]


def test_trained_and_held_out_transforms_are_used(posts: list[SyntheticPost]) -> None:
    names = {name for post in posts if post.truth.policy for name in post.truth.variants}
    assert {name.partition(":")[0] for name in names} == {"text", "image", "audio"}
    assert "text:leetspeak" in names


def test_more_campaigns_than_the_roster_get_names_of_their_own() -> None:
    born = {
        post.truth.campaign
        for post in generate_stream(StreamPlan(seed=1, posts=250, campaigns=12, violating=0.6, conjunction=0.0))
        if post.truth.policy
    }
    assert "easy-money-2" in born


def test_steps_and_changes_are_spread_over_the_stream() -> None:
    plan = StreamPlan(posts=100, drift=4, forms=1)
    assert [plan.steps(number) for number in (0, 19, 20, 79, 80, 99)] == [0, 0, 1, 3, 4, 4]
    assert [plan.changes(number) for number in (0, 49, 50, 99)] == [0, 0, 1, 1]


@pytest.mark.parametrize("change", [{"drift": 2}, {"forms": 2}])
def test_campaigns_that_change_are_what_they_were_until_the_first_change(change: dict[str, int]) -> None:
    plan = StreamPlan(seed=5, posts=60, violating=0.8, look_alikes=0.0, conjunction=0.0)
    still = list(generate_stream(plan))
    changed = list(generate_stream(replace(plan, **change)))
    assert changed[:20] == still[:20]
    assert changed[20:] != still[20:]
    assert len(changed) == len(still)


@pytest.mark.parametrize(
    "wrong",
    [
        {"drift": -1},
        {"forms": -1},
        {"violating": 0.9, "conjunction": 0.1},
        {"repeats": 1.5},
        {"rate": 0.0},
        {"campaigns": 0},
        {"posts": -1},
    ],
)
def test_impossible_plans_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="StreamPlan"):
        StreamPlan(**wrong)  # type: ignore[arg-type]
