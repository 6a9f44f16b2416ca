"""What the demo counts, against a worker made of the truth."""

from __future__ import annotations

import msgspec
import pytest

from consumers.demo.moderator import Opinion
from consumers.demo.tally import Sent, Tally
from models.synthetic.posts import Truth
from tests.demo.fake_worker import FakeWorker


def verdict(worker: FakeWorker, about: str, decision: str, policy: str, now: float) -> None:
    cluster_id = worker.clusters[about]
    post = worker.members[cluster_id][-1]
    worker.obey(
        Opinion(decision, policy, "m", post.post_id or "", cluster_id, 0, post.cell_offset),  # type: ignore[arg-type]
        now,
    )


def test_recall_counts_violating_posts_after_the_first_verdict_on_their_campaign_only() -> None:
    worker = FakeWorker()
    for second in range(4):
        worker.post("easy", second, policy="scam", kind="violation")
    assert worker.tally.score().recall is None
    verdict(worker, "easy", "uphold", "scam", 4.0)
    worker.post("easy", 5.0, policy="scam", kind="violation")
    worker.post("easy in a cluster of its own", 6.0, policy="scam", kind="violation")
    worker.tally.first_upheld["easy in a cluster of its own"] = 4000
    score = worker.tally.score()
    assert score.recall == pytest.approx(0.5)
    assert score.flags == 5
    assert score.precision == 1.0
    assert worker.tally.due() == 2
    assert worker.tally.reached_back() == 4


def test_precision_counts_standing_flags_and_a_retracted_one_no_more() -> None:
    worker = FakeWorker()
    worker.post("meme", 1.0)
    verdict(worker, "meme", "uphold", "scam", 2.0)
    worker.post("meme", 3.0)
    assert worker.tally.score().precision == 0.0
    verdict(worker, "meme", "overturn", "scam", 4.0)
    score = worker.tally.score()
    assert (score.flags, score.precision) == (0, None)
    assert worker.tally.retractions == 2
    assert worker.tally.first_flag == 2.0


def test_an_older_revision_that_arrives_late_changes_nothing() -> None:
    worker = FakeWorker()
    worker.post("meme", 1.0)
    verdict(worker, "meme", "uphold", "scam", 2.0)
    (flag,) = worker.tally.flags.values()
    worker.tally.flag(msgspec.structs.replace(flag, action="retract", revision=flag.revision - 1), 3.0)
    assert worker.tally.score().flags == 1


def test_a_flag_under_another_policy_is_wrong() -> None:
    worker = FakeWorker()
    worker.post("easy", 1.0, policy="scam", kind="violation")
    verdict(worker, "easy", "uphold", "spam", 2.0)
    assert worker.tally.score("spam").precision == 0.0
    assert worker.tally.score("scam").flags == 0


def test_a_decision_seen_twice_counts_once() -> None:
    worker = FakeWorker()
    decision = worker.post("meme", 1.0)
    worker.tally.decide(decision, 2.0, 1.0)
    assert len(worker.tally.decided) == 1
    assert len(worker.tally.latencies) == 1
    assert worker.tally.clusters[decision.cluster_id or ""].members == 1


def test_look_alikes_of_the_conjunction_count_from_its_first_verdict_on() -> None:
    worker = FakeWorker()
    worker.post("night", 1.0, kind="conjunction-look-alike")
    worker.post("night", 1.5, policy="both", kind="conjunction")
    assert worker.tally.look_alike_rate() is None
    verdict(worker, "night", "uphold", "both", 2.0)
    worker.post("night", 3.0, kind="conjunction-look-alike")
    assert worker.tally.look_alike_rate() == 1.0


def test_growth_is_of_the_last_ten_seconds() -> None:
    worker = FakeWorker()
    decision = worker.post("meme", 1.0)
    worker.post("meme", 9.0)
    cluster = worker.tally.clusters[decision.cluster_id or ""]
    assert cluster.growth(10.0) == 2
    assert cluster.growth(15.0) == 1
    assert cluster.members == 2


@pytest.mark.parametrize(
    ("encoded", "caption", "parts", "expected"),
    [
        (("text", "image", "audio"), None, ("audio",), (1, 0)),
        (("text", "image"), None, ("audio",), (0, 1)),
        (("text", "image"), "words", ("audio",), (1, 0)),
        (("audio",), None, ("audio", "image"), (1, 0)),
        (("audio",), "words", ("image",), (0, 1)),
    ],
)
def test_a_dead_letter_is_rightly_one_only_where_the_bundle_encodes_none_of_its_parts(
    encoded: tuple[str, ...], caption: str | None, parts: tuple[str, ...], expected: tuple[int, int]
) -> None:
    worker = FakeWorker(Tally(encoded))
    decided = worker.post("meme", 1.0)
    dead = msgspec.structs.replace(decided, post_id="dead", outcome="dead_letter", cluster_id=None)
    worker.tally.sent["dead"] = Sent("dead", caption, parts, Truth(None, None, "benign"))
    worker.tally.decide(dead, 2.0, 1.0)
    assert worker.tally.dead_letters() == expected
