"""What the page says of conjunctions and streams comes from the figures."""

from __future__ import annotations

from msgspec.structs import replace

from tests.quality.conjunctions import FUSED, LEAST, MEAN, PRODUCT, PROJECTED, SHIPPED, SINGLE
from tests.quality.goals import goals
from tests.quality.report import Choice, Conjunctions, Evasion, Report, Together, WholePath
from tests.quality.retrieval import Recall
from tests.quality.together_page import together

COUNTS = {
    "due": 200, "found": 180, "at once": 170, "wrong": 1, "due after all": 120, "found after all": 90,
    "harmless": 1_000, "false": 2, "false look-alike": 2, "false benign": 0, "silent": 1,
}  # fmt: skip
STREAM = WholePath(
    change="gradual drift", times=24, seeds=[1, 2], posts=4_800, noise=0.31, micro=0.7, campaigns=0.91, offline=0.915,
    radius=0.24, core=5, micro_violating=0.6, campaigns_violating=0.8, offline_violating=0.85, verdicts=41, most=3,
    counts=COUNTS, since={"0 to 5": (150, 140), "6 to 11": (50, 30)},
)  # fmt: skip
REPORT = Report(
    bundle="tiny", machine="x", seeds={}, amounts={}, missing=[], sections=[], posts=[], look_alikes=[], garments=[],
    unrelated=None, milliseconds={}, megabytes=0.0, reworded={},
)  # fmt: skip


def told(report: Report) -> str:
    return "\n".join(together(report, None))


def test_nothing_measured_says_nothing() -> None:
    assert told(REPORT) == ""


def test_streams_are_told_with_both_kinds_of_change() -> None:
    forms = replace(STREAM, change="new forms", times=4, counts=COUNTS | {"found": 80}, since={"3 or more": (9, 0)})
    text = told(replace(REPORT, streams=[STREAM, forms]))
    assert "| gradual drift | 4,800 | 41, at most 3 a campaign | 98.4% " in text
    assert "| new forms | 4,800 |" in text
    assert "| 90.0% (" in text
    assert "| 40.0% (" in text
    assert "| 6 to 11 | 50 | 60.0% (" in text
    assert "| 3 or more | 9 | 0.0% (" in text
    assert "2 look-alike" in text
    assert "0 benign" not in text
    assert "| gradual drift | DBSCAN, offline | 0.915 | 0.850 |" in text


def test_goals_are_asked_of_gradual_drift_alone() -> None:
    forms = replace(STREAM, change="new forms", campaigns=0.1)
    found = goals(replace(REPORT, streams=[STREAM, forms]))
    assert [(goal.reached, goal.met) for goal in found] == [
        ("0.910", True), ("98.36% (180 of 183)", False), ("90.00% (180 of 200)", True), ("0.20% (2 of 1000)", False),
    ]  # fmt: skip


def test_thresholds_that_were_tried_are_told_for_each_source() -> None:
    judged = Conjunctions(0.97, (0.96, 0.98), 0.6, (0.5, 0.7))
    names = (*SINGLE.values(), MEAN, FUSED, LEAST, SHIPPED, PRODUCT, PROJECTED)
    one = Together(
        "real", 150, {"3": 900}, dict.fromkeys(names, judged), dict.fromkeys(names, 0.99), [], 34,
        [Choice(0.694, 0.4, {"0": 0.0, "1": 0.0, "2": 0.021, "3": 0.946})],
    )  # fmt: skip
    text = told(replace(REPORT, together=[one]))
    assert "Real media, 34 exemplars of the calibration split" in text
    assert "| 0.694 | 0.400 | 94.60% | 2.10% | 0.00% | 0.00% |" in text


def test_evasion_and_retrieval_are_told() -> None:
    evasion = Evasion([0, 1], [10, 10], [10, 2], [10, 6], (3, 5))
    recalls = [Recall(one, two, "aligned", 0.1, 0.4) for one, two in (("text", "image"), ("image", "text"))]
    text = told(replace(REPORT, evasion=evasion, retrieved=recalls, retrieved_of=100))
    assert "| 1 | 10 | 20.0% (" in text
    assert "half of the posts escape at 0.6 transforms a part" in text
    assert "| text → image | 0.100 | 0.400 |" in text
