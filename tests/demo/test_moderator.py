"""The simulated moderator."""

from __future__ import annotations

import pytest

from consumers.demo.moderator import MISTAKEN_POLICY, VERDICTS_A_CAMPAIGN, Moderator, Opinion
from consumers.demo.tally import Sent
from models.synthetic.posts import Truth
from tests.demo.fake_worker import FakeWorker


def play(worker: FakeWorker, moderator: Moderator, posts: int) -> list[Opinion]:
    """A stream in which every tenth post violates, every other fifth is a popular harmless one; 40 posts a second."""
    given = []
    for number in range(posts):
        now = number / 40
        if number % 10 == 0:
            worker.post("easy", now, policy="scam", kind="violation")
        elif number % 5 == 1:
            worker.post("meme", now)
        else:
            worker.post(f"single {number}", now)
        opinion = moderator.look(worker.tally, now, number / posts)
        if opinion is not None:
            given.append(opinion)
            worker.obey(opinion, now)
    return given


def test_a_growing_violation_is_upheld_soon_and_confirmed_by_a_second_moderator_once() -> None:
    worker = FakeWorker()
    given = play(worker, Moderator(mistakes=False), 400)
    assert [(one.verdict, one.policy, one.actor) for one in given] == [
        ("uphold", "scam", "moderator-1"),
        ("uphold", "scam", "moderator-2"),
    ]
    assert worker.tally.verdicts[0].at < 1.0
    assert worker.tally.score().precision == 1.0
    assert worker.tally.score().recall == 1.0


def test_sparing_moderators_uphold_nothing_that_is_flagged_already() -> None:
    worker = FakeWorker()
    given = play(worker, Moderator(mistakes=False, sparing=True), 400)
    assert [(one.verdict, one.actor) for one in given] == [("uphold", "moderator-1")]
    assert worker.tally.score().recall == 1.0


def test_a_mistake_is_made_on_a_harmless_cluster_and_overturned_after_some_false_flags() -> None:
    worker = FakeWorker()
    given = play(worker, Moderator(mistakes=True), 600)
    wrong = [one for one in given if one.cluster_id == worker.clusters["meme"]]
    assert [one.verdict for one in wrong] == ["uphold", "overturn"]
    assert {one.policy for one in wrong} == {MISTAKEN_POLICY}
    false_flags = sum(flag.cluster_id == worker.clusters["meme"] for flag in worker.tally.flags.values())
    assert 3 <= false_flags < 60
    assert worker.tally.retractions == false_flags
    assert worker.tally.score().precision == 1.0


def test_a_cluster_whose_flags_are_mostly_wrong_is_overturned() -> None:
    worker = FakeWorker()
    moderator = Moderator(mistakes=False)
    worker.post("mixed", 0.0, policy="scam", kind="violation")
    for second in range(1, 8):
        worker.post("mixed", second)
    post = worker.members[worker.clusters["mixed"]][0]
    worker.obey(Opinion("uphold", "scam", "somebody", post.post_id or "", worker.clusters["mixed"], 0, 1), 9.0)
    opinion = moderator.look(worker.tally, 10.0, 0.1)
    assert opinion is not None
    assert (opinion.verdict, opinion.actor) == ("overturn", "moderator-2")


def test_reviews_take_their_time() -> None:
    worker = FakeWorker()
    moderator = Moderator(mistakes=False)
    for name in ("one", "two"):
        worker.post(name, 0.0, policy="scam", kind="violation")
        worker.post(name, 0.0, policy="scam", kind="violation")
    assert moderator.look(worker.tally, 0.1, 0.0) is not None
    assert moderator.look(worker.tally, 0.2, 0.0) is None
    assert moderator.look(worker.tally, 0.4, 0.0) is not None
    assert moderator.look(worker.tally, 0.8, 0.0) is None


def test_a_violating_post_that_is_not_flagged_is_reported_after_a_while() -> None:
    worker = FakeWorker()
    moderator = Moderator(mistakes=False)
    worker.post("alone", 0.0, policy="scam", kind="violation")
    worker.post("harmless", 0.0)
    assert moderator.look(worker.tally, 0.5, 0.1) is None
    opinion = moderator.look(worker.tally, 2.5, 0.1)
    assert opinion is not None
    assert (opinion.verdict, opinion.policy, opinion.post_id) == ("uphold", "scam", "post-1")
    worker.obey(opinion, 2.5)
    assert moderator.look(worker.tally, 5.0, 0.1) is None


@pytest.mark.parametrize("most", [3, VERDICTS_A_CAMPAIGN])
def test_a_campaign_gets_a_bounded_number_of_verdicts(most: int) -> None:
    worker = FakeWorker()
    moderator = Moderator(mistakes=False, most=most)
    given = 0
    for second in range(0, 200, 5):
        worker.post(f"cluster {second}", second, policy="scam", kind="violation")
        worker.tally.sent = {
            key: Sent(sent.post_id, sent.caption, sent.parts, Truth("one", "scam", "violation"))
            for key, sent in worker.tally.sent.items()
        }
        given += moderator.look(worker.tally, second + 2.5, 0.1) is not None
    assert given == most
