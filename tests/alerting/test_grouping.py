"""Flags become campaigns, and campaigns are told at their pace: each flag in exactly one notice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from consumers.alerting.grouping import Due, Grouping, KnownFlag, OpenCampaign, Place
from consumers.alerting.settings import Alert
from consumers.cells.conclusions import rfc3339
from consumers.contracts.flag import NearestExemplar
from tests.alerting.flags import NOW, flag, taken_back

if TYPE_CHECKING:
    from consumers.contracts.flag import Flag
    from consumers.contracts.notification import Notice

MINUTE = 60_000
RULES = Alert(escalation_flags=0)


def grouping(**fields: Any) -> Grouping:
    return Grouping(RULES.model_copy(update=fields))


def fold(groups: Grouping, *flags: Flag, now: int = NOW, related: tuple[str, ...] = ()) -> None:
    for one in flags:
        groups.fold(one, Place("p", one.cell_offset), now, related)


def told(groups: Grouping, now: int = NOW) -> list[Notice]:
    return [due.notice for due in groups.due(now)]


def test_the_first_flags_of_a_cluster_are_told_at_once_and_the_next_after_the_pace() -> None:
    groups = grouping()
    fold(groups, flag(1), flag(2))
    [first] = told(groups)
    assert (first.kind, first.flags, first.policy, first.campaign) == ("first", 2, "scam", "0-1")
    assert [post.post_id for post in first.posts] == ["post-1", "post-2"]
    fold(groups, flag(3))
    assert told(groups, NOW + 14 * MINUTE) == []
    fold(groups, flag(4))
    [digest] = told(groups, NOW + 15 * MINUTE)
    assert (digest.kind, digest.flags, digest.flags_total) == ("digest", 2, 4)
    assert told(groups, NOW + 60 * MINUTE) == []


def test_a_notice_says_why_and_where_its_links_lead() -> None:
    groups = grouping(links={"console": "https://m.example/{policy}?post={post_id}"})
    fold(groups, flag(1, post_id="a/b?c=é"))
    [notice] = told(groups)
    assert notice.why.shares == {"text": 0.5, "image": 0.4}
    assert notice.why.exemplar == NearestExemplar("exemplar-1", 0.95)
    assert notice.links == {"console": "https://m.example/scam?post=a%2Fb%3Fc%3D%C3%A9"}


@pytest.mark.parametrize(
    ("fields", "related", "campaigns"),
    [
        ({"cluster_id": "0-1"}, (), 1),
        ({"cluster_id": "0-9"}, (), 1),
        ({"cluster_id": "1-9", "exemplar": NearestExemplar("other", 0.9)}, (), 2),
        ({"cluster_id": "1-9", "exemplar": NearestExemplar("other", 0.9)}, ("0-1",), 1),
        ({"policy": "spam"}, (), 2),
        ({"bundle": "other-1"}, ("0-1",), 2),
    ],
)
def test_clusters_are_one_campaign_by_exemplar_or_relation_and_never_across_policies(
    fields: dict[str, Any], related: tuple[str, ...], campaigns: int
) -> None:
    groups = grouping()
    fold(groups, flag(1))
    fold(groups, flag(2, **fields), related=related)
    assert len(told(groups)) == campaigns


def test_a_repeated_or_older_revision_counts_for_nothing() -> None:
    groups = grouping()
    fold(groups, flag(1, revision=5), flag(1, revision=5), flag(1, revision=4), flag(1, revision=6))
    [notice] = told(groups)
    assert notice.flags == notice.flags_total == 1


def test_a_flag_taken_back_before_anybody_heard_of_it_is_not_told() -> None:
    groups = grouping()
    fold(groups, flag(1), taken_back(1, revision=9))
    assert told(groups) == []
    assert groups.held() == {}
    assert groups.waiting() == 0


def test_a_flag_taken_back_after_it_was_told_is_told_after_a_while() -> None:
    groups = grouping()
    fold(groups, flag(1), flag(2))
    told(groups)
    fold(groups, taken_back(1, 9), taken_back(2, 9))
    assert told(groups, NOW + MINUTE - 1) == []
    [notice] = told(groups, NOW + MINUTE)
    assert (notice.kind, notice.flags, notice.retractions, notice.flags_total) == ("retraction", 0, 2, 2)
    assert {post.action for post in notice.posts} == {"retract"}


def test_a_campaign_that_grows_fast_is_told_at_once_each_time_it_doubles() -> None:
    groups = grouping(escalation_flags=10)
    kinds = []
    for number in range(45):
        fold(groups, flag(number))
        kinds += [(notice.kind, notice.recent) for notice in told(groups)]
    assert kinds == [("first", 1), ("escalation", 10), ("escalation", 20), ("escalation", 40)]


def test_flags_that_a_verdict_brings_are_no_growth() -> None:
    groups = grouping(escalation_flags=10)
    fold(groups, flag(0))
    told(groups)
    fold(groups, *(flag(number, cause="retroactive") for number in range(1, 50)))
    assert told(groups) == []


def test_a_backlog_of_old_flags_is_no_growth() -> None:
    groups = grouping(escalation_flags=10)
    fold(groups, *(flag(number, decided_at=rfc3339(NOW - 24 * 60 * MINUTE)) for number in range(50)))
    assert [notice.kind for notice in told(groups)] == ["first"]
    fold(groups, flag(51, decided_at=rfc3339(NOW - 24 * 60 * MINUTE)))
    assert told(groups) == []


def test_shadow_flags_are_told_only_when_asked_for_and_by_themselves() -> None:
    groups = grouping()
    fold(groups, flag(1, mode="shadow"))
    assert told(groups) == []
    groups = grouping(shadow=True)
    fold(groups, flag(1, mode="shadow"), flag(2))
    assert sorted(notice.mode for notice in told(groups)) == ["live", "shadow"]


def test_quiet_hours_hold_a_severity_back_until_their_end() -> None:
    # 1_800_000_000 s is 08:00 UTC on a Friday
    quiet = Alert.model_validate({"quiet": [{"severities": ["high"], "start": "07:00", "end": "09:00"}]}).quiet
    groups = grouping(quiet=quiet)
    fold(groups, flag(1), flag(2, severity="critical", cluster_id="0-2", policy="csam"))
    assert [notice.policy for notice in told(groups)] == ["csam"]
    fold(groups, flag(3))
    assert told(groups, NOW + 59 * MINUTE) == []
    [due] = groups.due(NOW + 60 * MINUTE)
    assert (due.notice.kind, due.notice.flags, due.waited) == ("first", 2, True)


def many(count: int, first: int = 0, **fields: Any) -> list[Flag]:
    """A flag for each of so many campaigns."""
    return [
        flag(first + number, cluster_id=f"0-{first + number}", exemplar=None, **fields) for number in range(count)
    ]


def test_campaigns_that_come_one_by_one_are_told_so_until_they_are_many_and_then_together() -> None:
    groups = grouping(summary_above=3)
    found = []
    for one in many(8):
        fold(groups, one)
        found.append(len(told(groups)))
    assert found == [1, 1, 1, 0, 0, 0, 0, 0]
    assert groups.waiting() == 5
    assert told(groups, NOW + MINUTE - 1) == []
    due = groups.due(NOW + MINUTE)
    assert [(one.notice.kind, one.notice.flags, one.waited) for one in due] == [("first", 1, True)] * 5
    fold(groups, *many(1, 8))
    assert told(groups, NOW + MINUTE) == []
    assert len(told(groups, NOW + 2 * MINUTE)) == 1


def test_neither_the_gravest_nor_another_policy_waits_for_a_policy_with_many_campaigns() -> None:
    groups = grouping(summary_above=3)
    fold(groups, *many(3))
    told(groups)
    fold(groups, *many(1, 3), *many(1, 4, severity="critical"), *many(1, 5, policy="spam"))
    assert sorted(notice.campaign for notice in told(groups)) == ["0-4", "0-5"]


def test_a_flag_that_waited_and_was_taken_back_hurries_no_later_one() -> None:
    quiet = Alert.model_validate({"quiet": [{"severities": ["high"], "start": "08:01", "end": "08:05"}]}).quiet
    groups = grouping(quiet=quiet)
    fold(groups, flag(1))
    told(groups)
    fold(groups, flag(2))
    told(groups, NOW + 2 * MINUTE)
    fold(groups, taken_back(2, 9), flag(3))
    assert told(groups, NOW + 6 * MINUTE) == []
    assert [notice.flags for notice in told(groups, NOW + 15 * MINUTE)] == [1]


def test_a_campaign_that_comes_back_after_long_is_a_new_one() -> None:
    groups = grouping(forget_seconds=3600)
    fold(groups, flag(1))
    told(groups)
    groups.forget(NOW + 61 * MINUTE)
    assert groups.campaigns == {}
    fold(groups, flag(2), now=NOW + 62 * MINUTE)
    assert [notice.kind for notice in told(groups, NOW + 62 * MINUTE)] == ["first"]


def test_beyond_the_bound_the_quietest_are_told_and_let_go() -> None:
    groups = grouping(campaigns=2, remembered_flags=3)
    for number in range(4):
        fold(groups, flag(number, cluster_id=f"0-{number}", exemplar=None), now=NOW + number)
    assert sorted(notice.campaign for notice in told(groups, NOW + 10)) == ["0-0", "0-1", "0-2", "0-3"]
    assert sorted(one.campaign for one in groups.campaigns.values()) == ["0-2", "0-3"]
    assert list(groups.flags) == ["flag-1", "flag-2", "flag-3"]


def test_what_is_held_is_the_lowest_offset_nobody_was_told_of() -> None:
    groups = grouping()
    fold(groups, flag(7))
    told(groups)
    assert groups.held() == {}
    fold(groups, flag(9), flag(8), flag(11, cluster_id="0-2", exemplar=None))
    assert groups.held() == {"p": 8}


def copied(groups: Grouping, rules: Alert) -> Grouping:
    """The same after its state has been written and read."""
    campaigns = [msgspec.msgpack.encode(one) for one in groups.campaigns.values()]
    flags = {name: msgspec.msgpack.encode(one) for name, one in groups.flags.items()}
    return Grouping(
        rules,
        [msgspec.msgpack.decode(one, type=OpenCampaign) for one in campaigns],
        {name: msgspec.msgpack.decode(one, type=KnownFlag) for name, one in flags.items()},
    )


events = st.lists(
    st.tuples(
        st.integers(0, 12),
        st.sampled_from(["flag", "flag", "flag", "retract"]),
        st.integers(0, 3),
        st.sampled_from(["scam", "spam"]),
        st.integers(0, 20 * MINUTE),
    ),
    max_size=60,
)


def replay(drawn: list[tuple[int, str, int, str, int]], *, restart: bool) -> tuple[list[Due], Grouping]:
    """Fold the events, and tell what is due after each; with a restart after every one."""
    rules = RULES.model_copy(update={"escalation_flags": 3})
    groups, found, now = Grouping(rules), list[Due](), NOW
    for revision, (post, action, cluster, policy, pause) in enumerate(drawn):
        now += pause
        fields: dict[str, Any] = {"cluster_id": f"0-{cluster}", "exemplar": None, "policy": policy}
        one = flag(post, flag_id=f"{post}-{policy}", revision=revision, action=action, cell_offset=revision, **fields)
        groups.fold(one, Place("p", revision), now)
        found += groups.due(now)
        groups = copied(groups, rules) if restart else groups
    return found + groups.due(now + 24 * 60 * MINUTE), groups


@settings(deadline=None)
@given(events)
def test_every_flag_is_told_once_or_cancelled_and_nothing_is_held_in_the_end(drawn: list[Any]) -> None:
    found, groups = replay(drawn, restart=False)
    standing: dict[str, str] = {}
    flags = 0
    for post, action, _, policy, _ in drawn:
        name = f"{post}-{policy}"
        flags += action == "flag" and standing.get(name) != "flag"
        standing[name] = action
    cancelled = flags - sum(due.notice.flags for due in found)
    assert cancelled >= 0
    assert sum(one.flags_total for one in groups.campaigns.values()) == sum(due.notice.flags for due in found)
    assert (groups.held(), groups.waiting()) == ({}, 0)
    identifiers = [due.notice.notice_id for due in found]
    assert len(set(identifiers)) == len(identifiers)
    if all(action == "flag" for _, action, _, _, _ in drawn):
        assert cancelled == 0


@settings(deadline=None)
@given(events)
@example(
    [(1, "flag", 1, "spam", 0), (0, "retract", 0, "spam", 0), (1, "retract", 0, "spam", 0), (0, "flag", 0, "spam", 0)]
)
def test_a_restart_after_every_flag_changes_nothing(drawn: list[Any]) -> None:
    assert replay(drawn, restart=True)[0] == replay(drawn, restart=False)[0]


@settings(deadline=None)
@given(events)
def test_told_a_second_time_the_same_flags_say_nothing_new(drawn: list[Any]) -> None:
    _, groups = replay(drawn, restart=False)
    for revision, (post, action, cluster, policy, _) in enumerate(drawn):
        fields: dict[str, Any] = {"cluster_id": f"0-{cluster}", "exemplar": None, "policy": policy}
        again = flag(post, flag_id=f"{post}-{policy}", revision=revision, action=action, **fields)
        groups.fold(again, Place("p", revision), NOW)
    assert groups.due(NOW + 48 * 60 * MINUTE) == []
