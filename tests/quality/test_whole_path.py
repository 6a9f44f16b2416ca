"""What is counted of streams that change, and of attackers, on vectors whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.bundle import Bundle, open_bundle
from models.synthetic.posts import StreamPlan, Truth
from tests.bundles import write_tiny_bundle
from tests.cells.small_cells import near
from tests.quality.cells import TURN, Said, run
from tests.quality.drawn_streams import two_campaigns
from tests.quality.evasion import EACH, STRENGTHS, judge_evasion, mixed
from tests.quality.stream import EncodedStream
from tests.quality.whole_path import (
    MOST_VERDICTS,
    best_offline,
    careful,
    count_flags,
    count_since,
    due_posts,
    few,
    judge_streams,
    rand_of,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    write_tiny_bundle(tmp_path)
    return open_bundle(tmp_path, provider="cpu", intra_op_threads=1)


def test_a_clean_stream_meets_every_figure(bundle: Bundle) -> None:
    stream = two_campaigns(bundle, 12 * TURN)
    found = judge_streams([stream], [StreamPlan(posts=12 * TURN, drift=24)], "gradual drift", bundle)
    assert found.noise == pytest.approx(1 / 3)
    assert found.campaigns == pytest.approx(1.0)
    assert found.offline == found.offline_violating == pytest.approx(1.0)
    counts = found.counts
    assert counts["found"] == counts["at once"] == counts["due"] > 0
    assert counts["found after all"] == counts["due after all"] > 0
    assert counts["false"] == counts["silent"] == 0
    assert counts["harmless"] > 0
    assert found.verdicts == 2
    assert found.most == 1
    assert sum(due for due, _ in found.since.values()) == counts["due"]


def test_verdicts_on_a_campaign_have_an_end(bundle: Bundle) -> None:
    stream = two_campaigns(bundle, 12 * TURN, cosine=0.6)
    said = run(stream, bundle, 1, None, few(stream), careful()).said
    counts = [sum(stream.truths[one.post].campaign == name for one in said) for name in ("campaign-0", "campaign-1")]
    assert max(counts) <= MOST_VERDICTS
    assert sum(counts) > 0


def test_only_posts_after_the_verdicts_count_and_silent_campaigns_are_told(bundle: Bundle) -> None:
    stream = two_campaigns(bundle, 4 * TURN)
    said = [Said(TURN, "uphold", "scam", "ada", 0), Said(2 * TURN, "uphold", "scam", "ada", 3)]
    counts = count_flags(stream, run(stream, bundle, 1, said))
    later = [sum(one.campaign == "campaign-0" for one in stream.truths[start:]) for start in (TURN, 2 * TURN)]
    assert counts["due"] == later[0]
    assert counts["due after all"] == later[1]
    assert counts["harmless"] == sum(truth.policy is None for truth in stream.truths[TURN:])
    assert counts["silent"] == 1


def test_a_judged_post_does_not_count(bundle: Bundle) -> None:
    stream = two_campaigns(bundle, 4 * TURN)
    said = [Said(TURN, "uphold", "scam", "ada", 0), Said(3 * TURN, "uphold", "scam", "ada", 2 * TURN + 1)]
    assert stream.truths[2 * TURN + 1].campaign == "campaign-0"
    found = run(stream, bundle, 1, said)
    assert 2 * TURN + 1 not in dict(due_posts(stream, found))


def test_changes_count_from_the_latest_form_that_was_judged_before_a_post(bundle: Bundle) -> None:
    stream = two_campaigns(bundle, 4 * TURN)
    said = [Said(TURN, "uphold", "scam", "ada", 0), Said(3 * TURN, "uphold", "scam", "ada", 3 * TURN - 3)]
    assert stream.truths[3 * TURN - 3].campaign == "campaign-0"
    found = run(stream, bundle, 1, said)
    plan = StreamPlan(posts=4 * TURN, forms=3)
    of = [number for number, _ in due_posts(stream, found)]
    expected = {
        "0": sum(number >= 3 * TURN and plan.changes(number) == 2 for number in of),
        "1": sum(TURN <= number < 2 * TURN or number >= 3 * TURN for number in of),
        "2": sum(2 * TURN <= number < 3 * TURN for number in of),
    }
    due = {name: due for name, (due, _) in count_since(stream, found, plan, "new forms").items()}
    assert due == {name: count for name, count in expected.items() if count}


def test_the_rand_index_knows_noise_and_the_best_radius_is_found(bundle: Bundle) -> None:
    stream = two_campaigns(bundle, 90)
    own = [truth.group or f"noise {number}" for number, truth in enumerate(stream.truths)]
    assert rand_of(stream, own) == 1.0
    assert rand_of(stream, ["one"] * 90) < 0.1
    _, (best, violating) = best_offline([stream])
    assert best == violating == pytest.approx(1.0)


def test_an_attack_is_counted_by_strength_and_escapes_when_it_looks_like_nothing(bundle: Bundle) -> None:
    background = two_campaigns(bundle, 40 * TURN)
    features: list[dict[str, bytes]] = [{} for _ in range(40 * TURN)]
    rng = np.random.default_rng(8)
    middle = rng.standard_normal(bundle.layout.size).astype(np.float32)
    middle /= np.linalg.norm(middle)
    rows, truths = [], []
    for number, strength in enumerate(strength for strength in STRENGTHS for _ in range(EACH)):
        rows.append(near(middle, 0.95 - 0.13 * strength, 100 + number))
        truths.append(Truth("attack-0", "scam", "violation", (str(strength),), "attack-0"))
    count = len(rows)
    ids = [f"attack-{number}" for number in range(count)]
    vectors = np.stack(rows).astype(np.float16)
    attacks = EncodedStream(ids, truths, np.arange(count) / count, vectors, [{} for _ in ids])
    stream = mixed(replace(background, features=features), attacks)
    assert len(stream) == len(background) + count
    assert np.all(np.diff(stream.created) >= 0)
    found = judge_evasion(stream, bundle)
    assert found.posts[1:] == [EACH] * (len(STRENGTHS) - 1)
    assert found.alone[1] == EACH
    assert found.alone[-1] == 0
    assert sum(found.helped) >= sum(found.alone)
