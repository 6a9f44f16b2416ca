"""Posts in, decisions and flags out, on a real Kafka and a real Redis."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from consumers.contracts import cell_log
from consumers.contracts.source import decision_id
from consumers.kafka.dead_letters import Selection, replay
from consumers.kafka.delivery import Outgoing, open_delivery
from consumers.names import cell_log_topic
from consumers.settings import Assign, Media
from tests.integration.platform import eventually, working

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.platform import Platform

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

SCAM = "double your coins today, send them to this address and get twice as many back, hurry up {}"
WORDS = ("river", "stone", "lamp", "green", "bicycle", "window", "yellow", "cat", "tea", "morning", "train", "paper")


def benign(number: int) -> dict[str, str]:
    """A caption with nothing in common with the others."""
    rng = random.Random(number)
    return {"post_id": f"benign-{number}", "caption": " ".join(rng.choices(WORDS, k=12)) + f" {rng.random()}"}


def scam(number: int) -> dict[str, str]:
    """One of many variants of the same caption."""
    return {"post_id": f"scam-{number}", "caption": SCAM.format(number)}


def test_every_post_gets_exactly_one_decision(platform: Platform, tmp_path: Path) -> None:
    with working(platform.settings, tmp_path) as worker:
        platform.publish(*(benign(number) for number in range(200)))
        platform.decided(200)
        platform.publish(*(benign(number) for number in range(200, 210)))
        platform.decided(210)
        eventually(lambda: worker.metric("shoal_posts_total", outcome="clear"), lambda count: count == 210)
        eventually(lambda: worker.metric("shoal_end_to_end_seconds_count"), lambda count: count == 210)
    found = platform.decisions()
    assert Counter(one.post_id for one in found) == Counter(f"benign-{number}" for number in range(210))
    for one in found:
        assert one.decision_id == decision_id(platform.bundle, one.source)
        assert one.parts["text"] == "used"
        assert sum(one.shares.values()) == pytest.approx(one.similarity, abs=1e-4)


def test_flags_begin_with_a_verdict_and_end_with_an_overturn(platform: Platform, tmp_path: Path) -> None:
    with working(platform.settings, tmp_path):
        platform.publish(*(scam(number) for number in range(10)), benign(0))
        before = platform.decided(11)
        assert {one.outcome for one in before.values()} == {"clear"}
        assert len({before[f"scam-{number}"].cluster_id for number in range(10)}) == 1

        platform.give_verdict("uphold", "scam", before["scam-0"])
        _wait_for_verdicts(platform, 1)
        platform.publish(*(scam(number) for number in range(10, 40)), benign(1), benign(2))
        after = platform.decided(43)
        assert {after[f"scam-{number}"].outcome for number in range(10, 40)} == {"flagged"}
        assert {after[f"benign-{number}"].outcome for number in range(3)} == {"clear"}
        live = [flag for flag in platform.flags() if flag.cause == "live" and flag.action == "flag"]
        assert sorted(flag.post_id for flag in live) == sorted(f"scam-{number}" for number in range(10, 40))
        assert {flag.policy for flag in live} == {"scam"}
        assert all(sum(flag.shares.values()) == pytest.approx(flag.similarity, abs=1e-4) for flag in live)

        for actor in ("second", "third", "fourth"):
            platform.give_verdict("overturn", "scam", after["scam-10"], actor)
        _wait_for_verdicts(platform, 4)
        platform.publish(*(scam(number) for number in range(40, 50)))
        last = platform.decided(53)
        assert "flagged" not in {last[f"scam-{number}"].outcome for number in range(40, 50)}
    assert platform.state_differences() == []


def _wait_for_verdicts(platform: Platform, count: int) -> None:
    """Until so many verdicts stand in the cell log: later posts come after them."""

    def verdicts() -> int:
        values = platform.values(cell_log_topic(platform.settings, platform.bundle))
        return sum(isinstance(cell_log.decode(value), cell_log.VerdictRecord) for value in values)

    eventually(verdicts, lambda found: found >= count)


def test_a_post_that_is_delivered_again_is_decided_once(platform: Platform, tmp_path: Path) -> None:
    """What encode wrote twice, as after a crash on a broker without transactions."""
    topic = cell_log_topic(platform.settings, platform.bundle)
    with working(platform.settings, tmp_path, "encode") as encoder:
        platform.publish(*(scam(number) for number in range(5)))
        values = eventually(lambda: platform.values(topic), lambda found: len(found) >= 5)
        assert encoder.stop() == 0
    delivery = open_delivery(platform.settings, "twice")
    delivery.deliver([Outgoing(topic, b"again", value, partition=0) for value in values])
    delivery.close()
    with working(platform.settings, tmp_path, "assign") as owner:
        eventually(lambda: owner.metric("shoal_duplicate_records_total"), lambda found: found == 5)
    found = platform.decisions()
    assert sorted(one.post_id or "" for one in found) == [f"scam-{number}" for number in range(5)]


def test_an_edited_post_is_decided_again_and_the_earlier_decision_stays(platform: Platform, tmp_path: Path) -> None:
    with working(platform.settings, tmp_path):
        platform.publish({"post_id": "one", "caption": "the first wording of it"})
        platform.decided(1)
        platform.publish({"post_id": "one", "caption": "an entirely different text now"})
        platform.decided(2)
    first, second = sorted(platform.decisions(), key=lambda one: one.source.offset)
    assert (first.post_id, second.post_id) == ("one", "one")
    assert first.decision_id != second.decision_id
    assert first.cluster_id != second.cluster_id


def test_several_cells_share_the_work(new_platform: Callable[..., Platform], tmp_path: Path) -> None:
    shared = new_platform(assign=Assign(cells=4, batch_wait_ms=5.0))
    with working(shared.settings, tmp_path):
        shared.publish(*(benign(number) for number in range(100)))
        found = shared.decided(100)
        flagged = found["benign-7"]
        shared.give_verdict("uphold", "odd", flagged)
        _wait_for_verdicts(shared, 1)
        shared.publish(benign(7) | {"post_id": "copy-of-7"})
        again = shared.decided(101)["copy-of-7"]
    assert len({one.cell for one in found.values()}) > 1
    assert (again.cell, again.outcome) == (flagged.cell, "flagged")


def test_the_broker_may_assign_the_partitions(new_platform: Callable[..., Platform], tmp_path: Path) -> None:
    """Two workers under the newer group protocol, one of which leaves."""
    platform = new_platform("consumer", assign=Assign(cells=4, batch_wait_ms=5.0))
    with working(platform.settings, tmp_path):
        platform.publish(*(benign(number) for number in range(40)))
        platform.decided(40)
        with working(platform.settings, tmp_path) as second:
            eventually(lambda: second.metric("shoal_partitions", consumer="assign"), lambda owned: owned > 0)
            platform.publish(*(benign(number) for number in range(40, 80)))
            platform.decided(80)
        platform.publish(*(benign(number) for number in range(80, 120)))
        platform.decided(120)
    found = Counter(one.post_id for one in platform.decisions())
    assert found == Counter(f"benign-{number}" for number in range(120))


def test_a_replayed_dead_letter_is_decided_like_any_post(
    new_platform: Callable[..., Platform], tmp_path: Path
) -> None:
    platform = new_platform(media=Media(prefixes=(f"file://{tmp_path}/",)))
    with working(platform.settings, tmp_path):
        platform.publish({"post_id": "late", "media": [{"kind": "image", "uri": f"file://{tmp_path}/late.png"}]})
        assert platform.decided(1)["late"].outcome == "dead_letter"
        pixels = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "late.png")
        assert replay(platform.settings, Selection(reason="no-usable-part")) == 1
        assert platform.decided(2)["late"].outcome == "clear"
    assert sorted(one.outcome for one in platform.decisions()) == ["clear", "dead_letter"]
