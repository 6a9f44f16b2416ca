"""What the fold obeys: the settings it began with, then those of the log from their record on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from consumers.cells.fold_settings import policy_rule, with_policies
from consumers.contracts.cell_log import SettingsRecord
from consumers.contracts.decision import Decision
from consumers.contracts.policies import PolicyFile
from consumers.settings import Policy
from models.manifest import Verification
from tests.cells.small_cells import SIZE, START, Cell, directions, layout, manifest, near, post, rules, verdict
from tests.pictures import features

if TYPE_CHECKING:
    from consumers.cells.fold import Folded
    from consumers.contracts.fold_settings import FoldSettings

A, B = directions(2)


def file(version: int, *policies: Policy) -> PolicyFile:
    return PolicyFile.model_validate({"schema": "shoal.policies/1", "version": version, "policies": policies})


def record(settings: FoldSettings) -> SettingsRecord:
    return SettingsRecord(time=START, settings=settings, actor="ada")


def outcomes(folded: Folded) -> list[str]:
    return [output.payload.outcome for output in folded.outputs if isinstance(output.payload, Decision)]


def test_policies_are_in_force_from_their_record_on() -> None:
    cell = Cell()
    strict = with_policies(rules(), file(3, Policy(name="scam", exemplar=0.95)), manifest())
    cell.add(post(0, A), verdict(1, post_id="post-0"))
    folded = cell.add(post(1, near(A, 0.9)), record(strict), post(2, near(A, 0.9)), post(3, near(A, 0.97)))
    assert outcomes(folded) == ["flagged", "clear", "flagged"]
    [notice] = folded.notices
    assert "policies version 3" in notice
    assert "ada" in notice
    cell.restart()
    assert cell.fold.settings == strict
    assert cell.add(record(strict)).notices == [], "nothing changes"


def test_a_higher_bar_takes_labels_and_their_flags_back() -> None:
    cell = Cell()
    cell.add(post(0, A), verdict(1, post_id="post-0"))
    higher = with_policies(rules(), file(1, Policy(name="scam", promote=0.8, demote=0.7)), manifest())
    folded = cell.add(record(higher), post(1, A))
    assert outcomes(folded) == ["clear"]
    assert [(output.kind, output.key) for output in folded.outputs] == [("flag", "post-0"), ("decision", "post-1")]


def test_the_order_of_policies_in_the_file_changes_nothing() -> None:
    one, two = Policy(name="a"), Policy(name="b")
    bundle = manifest()
    assert with_policies(rules(), file(1, one, two), bundle) == with_policies(rules(), file(1, two, one), bundle)


VERIFYING = msgspec.structs.replace(
    manifest(),
    verification={
        "image": Verification(
            layout="image", height=40, width=40, threshold=0.7, cosine=0.55, false_match_rate=0.002, originals=1,
            found=0, interval=(0.0, 1.0),
        )
    },
)  # fmt: skip


def test_a_policy_with_cosines_of_its_own_asks_them_of_posts_that_agree_too() -> None:
    assert policy_rule(Policy(name="a"), VERIFYING).agreed == {"image": 0.55}
    assert policy_rule(Policy(name="a", exemplar=0.8), VERIFYING).agreed == {}
    assert policy_rule(Policy(name="a", centroid=0.8), VERIFYING).agreed == {}
    lower = with_policies(rules(), file(1, Policy(name="a")), VERIFYING)
    assert lower.attention == pytest.approx(0.55), "clusters are looked at from where agreement may be enough"
    unasked = with_policies(rules(), file(1, Policy(name="a", verification={})), VERIFYING)
    assert unasked.attention == 0.75 * 0.75, "and from where an exemplar reaches a post that follows a trail"


def test_posts_of_one_image_that_agree_are_flagged_from_the_bundles_cosine_on() -> None:
    shown, copy, block = np.zeros(SIZE, np.float32), np.zeros(SIZE, np.float32), layout().block("image")
    shown[block][0] = 1.0
    copy[block][:2] = 0.6, 0.8
    cell = Cell()
    cell.add(record(with_policies(rules(), file(1, Policy(name="scam", trail=1.0)), VERIFYING)))
    cell.add(post(0, shown, features=features(1)), verdict(1, post_id="post-0"))
    folded = cell.add(
        post(1, copy, features=features(1)), post(2, copy, features=features(2)), post(3, copy),
        post(4, (copy + A) / np.float32(np.linalg.norm(copy + A)), features=features(1)),
    )  # fmt: skip
    assert outcomes(folded) == ["flagged", "clear", "clear", "clear"]
